"""The one request function: URL, timeouts, retry, status → error, JSON, redacted log line."""

import asyncio
import logging
import random
import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final

import aiohttp
import tenacity
from yarl import URL

from ._json import loads
from ._version import __version__
from .clock import Clock, SystemClock
from .errors import (
    AccessDeniedError,
    ApiError,
    BadCredentialsError,
    ConnectionFailedError,
    NotFoundError,
    PayloadError,
    RateLimitedError,
    RequestTimeoutError,
    ServiceUnavailableError,
    TokenRejectedError,
    TransportError,
)
from .over_http import seconds_until, what_failed
from .redaction import MASK, is_sensitive, redact_text

_log = logging.getLogger(__name__)

BASE_URL: Final = "https://api.sst-cloud.com"
LOGIN_PATH: Final = "/auth/login/"

ATTEMPTS: Final = 4
MAX_WAITING: Final = 30.0
"""Seconds that a request may spend waiting between its attempts, in total."""
FIRST_WAIT: Final = 4.0
"""Upper bound of the first random delay in seconds; it doubles, so 4 + 8 + 16 = 28 in total."""

_RETRIED: Final = frozenset({429, 502, 503, 504})
_ERRORS: Final[Mapping[int, type[ApiError]]] = {
    401: TokenRejectedError,
    403: AccessDeniedError,
    404: NotFoundError,
    429: RateLimitedError,
}
_NOT_LOGGED_IN: Final = re.compile("invalid token|credentials were not|токен|уч[её]тные данные")
"""A 403 with this text is really a 401: Django REST framework sends it where cookies come first."""
_REFUSED_LOGIN: Final = frozenset({400, 401, 403})
_SESSION_COOKIES: Final = frozenset({"sessionid", "csrftoken"})
"""Set by the cloud at login. Sent along with a token, they would require a CSRF header too."""
_MAX_DETAIL: Final = 200
_OK: Final = range(200, 300)


class Transport:
    """Requests to one cloud. Owns its aiohttp session unless one is injected."""

    def __init__(  # noqa: PLR0913  every one of them is an option of SSTCloud
        self,
        base_url: str = BASE_URL,
        *,
        session: aiohttp.ClientSession | None = None,
        timeout: float = 60.0,
        connect_timeout: float = 10.0,
        max_concurrency: int = 8,
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
        if max_concurrency < 1:
            raise ValueError("max_concurrency must be at least 1")
        self._base = str(url).rstrip("/")
        self._host = url.host
        self._session = session
        self._owns_session = session is None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=connect_timeout)
        self._slots = asyncio.Semaphore(max_concurrency)
        self._clock = clock or SystemClock()
        self._random = random

    async def close(self) -> None:
        """Close the session if it is ours; an injected one stays open."""
        self._closed = True
        session, self._session = self._session, None
        if self._owns_session and session is not None:
            await session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        json: Any = None,
        repeatable: bool | None = None,
    ) -> Any:
        """Make a request and return the JSON of its response (None for an empty one).

        `path` begins and ends with a slash. `repeatable` requests (by default only GET) are
        retried after connection errors, timeouts, 429 and 502-504: at most 4 attempts and 30 s of
        waiting between them, with full jitter, honouring Retry-After. Other requests are retried
        only if the failed attempt cannot have reached the cloud.
        """
        repeatable = method == "GET" if repeatable is None else repeatable

        def retry(error: BaseException) -> bool:
            if isinstance(error, TransportError):
                return not isinstance(error, _UntrustedError) and (
                    repeatable or not error.request_sent
                )
            return repeatable and isinstance(error, ApiError) and error.status in _RETRIED

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(retry),
            stop=_given_up,
            wait=self._wait,
            sleep=self._clock.sleep,
            before_sleep=_log_retry,
            reraise=True,
        )
        return await retrying(self._attempt, method, path, token, json)

    async def _attempt(self, method: str, path: str, token: str | None, json: Any) -> Any:
        headers = {"Accept": "application/json", "User-Agent": f"sst-cloud/{__version__}"}
        if token is not None:
            headers["Authorization"] = f"Token {token}"
        async with self._slots:
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
                    status = response.status
                    retry_after = response.headers.get("Retry-After")
                    body = await response.read()
            except (TimeoutError, aiohttp.ClientError, OSError) as error:
                raise self._transport_error(error) from error
            finally:
                if path == LOGIN_PATH:
                    self._forget_cookies(session)
        seconds = perf_counter() - started
        _log.debug("%s %s: %d, %d bytes in %.3f s", method, path, status, len(body), seconds)
        if status not in _OK:
            detail = _detail(status, body, _secrets(token, json))
            raise self._api_error(status, detail, path, retry_after)
        return _content(body, path)

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

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Full jitter, but never less than the cloud asked for."""
        wait: float = self._random() * FIRST_WAIT * 2 ** (state.attempt_number - 1)
        error = state.outcome.exception() if state.outcome else None
        asked = getattr(error, "retry_after", None)
        return wait if asked is None else max(wait, asked)

    def _transport_error(self, error: Exception) -> TransportError:
        limit = self._timeout.total or 0
        connect_limit = self._timeout.sock_connect or 0
        said = what_failed(error, self._host, limit=limit, connect_limit=connect_limit)
        if isinstance(error, TimeoutError):
            connected = not isinstance(error, aiohttp.ConnectionTimeoutError)
            return RequestTimeoutError(said, request_sent=connected)
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            why = "The vendor has let it expire before (for days in August 2023)"
            if "not yet valid" in said:
                why = "The clock of this machine may be wrong"
            return _UntrustedError(
                f"{said}. {why}; nothing was sent; try again later", request_sent=False
            )
        connected = not isinstance(error, aiohttp.ClientConnectorError)
        return ConnectionFailedError(said, request_sent=connected)

    def _api_error(self, status: int, detail: str, path: str, retry_after: str | None) -> ApiError:
        if path == LOGIN_PATH and status in _REFUSED_LOGIN:
            return BadCredentialsError(status, detail, path)
        if status == HTTPStatus.FORBIDDEN and _NOT_LOGGED_IN.search(detail.lower()):
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


class _UntrustedError(ConnectionFailedError):
    """The certificate is not valid: an immediate retry would not help."""


def _given_up(state: tenacity.RetryCallState) -> bool:
    waiting = state.idle_for + state.upcoming_sleep
    return state.attempt_number >= ATTEMPTS or waiting > MAX_WAITING


def _log_retry(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.info("%s; attempt %d in %.1f s", error, state.attempt_number + 1, state.upcoming_sleep)


def _content(body: bytes, path: str) -> Any:
    if not body.strip():
        return None
    try:
        return loads(body)
    except ValueError:
        raise PayloadError(f"expected JSON, got {_describe(body)}", path) from None


def _secrets(token: str | None, json: Any) -> list[str]:
    """Secrets that were sent, and may be echoed in a response."""
    sent = json.items() if isinstance(json, Mapping) else ()
    return [*filter(None, [token]), *(str(value) for key, value in sent if is_sensitive(key))]


def _detail(status: int, body: bytes, secrets: Iterable[str]) -> str:
    """The message in an error's body, on one line, without secrets."""
    try:
        said = "; ".join(_messages(loads(body)))
    except (ValueError, RecursionError):
        said = _describe(body) if body.strip() else ""
    if not said:
        known = status in HTTPStatus.__members__.values()
        said = HTTPStatus(status).phrase if known else "no reason given"
    for secret in secrets:
        said = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, said)
    return redact_text(" ".join(said.split()))[:_MAX_DETAIL]


def _messages(content: Any) -> list[str]:
    """Django REST framework's error bodies: a detail, or messages per field."""
    if isinstance(content, Mapping):
        texts: list[str] = []
        for field, value in content.items():
            general = field in ("detail", "non_field_errors")
            texts += [text if general else f"{field}: {text}" for text in _messages(value)]
        return texts
    if isinstance(content, list):
        return [text for item in content for text in _messages(item)]
    return [] if content is None else [str(content)]


def _describe(body: bytes) -> str:
    text = body[:4096].decode("utf-8", "replace")
    if re.search(r"<(!doctype|html|head|body|h1)\b", text, re.IGNORECASE):
        title = re.search(r"<(title|h1)[^>]*>\s*(.*?)\s*</", text, re.IGNORECASE | re.DOTALL)
        said = _shown(title[2]) if title else ""
        return f"an HTML page ({said})" if said else "an HTML page"
    if text.lstrip()[:1] in ("{", "["):
        return "truncated or malformed JSON"
    return f"text ({_shown(text)})"


def _shown(text: str) -> str:
    return redact_text(" ".join(text.split()))[:60]
