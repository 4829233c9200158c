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
    """Run `serve(pipe, *args)` in a process until the block ends; yields the pipe's other end.

    The server ends when its pipe does.
    """
    context = multiprocessing.get_context("spawn")
    parent_end, child_end = context.Pipe()
    process = context.Process(target=serve, args=(child_end, *args), daemon=True)
    process.start()
    child_end.close()
    try:
        yield parent_end
    finally:
        parent_end.close()
        process.join(timeout=10)


@attrs.frozen
class Certificate:
    """A certificate for this machine, and a bundle of authorities with its issuer."""

    server: Path
    bundle: Path

    @classmethod
    def create_in(cls, folder: Path) -> "Certificate":
        """The bundle is the usual one, of over a hundred authorities, and one of our own."""
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
        """Variables that make Python, requests and botocore use this bundle."""
        names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
        return dict.fromkeys(names, str(self.bundle))
