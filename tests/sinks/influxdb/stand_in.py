"""A server that accepts line protocol, and fails as configured."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

import attrs
from aiohttp import web

CHECK = "# may I write?"

Answer = Callable[[web.Request, Sequence[str]], Awaitable[web.StreamResponse]]


@attrs.frozen
class ReceivedRequest:
    path: str
    query: dict[str, str]
    headers: dict[str, str] = attrs.field(repr=False)
    lines: list[str] = attrs.field(repr=False)


class StandIn:
    """Stores every line, unless `answer` says otherwise."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.requests: list[ReceivedRequest] = []
        self.stored: set[str] = set()
        self.answer: Answer = self.store
        self.most_at_once = 0
        self.closing = asyncio.Event()
        self._at_once = 0

    @property
    def lines(self) -> list[str]:
        """All lines of all requests, in their order."""
        return [line for request in self.requests for line in request.lines]

    async def store(self, request: web.Request, lines: Sequence[str]) -> web.StreamResponse:
        self.stored |= {line for line in lines if not line.startswith("#")}
        return web.Response(status=204)

    def always(self, status: int, text: str = "", **headers: str) -> None:
        """Answer every request so; `Retry_After` is the header Retry-After."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def answer(request: web.Request, lines: Sequence[str]) -> web.StreamResponse:
            return web.Response(status=status, text=text, headers=named)

        self.answer = answer

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closing.set()
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()  # aiohttp has undone the gzip
        lines = body.decode().removesuffix("\n").split("\n")
        self.requests.append(
            ReceivedRequest(request.path, dict(request.query), dict(request.headers), lines)
        )
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self.answer(request, lines)
        finally:
            self._at_once -= 1
