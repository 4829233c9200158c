"""A URL to which every event is posted."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from yarl import URL

from sst_cloud._version import __version__
from sst_cloud.clock import Clock
from sst_cloud.errors import SinkOptionsError, SinkRefusedError, SinkUnavailableError
from sst_cloud.over_http import seconds_until, what_failed
from sst_cloud.redaction import name_of

from .handler import LIMIT, Handler, NotWantedError, as_json

_CONNECT_LIMIT: Final = 10.0
_OK: Final = range(200, 300)
_FAULTS: Final = 500
_PASSING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
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

    def __init__(self, url: str, *, clock: Clock | None = None, limit: float = LIMIT) -> None:
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
        self.name: str = name_of(f"{self._url.scheme}://{self._host}{port}/", str(self._url))
        self._timeout = aiohttp.ClientTimeout(total=limit, sock_connect=_CONNECT_LIMIT)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def check(self) -> None:
        """Nothing to check without posting an event; the URL has already been validated."""

    async def send(self, content: Mapping[str, Any]) -> None:
        """Post one JSON object. Redirects are not followed."""
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"sst-cloud/{__version__}",
        }
        try:
            async with self._session.post(
                self._url,
                data=as_json(content),
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                raise_for_status=False,
            ) as response:
                status = response.status
                asked = seconds_until(response.headers.get("Retry-After"), self._clock.now())
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            said = what_failed(
                error, str(self._host), limit=self._limit, connect_limit=_CONNECT_LIMIT
            )
            if isinstance(error, aiohttp.ClientConnectorCertificateError):
                raise SinkRefusedError(said) from None
            raise SinkUnavailableError(said) from None
        if status in _OK:
            return
        if status in _PASSING or status >= _FAULTS:
            raise SinkUnavailableError(
                f"{self._host} cannot accept it now (HTTP {status})", retry_after=asked
            )
        if status in _ABOUT_CONTENT:
            raise NotWantedError(f"{self._host} rejected it (HTTP {status})")
        raise SinkRefusedError(f"{self._host} refused it (HTTP {status}); check the URL")
