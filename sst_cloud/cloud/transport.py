"""The one request function: URL, timeouts, retry, status → error, JSON, redacted log line."""

import asyncio
import json as json_module
import logging
import random
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final, TypeVar

import aiohttp
from yarl import URL

from sst_cloud._version import __version__
from sst_cloud.bounded_json import loads
from sst_cloud.clock import Clock, SystemClock
from sst_cloud.errors import (
    AccessDeniedError,
    ApiError,
    BadCredentialsError,
    ConnectionFailedError,
    NotFoundError,
    PayloadError,
    RateLimitedError,
    RequestTimeoutError,
    ServiceUnavailableError,
    SSTCloudError,
    TokenRejectedError,
    TransportError,
)
from sst_cloud.http_bodies import ERROR_LIMIT, EXCERPT_LENGTH, describe_body, read_body
from sst_cloud.http_errors import failure_reason, seconds_until
from sst_cloud.redaction import MASK, is_sensitive, redact_text
from sst_cloud.sent_secrets import PlainHttpWarning, Secrets

from .request_limiter import RequestLimiter

_log = logging.getLogger(__name__)

T = TypeVar("T")

BASE_URL: Final = "https://api.sst-cloud.com"
LOGIN_PATH: Final = "/auth/login/"

ATTEMPTS: Final = 4
MAX_WAITING: Final = 30.0
"""Seconds that a request may spend waiting between its attempts, in total."""
FIRST_WAIT: Final = 4.0
"""Upper bound of the first random delay in seconds; it doubles, so 4 + 8 + 16 = 28 in total."""

_RETRIED_STATUSES: Final = frozenset({429, 502, 503, 504})
_ERRORS: Final[Mapping[int, type[ApiError]]] = {
    401: TokenRejectedError,
    403: AccessDeniedError,
    404: NotFoundError,
    429: RateLimitedError,
}
_NOT_LOGGED_IN: Final = re.compile("invalid token|credentials were not|токен|уч[её]тные данные")
"""A 403 with this text is really a 401: Django REST framework sends it where cookies come first."""
_LOGIN_REFUSED_STATUSES: Final = frozenset({400, 401, 403})
_SESSION_COOKIES: Final = frozenset({"sessionid", "csrftoken"})
"""Set by the cloud at login. Sent along with a token, they would require a CSRF header too."""
_MAX_DETAIL: Final = 200
_SUCCESS: Final = range(200, 300)
_MAX_BYTES: Final = 8 * 1024 * 1024
"""Bytes of a response, decompressed. A big house has some tens of kilobytes."""
_MAX_VALUES: Final = 400_000
"""Values in a response: as objects they take a hundred times the memory of `[{},{},{},…]`."""
_MIN_TOKEN_LENGTH: Final = 16
"""Data is not searched for shorter tokens: a name may contain one by chance. Real ones have 40."""
_LARGE_BYTES: Final = 256 * 1024
"""Beyond this, responses are received one at a time and parsed in a thread."""


class Transport:
    """Requests to one cloud. Owns its aiohttp session unless one is injected."""

    def __init__(  # noqa: PLR0913  every one of them is an option of SSTCloud
        self,
        base_url: str = BASE_URL,
        *,
        session: aiohttp.ClientSession | None = None,
        timeout: float = 60.0,
        connect_timeout: float = 10.0,
        limiter: RequestLimiter | None = None,
        clock: Clock | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        url = URL(base_url.rstrip("/"))
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"the base URL must look like {BASE_URL}, not {redact_text(base_url)}")
        if url.user or url.password or url.query_string or url.fragment:
            raise ValueError(
                f"the base URL must look like {BASE_URL}, without user, query or fragment"
            )
        self._base = str(url).rstrip("/")
        self._host = url.host
        self._plain_http = PlainHttpWarning(url.scheme, url.host)
        self._session = session
        self._owns_session = session is None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=connect_timeout)
        self._limiter = limiter or RequestLimiter()
        self._secrets = Secrets()
        """All that were ever sent: an error may repeat those of an earlier request."""
        self._tokens = Secrets()
        """Tokens are masked in all data of a response, too."""
        self._clock = clock or SystemClock()
        self._random = random

    async def close(self) -> None:
        """Close the session if it is ours; an injected one stays open."""
        self._closed = True
        session, self._session = self._session, None
        if self._owns_session and session is not None:
            await session.close()

    async def request(  # noqa: PLR0913  all of a request's parts
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        json: Any = None,
        repeatable: bool | None = None,
        read: Callable[[Any], T],
    ) -> T:
        """Make a request and return what `read` makes of its JSON (None for an empty response).

        `path` begins and ends with a slash. `read` is called in a thread for a large response, and
        may raise `PayloadError`, as a response of more than 8 MB does. `repeatable` requests (by
        default only GET) are retried after connection errors, timeouts, 429 and 502-504: at most 4
        attempts and 30 s of waiting between them, with full jitter, honouring Retry-After. Other
        requests are retried only if the failed attempt cannot have reached the cloud.
        """
        repeatable = method == "GET" if repeatable is None else repeatable

        waiting = 0.0
        attempt = 1
        while True:
            try:
                return await self._attempt(method, path, token, json, read)
            except (TransportError, ApiError) as error:
                delay = self._retry_delay(attempt, error)
                waiting += delay
                if (
                    attempt == ATTEMPTS
                    or waiting > MAX_WAITING
                    or not _may_retry(error, repeatable=repeatable)
                ):
                    raise
                _log.info("%s; attempt %d in %.1f s", error, attempt + 1, delay)
            await self._clock.sleep(delay)
            attempt += 1

    async def _attempt(
        self, method: str, path: str, token: str | None, json: Any, read: Callable[[Any], T]
    ) -> T:
        self._note_secrets(token, json)
        headers = {"Accept": "application/json", "User-Agent": f"sst-cloud/{__version__}"}
        if token is not None:
            headers["Authorization"] = f"Token {token}"
        failure: SSTCloudError
        async with self._limiter.slots().requests:
            session = self._open_session()
            started = perf_counter()
            try:
                async with session.request(
                    method,
                    self._base + path,
                    json=json,
                    headers=headers,
                    timeout=self._timeout,
                    allow_redirects=False,
                    raise_for_status=False,
                ) as response:
                    status, retry_after = response.status, response.headers.get("Retry-After")
                    seconds = perf_counter() - started
                    _log.debug("%s %s: %d in %.3f s", method, path, status, seconds)
                    if status in _SUCCESS:
                        return await self._read_response(response, path, read)
                    body, _ = await read_body(response, ERROR_LIMIT)
                    failure = self._api_error(status, body, path, retry_after)
            except (TimeoutError, aiohttp.ClientError, OSError) as error:
                failure = self._transport_error(error)
            finally:
                if path == LOGIN_PATH:
                    self._forget_cookies(session)
        raise failure  # here, so that aiohttp's error, which holds what was sent, is no part of it

    def _note_secrets(self, token: str | None, json: Any) -> None:
        secrets = _sent_secrets(token, json)
        self._secrets.add(*secrets)
        if token is not None and len(token) >= _MIN_TOKEN_LENGTH:
            self._tokens.add(token)
        if secrets:
            self._plain_http.credentials_sent()

    async def _read_response(
        self, response: aiohttp.ClientResponse, path: str, read: Callable[[Any], T]
    ) -> T:
        """What `read` makes of a response; only one large response is in memory at a time."""
        body, is_whole = await read_body(response, _LARGE_BYTES)
        if is_whole:
            return self._parse(body, path, read)
        async with self._limiter.slots().large_responses:
            rest, is_whole = await read_body(response, _MAX_BYTES - len(body))
            if not is_whole:
                raise PayloadError(f"the response is longer than {_MAX_BYTES >> 20} MB", path)
            body += rest
            if body.count(b",") > _MAX_VALUES:
                raise PayloadError(f"the response has more than {_MAX_VALUES:,} values", path)
            return await asyncio.to_thread(self._parse, body, path, read)

    def _parse(self, body: bytes, path: str, read: Callable[[Any], T]) -> T:
        content, is_json = None, True
        if body.strip():
            try:
                content = loads(body)
            except ValueError:
                is_json = False
        if not is_json:  # raised here, because JSON's own error holds all of the body
            text = body[:EXCERPT_LENGTH].decode("utf-8", "replace")
            # Anything in the response to a login may be a token.
            description = (
                "something else" if path == LOGIN_PATH else describe_body(text, self._secrets.mask)
            )
            raise PayloadError(f"expected JSON, got {description}", path)
        if path != LOGIN_PATH and self._has_token(body, content):
            content = self._tokens.mask_all(content)
        return read(content)

    def _has_token(self, body: bytes, content: Any) -> bool:
        if self._tokens.are_in(body):
            return True
        # Tokens are plain letters; JSON may still have escaped them.
        return rb"\u00" in body and self._tokens.are_in(json_module.dumps(content).encode())

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("this SSTCloud has been closed; create a new one")
        loop = asyncio.get_running_loop()
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
            self._loop = loop
        elif self._owns_session and self._loop is not loop:
            raise RuntimeError("this SSTCloud belongs to another event loop; create one in each")
        return self._session

    def _forget_cookies(self, session: aiohttp.ClientSession) -> None:
        if not self._owns_session:
            hosts = self._host.split(".")  # cookies may be set for the whole domain
            domains = {".".join(hosts[at:]) for at in range(len(hosts))}
            session.cookie_jar.clear(
                lambda cookie: cookie.key in _SESSION_COOKIES and cookie["domain"] in domains
            )

    def _retry_delay(self, attempt: int, error: SSTCloudError) -> float:
        """Full jitter, but never less than the cloud's Retry-After."""
        delay: float = self._random() * FIRST_WAIT * 2 ** (attempt - 1)
        return max(delay, getattr(error, "retry_after", None) or 0.0)

    def _transport_error(self, error: Exception) -> TransportError:
        limit = self._timeout.total or 0
        connect_limit = self._timeout.sock_connect or 0
        mask = self._secrets.mask
        reason = failure_reason(
            error, self._host, limit=limit, connect_limit=connect_limit, mask=mask
        )
        if isinstance(error, TimeoutError):
            connected = not isinstance(error, aiohttp.ConnectionTimeoutError)
            return RequestTimeoutError(reason, request_sent=connected)
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            likely_cause = "The vendor has let it expire before (for days in August 2023)"
            if "not yet valid" in reason:
                likely_cause = "The clock of this machine may be wrong"
            return _UntrustedCertificateError(
                f"{reason}. {likely_cause}; nothing was sent; try again later", request_sent=False
            )
        connected = not isinstance(error, aiohttp.ClientConnectorError)
        return ConnectionFailedError(reason, request_sent=connected)

    def _api_error(self, status: int, body: bytes, path: str, retry_after: str | None) -> ApiError:
        detail = _message(body, self._secrets.mask)[:_MAX_DETAIL]
        if detail in ("", MASK):
            is_standard = status in HTTPStatus.__members__.values()
            detail = HTTPStatus(status).phrase if is_standard else "no reason given"
        if path == LOGIN_PATH and status in _LOGIN_REFUSED_STATUSES:
            return BadCredentialsError(status, detail, path)
        if status == HTTPStatus.FORBIDDEN and _NOT_LOGGED_IN.search(_message(body, str).lower()):
            return TokenRejectedError(status, detail, path)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return RateLimitedError(
                status, detail, path, seconds_until(retry_after, self._clock.now())
            )
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return ServiceUnavailableError(
                status, detail, path, seconds_until(retry_after, self._clock.now())
            )
        return _ERRORS.get(status, ApiError)(status, detail, path)


class _UntrustedCertificateError(ConnectionFailedError):
    """The certificate is not valid: an immediate retry would not help."""


def _may_retry(error: TransportError | ApiError, *, repeatable: bool) -> bool:
    if isinstance(error, ApiError):
        return repeatable and error.status in _RETRIED_STATUSES
    return not isinstance(error, _UntrustedCertificateError) and (
        repeatable or not error.request_sent
    )


def _sent_secrets(token: str | None, json: Any) -> list[str]:
    """Secrets that are sent, and may be repeated in a response."""
    items = json.items() if isinstance(json, Mapping) else ()
    return [*filter(None, [token]), *(str(value) for key, value in items if is_sensitive(key))]


def _message(body: bytes, mask: Callable[[str], str]) -> str:
    """The message in an error's body, on one line; `mask` removes secrets before any cut."""
    if not body.strip():
        return ""
    try:
        message = "; ".join(_messages(loads(body)))
    except ValueError:
        return describe_body(body[:EXCERPT_LENGTH].decode("utf-8", "replace"), mask)
    return " ".join(mask(message[:EXCERPT_LENGTH]).split())


def _messages(content: Any) -> list[str]:
    """Django REST framework's error bodies: a detail, or messages per field."""
    if isinstance(content, Mapping):
        texts: list[str] = []
        for field, value in content.items():
            is_general = field in ("detail", "non_field_errors")
            texts += [text if is_general else f"{field}: {text}" for text in _messages(value)]
        return texts
    if isinstance(content, list):
        return [text for item in content for text in _messages(item)]
    return [] if content is None else [str(content)]
