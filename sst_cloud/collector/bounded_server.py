"""A web server for few visitors at a time, none of whom stays for long."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

MOST: Final = 32
"""Connections at a time: the files that a process may open are needed for other things."""
_LIMIT: Final = 10.0
"""Seconds for a request and its answer, after which Prometheus gives up by default, too."""

Page = Callable[[], Awaitable[web.Response]]


class BoundedServer(web.Server):
    """Serves pages, one to a connection.

    A new connection beyond `MOST` closes the oldest that is not being answered, so that a visitor
    who asks for something is served however many there are who do not.
    """

    def __init__(self, pages: Mapping[str, Page]) -> None:
        super().__init__(self._answer, access_log=None, lingering_time=0)
        self._pages = pages
        self._open: dict[object, Callable[[], None]] = {}
        """What closes each connection, the oldest first."""
        self._answered: set[object] = set()

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        """Called by aiohttp."""
        super().connection_made(handler, transport)
        if len(self._open) >= MOST:
            idle = (each for each in self._open if each not in self._answered)
            self._open[next(idle, next(iter(self._open)))]()

        def close() -> None:
            timer.cancel()
            del self._open[handler]
            transport.abort()

        timer = asyncio.get_running_loop().call_later(_LIMIT, close)
        self._open[handler] = close

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        """Called by aiohttp."""
        super().connection_lost(handler, exc)
        if handler in self._open:
            self._open[handler]()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        self._answered.add(request.protocol)
        try:
            response = await self._page(request)
        finally:
            self._answered.discard(request.protocol)
        response.force_close()
        return response

    async def _page(self, request: web.BaseRequest) -> web.Response:
        page = self._pages.get(request.path)
        if page is None:
            return web.Response(status=404, text="there is no such page\n")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="use GET\n", headers={"Allow": "GET, HEAD"})
        return await page()
