"""What can go wrong between a client and the cloud, on demand."""

import asyncio
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Protocol

import attrs
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Fault(Protocol):
    """Something that happens to a request on its way."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer in place of the handler, or let it answer."""
        ...


@attrs.frozen
class Latency:
    """The answer comes so many seconds late."""

    seconds: float

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Wait, then answer."""
        await asyncio.sleep(self.seconds)
        return await handler(request)


@attrs.frozen
class Status:
    """An error status, with Django REST framework's kind of body unless another is given."""

    status: int
    detail: str = "A server error occurred."
    retry_after: str | None = None

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:  # noqa: ARG002
        """Answer with the status."""
        headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
        return web.json_response({"detail": self.detail}, status=self.status, headers=headers)


@attrs.frozen
class Html:
    """A page for people where a program expects JSON."""

    status: int = 200
    title: str = "Technical works"

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:  # noqa: ARG002
        """Answer with the page."""
        page = f"<!DOCTYPE html><html><head><title>{self.title}</title></head><body></body></html>"
        return web.Response(text=page, content_type="text/html", status=self.status)


@attrs.frozen
class Truncated:
    """JSON that breaks off in the middle."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer with half of the body."""
        answer = await handler(request)
        body = answer.body if isinstance(answer, web.Response) else None
        half = body[: len(body) // 2] if isinstance(body, bytes) else b""
        return web.Response(body=half, content_type="application/json", status=answer.status)


@attrs.frozen
class Hang:
    """No answer, until the client or the cloud gives up."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:  # noqa: ARG002
        """Wait for the end."""
        await request.app[CLOSING].wait()
        return web.Response(status=503)


@attrs.frozen
class Drop:
    """The connection is cut in place of an answer."""

    after: bool = False
    """Whether what was asked is done all the same, as when the answer gets lost."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Cut the connection."""
        if self.after:
            await handler(request)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)


CLOSING: web.AppKey[asyncio.Event] = web.AppKey("closing", asyncio.Event)
"""Set when the fake cloud shuts down, so that hanging requests end."""


@attrs.define
class Injected:
    """A fault, and the requests that it happens to."""

    fault: Fault
    path: str = "*"
    """A shell pattern, such as `/houses/*/counters/`."""
    method: str = "*"
    times: int | None = None
    """How many requests it happens to; None for all."""

    def strikes(self, request: web.Request) -> bool:
        """Whether it happens to this request; counts down if so."""
        hit = fnmatchcase(request.path, self.path) and fnmatchcase(request.method, self.method)
        if not hit or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True
