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
from sst_cloud.http_bodies import ERROR_LIMIT, read_body
from sst_cloud.http_errors import failure_reason, http_date, seconds_until
from sst_cloud.sent_secrets import PlainHttpWarning, Secrets

from .partial_write import ErrorBody, shorten

TOKEN: Final = "INFLUXDB_TOKEN"  # noqa: S105  a name
PASSWORD: Final = "INFLUXDB_PASSWORD"  # noqa: S105
"""The names of the secrets, which are also those of environment variables."""

Purpose = Literal["write", "read"]

_CONNECT_TIMEOUT: Final = 10.0
_TRANSIENT: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_REDIRECTS: Final = range(300, 400)
_SERVER_ERROR: Final = 500
_MISSING_MESSAGES: Final = ("retention policy not found", "database not found", "bucket not found")
_BUSY: Final = re.compile("time-?out|max-concurrent-queries|engine is closed", re.IGNORECASE)
_MAX_LINE_BYTES: Final = 8 * 1024 * 1024
"""Bytes of a line of a response. One has up to 5000 rows, of some hundred bytes each."""
_MIN_SECRET_LENGTH: Final = 16
"""Data is not searched for shorter secrets: a name may contain one by chance."""


@attrs.frozen
class Response:
    """A response that is not the result of a query."""

    status: int
    path: str
    """What was requested."""
    headers: Mapping[str, str]
    body: ErrorBody
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
        self.host: str = url.authority
        self._kind = "database" if version == 1 else "bucket"
        self._store = f"{self._kind} {bucket!r}"
        self._user = user
        self._has_token = bool(token)
        self._headers: dict[str, str] = {}
        credentials = (
            [password, b64encode(f"{user}:{password}".encode()).decode()] if user else [token]
        )
        if user or token:
            self._headers["Authorization"] = f"{'Basic' if user else 'Token'} {credentials[-1]}"
        self._secrets = Secrets(*credentials)
        # A password may be an ordinary word, which is part of a name.
        long_secrets = [secret for secret in credentials[-1:] if len(secret) >= _MIN_SECRET_LENGTH]
        quoted = [quote(secret, safe="") for secret in long_secrets]
        self.data_secrets: Secrets = Secrets(*long_secrets, *quoted, *map(quote, quoted))
        """Masked in all data of a response, too, where tags are quoted."""
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

    async def post(self, url: URL, body: bytes, limit: int, **headers: str) -> Response:
        """A request with a short response: all of it must arrive within the timeout.

        Of more than `limit` bytes only the beginning is read.
        """
        timeout = aiohttp.ClientTimeout(total=self._timeout, sock_connect=_CONNECT_TIMEOUT)
        try:
            async with self._request("POST", url, timeout, headers, data=body) as response:
                return await self._read_response(response, limit)
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
                    async with aclosing(self._split_lines(response.content)) as lines:
                        async for line in lines:
                            yield line
                    return
                failure = self.failure(await self._read_response(response), "read")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            failure = self._unreachable(error)
        raise failure

    async def _split_lines(self, content: aiohttp.StreamReader) -> AsyncGenerator[bytes]:
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
            if size > _MAX_LINE_BYTES:
                raise SinkUnavailableError(
                    f"{self.host} sent a line of more than {_MAX_LINE_BYTES >> 20} MB in answer "
                    "to a query"
                )
        yield b"".join(parts)

    def _request(
        self,
        method: str,
        url: URL,
        timeout: aiohttp.ClientTimeout,
        headers: dict[str, str],
        **options: Any,
    ) -> Any:
        if self._headers:
            self._plain_http.credentials_sent()
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        header_fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._session.request(
            method,
            url,
            headers=self._headers | header_fields,
            timeout=timeout,
            allow_redirects=False,
            raise_for_status=False,
            **options,
        )

    async def _read_response(
        self, response: aiohttp.ClientResponse, limit: int = ERROR_LIMIT
    ) -> Response:
        body, is_whole = await read_body(response, limit)
        parse = partial(ErrorBody.parse, body, self.mask, is_whole=is_whole)
        error_body = await asyncio.to_thread(parse) if len(body) > ERROR_LIMIT else parse()
        return Response(response.status, response.url.path, response.headers, error_body)

    def _unreachable(self, error: Exception) -> SinkError:
        reason = failure_reason(
            error,
            self.host,
            limit=self._timeout,
            connect_limit=_CONNECT_TIMEOUT,
            mask=self.mask,
        )
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return SinkRefusedError(reason)
        return SinkUnavailableError(reason)

    def failure(self, response: Response, purpose: Purpose) -> SinkError:
        """The error for a response that is neither a success nor about individual lines."""
        status, message = response.status, response.body.message
        is_missing = response.body.mentions(_MISSING_MESSAGES)
        is_transient = status in _TRANSIENT or status >= _SERVER_ERROR
        if is_transient and not is_missing:  # which InfluxDB 1 reports as a server error
            # A date is by the server's clock, which is in its Date header.
            now = http_date(response.headers.get("Date", "")) or datetime.now(UTC)
            cannot = "cannot take readings now" if purpose == "write" else "cannot be read now"
            return SinkUnavailableError(
                f"{self.host} {cannot}: {message} (HTTP {status})",
                retry_after=seconds_until(response.headers.get("Retry-After"), now),
            )
        is_missing |= response.body.is_json and status == HTTPStatus.NOT_FOUND
        if is_missing:
            remedy = f"create it, or use something other than {self._store}"
        elif status == HTTPStatus.UNAUTHORIZED:
            remedy = self._credentials_remedy(purpose)
        elif status == HTTPStatus.FORBIDDEN:
            remedy = f"grant {purpose} access to {self._store}"
        elif status in _REDIRECTS:
            remedy = "use the address that it redirects to in the URL"
        else:
            remedy = f"that is not how InfluxDB answers {response.path}: {_address_remedy(purpose)}"
        return SinkRefusedError(f"{self.host}: {message} (HTTP {status}); {remedy}")

    def query_error(self, message: str) -> SinkError:
        """The error for a query that was received and answered with an error."""
        is_missing = any(phrase in message for phrase in _MISSING_MESSAGES)
        is_busy = _BUSY.search(message)
        message = shorten(message, self.mask)
        if is_missing:
            or_access = ", or give the token read access to it" if self._has_token else ""
            return SinkRefusedError(
                f"{self.host}: {message}; create it, or use something other than "
                f"{self._store}{or_access}"
            )
        if is_busy:
            return SinkUnavailableError(f"{self.host} cannot be read now: {message}")
        return SinkRefusedError(f"{self.host} cannot be read: {message}")

    def incomplete_response(self) -> SinkError:
        """The error for a response that was valid but broke off."""
        return SinkUnavailableError(f"{self.host} did not finish its response")

    def foreign_response(self, message: str) -> SinkError:
        """The error for a response that InfluxDB never sends; `message` has no secrets."""
        return SinkRefusedError(
            f"{self.host} does not understand InfluxQL ({message}): {_address_remedy('read')}"
        )

    def _credentials_remedy(self, purpose: Purpose) -> str:
        if self._user:
            return f"check the user {self._user!r}, and the password in {PASSWORD}"
        if self._has_token:
            verb = "write to" if purpose == "write" else "read"
            return f"set {TOKEN} to a token that may {verb} {self._store}"
        or_user = f", or add user= and set {PASSWORD}" if self._kind == "database" else ""
        return f"set {TOKEN} to a token for the server{or_user}"


def _address_remedy(purpose: Purpose) -> str:
    if purpose == "write":
        return "check the address, and whether it needs version=1 or version=2"
    return (
        "check the address; VictoriaMetrics accepts InfluxDB's lines, but cannot be queried like it"
    )
