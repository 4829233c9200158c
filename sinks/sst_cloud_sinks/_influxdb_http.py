"""Requests to InfluxDB: credentials, and what its refusals and failures mean."""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final, Literal
from urllib.parse import quote

import aiohttp
import attrs
from yarl import URL

from sst_cloud.errors import SinkError, SinkOptionsError, SinkRefusedError, SinkUnavailableError
from sst_cloud.over_http import (
    ERROR_LIMIT,
    PlainHttpWarning,
    http_date,
    read_body,
    seconds_until,
    what_failed,
)
from sst_cloud.sent_secrets import Secrets

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
_LINE: Final = 8 * 1024 * 1024
"""Bytes of a line of a response. One has up to 5000 rows, of some hundred bytes each."""
_UNMISTAKABLE: Final = 16
"""Characters of a secret that cannot be part of a name by chance."""


@attrs.frozen
class Answer:
    """A response that is not the result of a query."""

    status: int
    path: str
    """What was requested."""
    headers: Mapping[str, str]
    complaint: Complaint
    """Its body."""


class Server:
    """A server with a database or bucket, and the credentials for it."""

    def __init__(  # noqa: PLR0913  every one of them is a choice of the caller
        self,
        url: URL,
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
        self.host = url.authority
        self._kind = "database" if version == 1 else "bucket"
        self._where = f"{self._kind} {bucket!r}"
        self._user = user
        self._has_token = bool(token)
        self._headers: dict[str, str] = {}
        sent = [password, b64encode(f"{user}:{password}".encode()).decode()] if user else [token]
        if user or token:
            self._headers["Authorization"] = f"{'Basic' if user else 'Token'} {sent[-1]}"
        self._secrets = Secrets(*sent)
        # A password of words may be part of a name.
        long = [secret for secret in sent[-1:] if len(secret) >= _UNMISTAKABLE]
        quoted = [quote(secret, safe="") for secret in long]
        self.in_data = Secrets(*long, *quoted, *map(quote, quoted))
        """Never data, even where an answer has them among its data; tags are written quoted."""
        self._plain_http = PlainHttpWarning(url.scheme, url.host, self.host)
        self._session = session
        self._owns_session = session is None
        self._timeout = timeout

    async def close(self) -> None:
        """Close the session if it is ours; the next request opens a new one."""
        if self._owns_session and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def mask(self, text: str) -> str:
        """A text from the server, without what was sent to it."""
        return self._secrets.mask(text)

    async def post(self, url: URL, body: bytes, limit: int, **headers: str) -> Answer:
        """A request with a short response: all of it must arrive within the timeout.

        Of more than `limit` bytes only the beginning is read.
        """
        timeout = aiohttp.ClientTimeout(total=self._timeout, sock_connect=_CONNECT_TIMEOUT)
        try:
            async with self._request("POST", url, timeout, headers, data=body) as response:
                return await self._answer(response, limit)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            failure = self._unreachable(error)
        raise failure  # here, so that aiohttp's error, which holds what was sent, is no part of it

    async def lines(self, url: URL, **headers: str) -> AsyncGenerator[bytes]:
        """A response that may be long, line by line, as long as it does not stall.

        Only one line is held in memory. Raises the error for any status but 200.
        """
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_TIMEOUT, sock_read=self._timeout
        )
        failure: SinkError
        try:
            async with self._request("GET", url, timeout, headers) as response:
                if response.status == HTTPStatus.OK:
                    async with aclosing(self._split(response.content)) as lines:
                        async for line in lines:
                            yield line
                    return
                failure = self.failure(await self._answer(response), "read")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            failure = self._unreachable(error)
        raise failure

    async def _split(self, content: aiohttp.StreamReader) -> AsyncGenerator[bytes]:
        parts: list[bytes] = []
        size = 0
        async for data in content.iter_any():
            *ended, rest = data.split(b"\n")
            for line in ended:
                yield b"".join((*parts, line))
                parts.clear()
                size = 0
            parts.append(rest)
            size += len(rest)
            if size > _LINE:
                raise SinkUnavailableError(
                    f"{self.host} sent a line of more than {_LINE >> 20} MB in answer to a query"
                )
        yield b"".join(parts)

    def _request(
        self,
        method: str,
        url: URL,
        timeout: aiohttp.ClientTimeout,
        headers: dict[str, str],
        **more: Any,
    ) -> Any:
        if self._headers:
            self._plain_http.credentials_sent()
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._session.request(
            method,
            url,
            headers=self._headers | named,
            timeout=timeout,
            allow_redirects=False,
            raise_for_status=False,
            **more,
        )

    async def _answer(self, response: aiohttp.ClientResponse, limit: int = ERROR_LIMIT) -> Answer:
        body, is_whole = await read_body(response, limit)
        parse = partial(Complaint.parse, body, self.mask, is_whole=is_whole)
        complaint = await asyncio.to_thread(parse) if len(body) > ERROR_LIMIT else parse()
        return Answer(response.status, response.url.path, response.headers, complaint)

    def _unreachable(self, error: Exception) -> SinkError:
        reason = what_failed(
            error,
            self.host,
            limit=self._timeout,
            connect_limit=_CONNECT_TIMEOUT,
            mask=self.mask,
        )
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return SinkRefusedError(reason)
        return SinkUnavailableError(reason)

    def failure(self, answer: Answer, aim: Aim) -> SinkError:
        """The error for a response that is neither a success nor about individual lines."""
        status, said = answer.status, answer.complaint.message
        missing = answer.complaint.mentions(_MISSING)
        passing = status in _PASSING or status >= _ANY_FAULT
        if passing and not missing:  # which InfluxDB 1 reports as a server error
            # A date is by the server's clock, which is in its Date header.
            now = http_date(answer.headers.get("Date", "")) or datetime.now(UTC)
            cannot = "cannot take readings now" if aim == "write" else "cannot be read now"
            return SinkUnavailableError(
                f"{self.host} {cannot}: {said} (HTTP {status})",
                retry_after=seconds_until(answer.headers.get("Retry-After"), now),
            )
        missing |= answer.complaint.is_json and status == HTTPStatus.NOT_FOUND
        if missing:
            remedy = f"create it, or use something other than {self._where}"
        elif status == HTTPStatus.UNAUTHORIZED:
            remedy = self._way_in(aim)
        elif status == HTTPStatus.FORBIDDEN:
            remedy = f"grant {aim} access to {self._where}"
        elif status in _REDIRECTS:
            remedy = "use the address that it redirects to in the URL"
        else:
            remedy = f"that is not how InfluxDB answers {answer.path}: {_stranger(aim)}"
        return SinkRefusedError(f"{self.host}: {said} (HTTP {status}); {remedy}")

    def refusal(self, said: str) -> SinkError:
        """The error for a query that was received and answered with an error."""
        is_missing = any(words in said for words in _MISSING)
        is_busy = _BUSY.search(said)
        said = shorten(said, self.mask)
        if is_missing:
            also = ", or give the token read access to it" if self._has_token else ""
            return SinkRefusedError(
                f"{self.host}: {said}; create it, or use something other than {self._where}{also}"
            )
        if is_busy:
            return SinkUnavailableError(f"{self.host} cannot be read now: {said}")
        return SinkRefusedError(f"{self.host} cannot be read: {said}")

    def cut_off(self) -> SinkError:
        """The error for a response that started well but broke off."""
        return SinkUnavailableError(f"{self.host} did not finish its response")

    def foreign(self, said: str) -> SinkError:
        """The error for a response that InfluxDB never gives to a query; `said` has no secrets."""
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
