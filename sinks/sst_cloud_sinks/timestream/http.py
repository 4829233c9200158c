"""HTTPS to AWS: the CA certificates that are already in memory, and responses of bounded length."""

import ssl
from typing import Any, Final

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession

from sst_cloud.http_bodies import read_body

LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a response. A page of a query has at most 1000 rows of some hundred bytes each."""
_REDIRECTS: Final = range(300, 400)


class _ResponseError(Exception):
    """A response that AWS never sends; aiobotocore makes it an `HTTPClientError`."""


class _Response(aiohttp.ClientResponse):
    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        response = await super().start(connection)
        if self.status in _REDIRECTS:  # aiohttp would send the session token there
            raise _ResponseError("the endpoint redirects elsewhere")
        return response

    async def read(self) -> bytes:
        is_whole = False
        try:
            body, is_whole = await read_body(self, LIMIT)
        finally:
            if not is_whole:
                self.close()
        if not is_whole:
            raise _ResponseError(f"the answer is longer than {LIMIT >> 20} MB")
        return body


class HTTPSession(AIOHTTPSession):  # type: ignore[misc]
    """aiobotocore's session, but with Python's CA certificates, as in the cloud client.

    aiohttp loads those on import; loading botocore's own list would take another 50 to 90 ms on
    the first request. A bundle set by AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE or the profile still
    takes precedence. A response of more than 8 MB raises `HTTPClientError`, as a redirect does.
    """

    async def _get_session(self, proxy_url: str | None) -> aiohttp.ClientSession:
        session: aiohttp.ClientSession = await super()._get_session(proxy_url)
        session._response_class = _Response  # noqa: SLF001  aiobotocore has no option for it
        return session

    def _create_connector(self, proxy_url: str | None) -> aiohttp.BaseConnector:
        key = (True, ssl.get_default_verify_paths().cafile)
        if proxy_url or self._cert_file or self._verify not in key:
            connector: aiohttp.BaseConnector = super()._create_connector(proxy_url)
            return connector
        options: dict[str, Any] = self._connector_args
        return aiohttp.TCPConnector(limit=self._max_pool_connections, **options)
