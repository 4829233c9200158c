"""HTTPS to AWS, with the CA certificates that are already in memory."""

import ssl
from typing import Any

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession


class HTTPSession(AIOHTTPSession):  # type: ignore[misc]
    """aiobotocore's session, but with Python's CA certificates, as in the cloud client.

    aiohttp loads those on import; loading botocore's own list would take another 50 to 90 ms on
    the first request. A bundle set by AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE or the profile still
    takes precedence.
    """

    def _create_connector(self, proxy_url: str | None) -> aiohttp.BaseConnector:
        known = (True, ssl.get_default_verify_paths().cafile)
        if proxy_url or self._cert_file or self._verify not in known:
            connector: aiohttp.BaseConnector = super()._create_connector(proxy_url)
            return connector
        options: dict[str, Any] = self._connector_args
        return aiohttp.TCPConnector(limit=self._max_pool_connections, **options)
