"""Readings in InfluxDB, version 1, 2 or 3, and what speaks like it: line protocol over HTTP."""

import asyncio
import gzip
import os
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import ClassVar, Final, Self

import aiohttp

from sst_cloud.errors import (
    SinkError,
    SinkOptionsError,
    SinkRefusedError,
    SinkUnavailableError,
)
from sst_cloud.readings import Reading
from sst_cloud.sink import Guarantee, Option, Rejection, SinkURL, WriteReport, choice

from ._influxdb_url import address_and_bucket, write_endpoint
from ._line_protocol import to_line
from ._partial_write import Complaint, Line

TOKEN: Final = "INFLUXDB_TOKEN"  # noqa: S105  a name
PASSWORD: Final = "INFLUXDB_PASSWORD"  # noqa: S105
"""The environment variables that hold the secrets."""

_NOTHING: Final = "# may I write?\n"
"""A comment: the server checks credentials and bucket, and stores nothing."""
_NO_LINES: Final = ("requires points", "write was empty")
"""How a server says that a comment is no line."""
_CONNECT_TIMEOUT: Final = 10.0
_BLAMING: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
_PASSING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_OK: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
_ANY_FAULT: Final = 500


class InfluxDBSink:
    """Writes readings to a bucket of InfluxDB 2 or 3, or to a database of InfluxDB 1.

    A measurement for each kind of device part, tags that identify it, fields with the unit in
    their names. The secret is in the environment: INFLUXDB_TOKEN, or INFLUXDB_PASSWORD for a user.
    """

    target: ClassVar[str] = "https://HOST:8086/BUCKET"
    options: ClassVar[Sequence[Option]] = (
        Option("org", "organization that owns the bucket (InfluxDB 2)"),
        Option("version", "2 (also for InfluxDB 3; the default) or 1", choice("1", "2")),
        Option("user", "user, with its password in INFLUXDB_PASSWORD (version=1)"),
        Option("retention_policy", "the database's own if not given (version=1)"),
        Option("names", "yes: names of house, device and point as tags too", choice("yes", "no")),
    )
    guarantee: ClassVar[Guarantee] = Guarantee.IDEMPOTENT

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
        """`url` is the server's address, `bucket` is the database for `version` 1."""
        self._endpoint = write_endpoint(
            url, bucket, org=org, version=version, retention_policy=retention_policy
        )
        self._host = self._endpoint.authority
        if user and version != 1:
            raise SinkOptionsError("a user is of InfluxDB 1: add version=1, or use a token")
        if ":" in user:
            raise SinkOptionsError(f"user= takes a name alone; its password comes from {PASSWORD}")
        if user and not password:
            raise SinkOptionsError(f"the password of user {user!r} is missing: set {PASSWORD}")
        if batch_size < 1 or max_concurrency < 1 or timeout <= 0:
            raise ValueError("batch_size, max_concurrency and timeout must be positive")
        token = token.strip()
        if not (token.isascii() and token.isprintable()):
            raise SinkOptionsError(f"the token in {TOKEN} is not one: it holds odd characters")
        self._bucket = bucket
        self._kind = "database" if version == 1 else "bucket"
        self._user = user
        self._has_token = bool(token)
        self._headers = {
            "Content-Encoding": "gzip",
            "Content-Type": "text/plain; charset=utf-8",
        }
        if user:
            secret = b64encode(f"{user}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {secret}"
        elif token:
            self._headers["Authorization"] = f"Token {token}"
        self._names = names
        self._session = session
        self._owns_session = session is None
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=_CONNECT_TIMEOUT)
        self._batch_size = batch_size
        self._slots = asyncio.Semaphore(max_concurrency)

    @classmethod
    def from_url(cls, url: SinkURL) -> Self:
        """`influxdb:https://HOST:8086/BUCKET?org=ORG`; secrets come from the environment."""
        options = url.convert(cls.options)
        address, bucket = address_and_bucket(url.target)
        return cls(
            address,
            bucket,
            org=options.get("org", ""),
            version=int(options.get("version", "2")),
            user=options.get("user", ""),
            retention_policy=options.get("retention_policy", ""),
            names=options.get("names") == "yes",
            token=os.environ.get(TOKEN, ""),
            password=os.environ.get(PASSWORD, ""),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._owns_session and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def check(self) -> None:
        """Ask the server to write nothing: it looks at credentials and bucket all the same."""
        complaint = await self._post(_NOTHING)
        if complaint and not any(words in complaint.message for words in _NO_LINES):
            raise SinkRefusedError(f"{self._host} does not take readings: {complaint.message}")

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        """Store readings, a batch a request, a few requests at a time."""
        size = self._batch_size
        batches = [readings[start : start + size] for start in range(0, len(readings), size)]
        if len(batches) > 1 and len({reading.key for reading in readings}) < len(readings):
            # Of readings with one key the last must win: no two batches at once.
            found = [await self._write_batch(batch) for batch in batches]
        else:
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(self._write_batch(batch)) for batch in batches]
            except ExceptionGroup as errors:
                raise errors.exceptions[0]  # noqa: B904  it has its own cause
            found = [task.result() for task in tasks]
        rejected = tuple(rejection for rejections in found for rejection in rejections)
        return WriteReport(len(readings) - len(rejected), rejected)

    async def _write_batch(self, readings: Sequence[Reading]) -> list[Rejection]:
        async with self._slots:
            rejected: list[Rejection] = []
            lines: list[Line] = []
            for reading in readings:
                try:
                    lines.append(Line(to_line(reading, names=self._names), reading))
                except ValueError as error:
                    rejected.append(Rejection(reading, str(error)))
            return rejected + (await self._store(lines) if lines else [])

    async def _store(self, lines: Sequence[Line]) -> list[Rejection]:
        """Send lines until each is stored or known to be at fault: no loop, each round divides."""
        rejected: list[Rejection] = []
        waiting = [lines]
        checked = False
        foreign = ""
        while waiting:
            part = waiting.pop()
            complaint = await self._post("".join(f"{line.text}\n" for line in part))
            if complaint is None:
                continue
            if not (checked or complaint.is_about_lines):
                await self.check()  # raises if it is the request that is wrong
                checked = True
            if not complaint.is_json:
                foreign = complaint.message
            verdict = complaint.judge(part)
            rejected += (
                Rejection(part[index].reading, reason) for index, reason in verdict.blamed.items()
            )
            waiting += reversed(verdict.again)
        if foreign and 1 < len(lines) == len(rejected):  # some proxy, that would refuse any line
            raise SinkRefusedError(f"{self._host} takes none of {len(lines)} readings: {foreign}")
        return rejected

    async def _post(self, lines: str) -> Complaint | None:
        """Send lines. None if all are stored, or what the server has against some of them."""
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        try:
            async with self._session.post(
                self._endpoint,
                data=gzip.compress(lines.encode(), compresslevel=4, mtime=0),
                headers=self._headers,
                timeout=self._timeout,
                allow_redirects=False,
                raise_for_status=False,
            ) as response:
                body = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error) from error
        if response.status == HTTPStatus.NO_CONTENT:
            return None
        complaint = Complaint.parse(body)
        if response.status in _BLAMING or (response.status in _OK and complaint.is_json):
            return complaint
        if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and lines != _NOTHING:
            return complaint
        raise self._failure(response, complaint)

    def _unreachable(self, error: Exception) -> SinkError:
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            reason = getattr(error.certificate_error, "verify_message", "it does not check")
            return SinkRefusedError(
                f"the TLS certificate of {self._host} cannot be trusted: {reason}"
            )
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            limit = f"{self._timeout.sock_connect:g} s"
            return SinkUnavailableError(f"{self._host} could not be connected to within {limit}")
        if isinstance(error, TimeoutError):
            return SinkUnavailableError(f"{self._host} did not answer in {self._timeout.total:g} s")
        if isinstance(error, aiohttp.ClientConnectorError):
            reason = error.os_error.strerror or str(error.os_error)
            return SinkUnavailableError(f"{self._host} cannot be reached: {reason}")
        return SinkUnavailableError(
            f"the connection to {self._host} broke: {str(error) or type(error).__name__}"
        )

    def _failure(self, response: aiohttp.ClientResponse, complaint: Complaint) -> SinkError:
        """The error for an answer that says nothing of single lines."""
        unknown_policy = "retention policy not found" in complaint.message
        passing = response.status in _PASSING or response.status >= _ANY_FAULT
        if passing and not unknown_policy:  # which InfluxDB 1 calls a fault of its own
            return SinkUnavailableError(
                f"{self._host} cannot take readings now: {complaint.message} "
                f"(HTTP {response.status})",
                retry_after=_retry_after(response),
            )
        return SinkRefusedError(
            f"{self._host}: {complaint.message} (HTTP {response.status}); "
            + self._remedy(response.status, missing=complaint.is_json or unknown_policy)
        )

    def _remedy(self, status: int, *, missing: bool) -> str:
        where = f"{self._kind} {self._bucket!r}"
        if status == HTTPStatus.UNAUTHORIZED:
            return self._way_in
        if status == HTTPStatus.FORBIDDEN:
            return f"grant us write access to {where}"
        if missing and (status == HTTPStatus.NOT_FOUND or status >= _ANY_FAULT):
            return f"create what is missing, or name another than {where}"
        if status in _REDIRECTS:
            return "put the address that it redirects to into the URL"
        return (
            f"InfluxDB does not answer {self._endpoint.path} so: check the address, and whether "
            f"it needs version=1 or version=2"
        )

    @property
    def _way_in(self) -> str:
        if self._user:
            return f"check the user {self._user!r}, and the password in {PASSWORD}"
        if self._has_token:
            return f"put a token into {TOKEN} that may write to {self._kind} {self._bucket!r}"
        more = f", or name a user= and set {PASSWORD}" if self._kind == "database" else ""
        return f"set {TOKEN} to a token of the server{more}"


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """A Retry-After header, seconds or a date by the server's own clock, as seconds from now."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    moment = _date(text)
    if moment is None:
        return None
    now = _date(response.headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (moment - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
