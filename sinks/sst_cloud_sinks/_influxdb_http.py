"""Requests to InfluxDB: credentials, and what its refusals and failures mean."""

import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Literal

import aiohttp
from yarl import URL

from sst_cloud.errors import SinkError, SinkOptionsError, SinkRefusedError, SinkUnavailableError
from sst_cloud.over_http import http_date, seconds_until, what_failed

from ._partial_write import Complaint, shorten

TOKEN: Final = "INFLUXDB_TOKEN"  # noqa: S105  a name
PASSWORD: Final = "INFLUXDB_PASSWORD"  # noqa: S105
"""The names of the secrets, which are also those of environment variables."""

Aim = Literal["write", "read"]

_CONNECT_TIMEOUT: Final = 10.0
_PASSING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_REDIRECTS: Final = range(300, 400)
_ANY_FAULT: Final = 500
_MISSING: Final = ("retention policy not found", "database not found", "bucket not found")
_BUSY: Final = re.compile("time-?out|max-concurrent-queries|engine is closed", re.IGNORECASE)


class Server:
    """A server with a database or bucket, and the credentials for it."""

    def __init__(  # noqa: PLR0913  every one of them is a choice of the caller
        self,
        host: str,
        bucket: str,
        *,
        version: int,
        user: str,
        token: str,
        password: str,
        session: aiohttp.ClientSession | None,
        timeout: float,
    ) -> None:
        if user and version != 1:
            raise SinkOptionsError("user= is for InfluxDB 1: add version=1, or use a token instead")
        if ":" in user:
            raise SinkOptionsError(f"user= takes only a name; the password is read from {PASSWORD}")
        if user and not password:
            raise SinkOptionsError(f"the password for user {user!r} is missing: set {PASSWORD}")
        token = token.strip()
        if not (token.isascii() and token.isprintable()):
            raise SinkOptionsError(
                f"the token in {TOKEN} is invalid: it contains unexpected characters"
            )
        self.host = host
        self._kind = "database" if version == 1 else "bucket"
        self._where = f"{self._kind} {bucket!r}"
        self._user = user
        self._has_token = bool(token)
        self._headers: dict[str, str] = {}
        if user:
            secret = b64encode(f"{user}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {secret}"
        elif token:
            self._headers["Authorization"] = f"Token {token}"
        self._session = session
        self._owns_session = session is None
        self._timeout = timeout

    async def close(self) -> None:
        """Close the session if it is ours; the next request opens a new one."""
        if self._owns_session and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    @asynccontextmanager
    async def post(self, url: URL, body: bytes, **headers: str) -> AsyncIterator[Any]:
        """A request with a short response: all of it must arrive within the timeout."""
        timeout = aiohttp.ClientTimeout(total=self._timeout, sock_connect=_CONNECT_TIMEOUT)
        async with self._request("POST", url, timeout, headers, data=body) as response:
            yield response

    @asynccontextmanager
    async def get(self, url: URL, **headers: str) -> AsyncIterator[Any]:
        """A request whose response may be long, as long as it does not stall."""
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_TIMEOUT, sock_read=self._timeout
        )
        async with self._request("GET", url, timeout, headers) as response:
            yield response

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        url: URL,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  aiohttp's own
        headers: dict[str, str],
        **more: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            async with self._session.request(
                method,
                url,
                headers=self._headers | named,
                timeout=timeout,
                allow_redirects=False,
                raise_for_status=False,
                **more,
            ) as response:
                yield response
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> SinkError:
        said = what_failed(error, self.host, limit=self._timeout, connect_limit=_CONNECT_TIMEOUT)
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return SinkRefusedError(said)
        return SinkUnavailableError(said)

    def failure(
        self, response: aiohttp.ClientResponse, complaint: Complaint, aim: Aim
    ) -> SinkError:
        """The error for a response that is neither a success nor about individual lines."""
        status, said = response.status, complaint.message
        missing = any(words in said for words in _MISSING)
        passing = status in _PASSING or status >= _ANY_FAULT
        if passing and not missing:  # which InfluxDB 1 reports as a server error
            # A date is by the server's clock, which is in its Date header.
            now = http_date(response.headers.get("Date", "")) or datetime.now(UTC)
            cannot = "cannot take readings now" if aim == "write" else "cannot be read now"
            return SinkUnavailableError(
                f"{self.host} {cannot}: {said} (HTTP {status})",
                retry_after=seconds_until(response.headers.get("Retry-After"), now),
            )
        missing |= complaint.is_json and status == HTTPStatus.NOT_FOUND
        if missing:
            remedy = f"create it, or use something other than {self._where}"
        elif status == HTTPStatus.UNAUTHORIZED:
            remedy = self._way_in(aim)
        elif status == HTTPStatus.FORBIDDEN:
            remedy = f"grant {aim} access to {self._where}"
        elif status in _REDIRECTS:
            remedy = "use the address that it redirects to in the URL"
        else:
            remedy = f"that is not how InfluxDB answers {response.url.path}: {_stranger(aim)}"
        return SinkRefusedError(f"{self.host}: {said} (HTTP {status}); {remedy}")

    def refusal(self, said: str) -> SinkError:
        """The error for a query that was received and answered with an error."""
        said = shorten(said)
        if any(words in said for words in _MISSING):
            also = ", or give the token read access to it" if self._has_token else ""
            return SinkRefusedError(
                f"{self.host}: {said}; create it, or use something other than {self._where}{also}"
            )
        if _BUSY.search(said):
            return SinkUnavailableError(f"{self.host} cannot be read now: {said}")
        return SinkRefusedError(f"{self.host} cannot be read: {said}")

    def cut_off(self) -> SinkError:
        """The error for a response that started well but broke off."""
        return SinkUnavailableError(f"{self.host} did not finish its response")

    def foreign(self, said: str) -> SinkError:
        """The error for a response that InfluxDB never gives to a query."""
        return SinkRefusedError(
            f"{self.host} does not understand InfluxQL ({said}): {_stranger('read')}"
        )

    def _way_in(self, aim: Aim) -> str:
        if self._user:
            return f"check the user {self._user!r}, and the password in {PASSWORD}"
        if self._has_token:
            may = "write to" if aim == "write" else "read"
            return f"set {TOKEN} to a token that may {may} {self._where}"
        more = f", or add user= and set {PASSWORD}" if self._kind == "database" else ""
        return f"set {TOKEN} to a token for the server{more}"


def _stranger(aim: Aim) -> str:
    if aim == "write":
        return "check the address, and whether it needs version=1 or version=2"
    return (
        "check the address; VictoriaMetrics accepts InfluxDB's lines, but cannot be queried like it"
    )
