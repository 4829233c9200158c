"""Readings in InfluxDB 1, 2 or 3, or anything compatible: line protocol over HTTP."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import ClassVar, Final

import aiohttp

from sst_cloud.errors import SinkRefusedError
from sst_cloud.http_bodies import ERROR_LIMIT
from sst_cloud.readings import Quantity, Reading
from sst_cloud.sink import Guarantee, Option, Rejection, SinkURL, choice, flag
from sst_cloud_sinks.base import BaseSink

from .history import history, newest
from .http import PASSWORD, TOKEN, Server
from .line_protocol import to_line
from .partial_write import ErrorBody, Line
from .url import address_and_bucket, endpoints

_EMPTY_WRITE: Final = "# may I write?\n"
"""A comment: the server checks credentials and bucket, but stores nothing."""
_NO_LINES: Final = ("requires points", "write was empty")
"""What servers respond to a request without lines."""
_LINE_ERROR_STATUSES: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
_SUCCESS: Final = range(200, 300)
_BYTES_PER_CHARACTER: Final = 4
"""Bytes of a response for every character of a line: it may be quoted twice, and escaped."""


def _version(text: str) -> int:
    return int(choice("1", "2")(text))


class InfluxDBSink(BaseSink):
    """Writes readings to an InfluxDB 2 or 3 bucket or an InfluxDB 1 database; reads them back.

    One measurement for each kind of device part, tags that identify it, fields with the unit in
    their names. Secrets are read from INFLUXDB_TOKEN, or INFLUXDB_PASSWORD for a user.
    """

    target: ClassVar[str] = "https://HOST:8086/BUCKET"
    options: ClassVar[Sequence[Option]] = (
        Option("org", "organization that owns the bucket (InfluxDB 2)"),
        Option("version", "2 (also for InfluxDB 3; the default) or 1", _version),
        Option("user", "user, with its password in INFLUXDB_PASSWORD (version=1)"),
        Option("retention_policy", "default: the database's own (version=1)"),
        Option("names", "yes: store the names of house, device and point as tags", flag),
    )
    guarantee: ClassVar[Guarantee] = Guarantee.IDEMPOTENT
    secrets: ClassVar[Sequence[str]] = (TOKEN, PASSWORD)

    def __init__(  # noqa: PLR0913  every one of them is a choice of the caller
        self,
        url: str,
        bucket: str,
        *,
        org: str = "",
        version: int = 2,
        user: str = "",
        retention_policy: str = "",
        names: bool = False,
        token: str = "",
        password: str = "",
        session: aiohttp.ClientSession | None = None,
        timeout: float = 30.0,
        batch_size: int = 5_000,
        max_concurrency: int = 4,
    ) -> None:
        """`url` is the server's address; for `version` 1, `bucket` is the database.

        `timeout` is in seconds, for a whole write or a stalled read; `batch_size` is in readings
        per request, and a write runs at most `max_concurrency` requests at a time. An injected
        `session` is never closed. Raises `SinkOptionsError` for conflicting options or a missing
        secret, ValueError if a number is not positive.
        """
        self._endpoints = endpoints(
            url, bucket, org=org, version=version, retention_policy=retention_policy
        )
        if batch_size < 1 or max_concurrency < 1 or timeout <= 0:
            raise ValueError("batch_size, max_concurrency and timeout must be positive")
        self._server = Server(
            self._endpoints.write,
            bucket,
            version=version,
            user=user,
            token=token,
            password=password,
            session=session,
            timeout=timeout,
        )
        self._names = names
        self.batch_size = batch_size
        self.max_concurrency = max_concurrency

    @classmethod
    def parse_target(cls, url: SinkURL) -> Sequence[str]:
        """The server's address, and the bucket."""
        return address_and_bucket(url.target)

    @classmethod
    def pick_secrets(cls, secrets: Mapping[str, str]) -> Mapping[str, str]:
        """The token, and the password for a user."""
        return {"token": secrets.get(TOKEN, ""), "password": secrets.get(PASSWORD, "")}

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._server.close()

    async def check(self) -> None:
        """Send an empty write: the server still checks the credentials and the bucket."""
        body = await self._post(_EMPTY_WRITE)
        if body and not body.mentions(_NO_LINES):
            raise SinkRefusedError(f"{self._server.host} does not accept readings: {body.message}")

    def read(
        self, quantity: Quantity, since: datetime | None = None, until: datetime | None = None
    ) -> AsyncIterator[Reading]:
        """Readings by time, without names unless these are stored as tags."""
        return history(self._server, self._endpoints.query, quantity, since, until)

    async def latest(self) -> Sequence[Reading]:
        """The newest reading of every series."""
        return await newest(self._server, self._endpoints.query, self.max_concurrency)

    async def write_batch(self, readings: Sequence[Reading]) -> list[Rejection]:
        """Store readings with one request, or a few more if the server rejects some."""
        rejected: list[Rejection] = []
        lines: list[Line] = []
        for reading in readings:
            try:
                lines.append(Line(to_line(reading, names=self._names), reading))
            except ValueError as error:
                rejected.append(Rejection(reading, str(error)))
        return rejected + (await self._store(lines) if lines else [])

    async def _store(self, lines: Sequence[Line]) -> list[Rejection]:
        """Send lines until each is stored or rejected; every round splits them further."""
        rejected: list[Rejection] = []
        unsent = [lines]
        is_checked = False
        other_message = ""
        while unsent:
            batch = unsent.pop()
            body = await self._post("".join(f"{line.text}\n" for line in batch))
            if body is None:
                continue
            if not (is_checked or body.is_about_lines):
                await self.check()  # raises if the whole request is at fault
                is_checked = True
            if not body.is_json:
                other_message = body.message
            result = await asyncio.to_thread(body.result_of, batch)
            rejected += (
                Rejection(batch[index].reading, reason) for index, reason in result.rejected.items()
            )
            unsent += reversed(result.to_resend)
        if other_message and 1 < len(lines) == len(rejected):  # a proxy that would refuse any line
            raise SinkRefusedError(
                f"{self._server.host} accepted none of {len(lines)} readings: {other_message}"
            )
        return rejected

    async def _post(self, lines: str) -> ErrorBody | None:
        """Send lines. None if all are stored, otherwise the error that the server reports."""
        response = await self._server.post(
            self._endpoints.write,
            gzip.compress(lines.encode(), compresslevel=4, mtime=0),
            ERROR_LIMIT + _BYTES_PER_CHARACTER * len(lines),
            Content_Encoding="gzip",
            Content_Type="text/plain; charset=utf-8",
        )
        status, body = response.status, response.body
        if status == HTTPStatus.NO_CONTENT:
            return None
        if status in _LINE_ERROR_STATUSES or (status in _SUCCESS and body.is_json):
            return body
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and lines != _EMPTY_WRITE:
            return body
        raise self._server.failure(response, "write")
