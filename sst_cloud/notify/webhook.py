"""A URL to which every event is posted."""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from yarl import URL

from sst_cloud._version import __version__
from sst_cloud.clock import Clock
from sst_cloud.errors import SinkOptionsError, SinkRefusedError, SinkUnavailableError
from sst_cloud.http_errors import failure_reason, seconds_until
from sst_cloud.redaction import display_name, redact_text
from sst_cloud.sent_secrets import PlainHttpWarning, Secrets

from .base import TIMEOUT, EventRejectedError, Handler, as_json

_CONNECT_TIMEOUT: Final = 10.0
_SUCCESS: Final = range(200, 300)
_SERVER_ERROR: Final = 500
_MIN_SECRET_LENGTH: Final = 6
"""Shorter parts of a path or query are not secret, nor are plain words."""
_PLAIN_WORDS: Final = re.compile("[a-z]++(?:[-_.][a-z]++)*+|v[0-9]++")
_TRANSIENT: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_ABOUT_CONTENT: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
"""Statuses about this one event; any other refusal would apply to every event."""


class WebhookHandler(Handler):
    """Posts every event as JSON to a URL."""

    def __init__(self, url: str, *, clock: Clock | None = None, limit: float = TIMEOUT) -> None:
        """The rest of the URL after the host may be secret, so only scheme and host are shown."""
        super().__init__(clock, limit)
        try:
            self._url = URL(url)
            self._host = self._url.host
        except ValueError:
            self._host = None
        if not self._host or self._url.scheme not in ("http", "https"):
            raise SinkOptionsError("a handler's URL must look like https://host/path")
        port = "" if self._url.is_default_port() else f":{self._url.port}"
        self.name: str = display_name(f"{self._url.scheme}://{self._host}{port}/", str(self._url))
        self._secrets = Secrets(*_secrets(self._url))
        self._has_credentials = _has_credentials(self._url)
        self._plain_http = PlainHttpWarning(self._url.scheme, self._host)
        self._timeout = aiohttp.ClientTimeout(total=limit, sock_connect=_CONNECT_TIMEOUT)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def check(self) -> None:
        """Warn of credentials sent unencrypted; more cannot be checked without an event."""
        if self._has_credentials:
            self._plain_http.credentials_sent()

    async def send(self, content: Mapping[str, Any]) -> None:
        """Post one JSON object. Redirects are not followed, and a response's body is not read."""
        await self.check()
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"sst-cloud/{__version__}",
        }
        failure: SinkRefusedError | SinkUnavailableError
        try:
            async with self._session.post(
                self._url,
                data=as_json(content),
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                raise_for_status=False,
            ) as response:
                status, retry_after = response.status, response.headers.get("Retry-After")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            failure = self._unreachable(error)
        else:
            return self._raise_for_status(status, seconds_until(retry_after, self._clock.now()))
        raise failure  # outside the `except`: aiohttp's error contains the whole URL

    def _unreachable(self, error: Exception) -> SinkRefusedError | SinkUnavailableError:
        reason = failure_reason(
            error,
            str(self._host),
            limit=self._limit,
            connect_limit=_CONNECT_TIMEOUT,
            mask=lambda text: self._secrets.mask(text.replace(str(self._url), "the URL")),
        )
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return SinkRefusedError(reason)
        return SinkUnavailableError(reason)

    def _raise_for_status(self, status: int, retry_after: float | None) -> None:
        """Raise the error for a status, if it is one."""
        if status in _SUCCESS:
            return
        if status in _TRANSIENT or status >= _SERVER_ERROR:
            raise SinkUnavailableError(
                f"{self._host} cannot accept it now (HTTP {status})", retry_after=retry_after
            )
        if status in _ABOUT_CONTENT:
            raise EventRejectedError(f"{self._host} rejected it (HTTP {status})")
        raise SinkRefusedError(f"{self._host} refused it (HTTP {status}); check the URL")


def _secrets(url: URL) -> Iterator[str]:
    """Parts of a URL that may be secret: its path often is."""
    yield from filter(None, (url.password, url.user if _is_secret(url.user) else None))
    yield from filter(_is_secret, url.path.split("/"))
    yield from filter(_is_secret, url.query.values())


def _is_secret(part: str | None) -> bool:
    return part is not None and len(part) >= _MIN_SECRET_LENGTH and not _PLAIN_WORDS.fullmatch(part)


def _has_credentials(url: URL) -> bool:
    text = f"{url.scheme}://{url.raw_authority}/?{url.raw_query_string}"
    return redact_text(text) != text
