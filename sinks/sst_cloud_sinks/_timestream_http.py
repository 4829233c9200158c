"""The way to AWS over TLS, with the certificates that are in memory already."""

import ssl
from typing import Any

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession


class HTTPSession(AIOHTTPSession):  # type: ignore[misc]
    """aiobotocore's, but it trusts whom Python trusts, as the client of the cloud does.

    aiohttp has read those certificates when it was imported; botocore's own list would take
    another 50 to 90 ms at the first request. A bundle of its own that AWS_CA_BUNDLE,
    REQUESTS_CA_BUNDLE or the profile names counts as ever.
    """

    def _create_connector(self, proxy_url: str | None) -> aiohttp.BaseConnector:
        known = (True, ssl.get_default_verify_paths().cafile)
        if proxy_url or self._cert_file or self._verify not in known:
            connector: aiohttp.BaseConnector = super()._create_connector(proxy_url)
            return connector
        options: dict[str, Any] = self._connector_args
        return aiohttp.TCPConnector(limit=self._max_pool_connections, **options)
