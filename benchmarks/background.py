"""Servers in processes of their own, so that their work does not count as the client's."""

import multiprocessing
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import attrs
import certifi
import trustme


@contextmanager
def background(serve: Callable[..., None], *args: Any) -> Iterator[Connection]:
    """Run `serve(pipe, *args)` in a process until the block ends; gives the pipe's other end.

    The server ends when its pipe does.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, *args), daemon=True)
    process.start()
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.join(timeout=10)


@attrs.frozen
class Certificate:
    """A certificate for this machine, and a bundle of authorities that has its own."""

    server: Path
    bundle: Path

    @classmethod
    def made_in(cls, folder: Path) -> "Certificate":
        """The bundle is the usual one, a hundred and more authorities, and one of our own."""
        authority = trustme.CA()
        server, bundle = folder / "server.pem", folder / "bundle.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(server))
        bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
        return cls(server, bundle)

    def context(self) -> ssl.SSLContext:
        """For a server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        return context

    @property
    def environ(self) -> dict[str, str]:
        """What makes Python, requests and botocore take this bundle for theirs."""
        names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
        return dict.fromkeys(names, str(self.bundle))
