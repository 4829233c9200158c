"""A web server with few connections at a time, each for a short time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

MAX_CONNECTIONS: Final = 32
"""At a time: a process may open few files, and needs them for other things."""
_TIMEOUT: Final = 10.0
"""Seconds for a request and its response, as in Prometheus by default."""

Page = Callable[[], Awaitable[web.Response]]


class BoundedServer(web.Server):
    """Serves pages, one per connection.

    A new connection beyond `MAX_CONNECTIONS` closes the oldest that is not being answered: requests
    are served, however many connections send none.
    """

    def __init__(self, pages: Mapping[str, Page]) -> None:
        super().__init__(self._answer, access_log=None, lingering_time=0)
        self._pages = pages
        self._close_calls: dict[object, Callable[[], None]] = {}
        """Connection → the call that closes it, the oldest first."""
        self._answering: set[object] = set()

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        """Called by aiohttp."""
        super().connection_made(handler, transport)
        if len(self._close_calls) >= MAX_CONNECTIONS:
            unanswered = (
                connection for connection in self._close_calls if connection not in self._answering
            )
            self._close_calls[next(unanswered, next(iter(self._close_calls)))]()

        def close() -> None:
            timer.cancel()
            del self._close_calls[handler]
            transport.abort()

        timer = asyncio.get_running_loop().call_later(_TIMEOUT, close)
        self._close_calls[handler] = close

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        """Called by aiohttp."""
        super().connection_lost(handler, exc)
        if handler in self._close_calls:
            self._close_calls[handler]()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        self._answering.add(request.protocol)
        try:
            response = await self._page(request)
        finally:
            self._answering.discard(request.protocol)
        response.force_close()
        return response

    async def _page(self, request: web.BaseRequest) -> web.Response:
        page = self._pages.get(request.path)
        if page is None:
            return web.Response(status=404, text="there is no such page\n")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="use GET\n", headers={"Allow": "GET, HEAD"})
        return await page()
