"""Whose certificates are trusted, each in a process of its own: Python reads them once."""

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from sinks.timestream.stand_in import Timestream

pytestmark = pytest.mark.not_quick

WRITE = """
import asyncio, sys
from sst_cloud.errors import SinkUnavailableError
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.timestream import TimestreamSink

async def main():
    async with TimestreamSink("mydb", "meters", endpoint_url=sys.argv[1]) as sink:
        try:
            print((await sink.write([sample_reading()])).accepted)
        except SinkUnavailableError as error:
            print(error)

asyncio.run(main())
"""


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Timestream]:
    """The stand-in over TLS; its authority's certificate is in `ca.pem`."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    async with Timestream(tls=context) as service:
        service.add_table(magnetic_writes=True)
        yield service


@pytest.mark.parametrize(
    ("environ", "trusted"),
    [
        ({"SSL_CERT_FILE": "ca.pem"}, True),
        ({"SSL_CERT_FILE": "ca.pem", "AWS_CA_BUNDLE": "ca.pem"}, True),
        ({"SSL_CERT_FILE": "other.pem", "AWS_CA_BUNDLE": "ca.pem"}, True),
        ({"SSL_CERT_FILE": "other.pem", "REQUESTS_CA_BUNDLE": "ca.pem"}, True),
        ({"SSL_CERT_FILE": "ca.pem", "AWS_CA_BUNDLE": "other.pem"}, False),
        ({"SSL_CERT_FILE": "other.pem"}, False),
        ({}, False),
    ],
    ids=str,
)
async def test_only_configured_certificate_authorities_are_trusted(
    service: Timestream, tmp_path: Path, environ: dict[str, str], *, trusted: bool
) -> None:
    names = ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
    clean = {name: value for name, value in os.environ.items() if name not in names}
    chosen = {name: str(tmp_path / file) for name, file in environ.items()}
    command = (sys.executable, "-c", WRITE, f"https://127.0.0.1:{service.port}")
    process = await asyncio.create_subprocess_exec(
        *command, env=clean | chosen, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    output = out.decode().strip()
    assert output == "1" if trusted else "certificate verify failed" in output.lower()
    assert len(service.requests_for("WriteRecords")) == int(trusted)
