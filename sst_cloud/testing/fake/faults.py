"""Faults between client and cloud, on demand."""

import asyncio
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Protocol

import attrs
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Fault(Protocol):
    """Something that goes wrong with a request."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Respond instead of the handler, or let it respond."""
        ...


@attrs.frozen
class Latency:
    """The response is delayed by this many seconds."""

    seconds: float

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Wait, then respond."""
        await asyncio.sleep(self.seconds)
        return await handler(request)


@attrs.frozen
class Status:
    """An error status, with Django REST framework's usual body unless another is given."""

    status: int
    detail: str = "A server error occurred."
    retry_after: str | None = None

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:  # noqa: ARG002
        """Respond with the status."""
        headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
        return web.json_response({"detail": self.detail}, status=self.status, headers=headers)


@attrs.frozen
class Html:
    """An HTML page instead of JSON."""

    status: int = 200
    title: str = "Technical works"

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:  # noqa: ARG002
        """Respond with the page."""
        page = f"<!DOCTYPE html><html><head><title>{self.title}</title></head><body></body></html>"
        return web.Response(text=page, content_type="text/html", status=self.status)


@attrs.frozen
class Truncated:
    """JSON that is cut off in the middle."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Respond with half of the body."""
        response = await handler(request)
        body = response.body if isinstance(response, web.Response) else None
        half = body[: len(body) // 2] if isinstance(body, bytes) else b""
        return web.Response(body=half, content_type="application/json", status=response.status)


@attrs.frozen
class Hang:
    """No response, until the client or the cloud gives up."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:  # noqa: ARG002
        """Wait until the cloud shuts down."""
        await request.app[CLOSING].wait()
        return web.Response(status=503)


@attrs.frozen
class Drop:
    """The connection is closed without a response."""

    after: bool = False
    """Whether the request is carried out anyway, as if only the response was lost."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Close the connection."""
        if self.after:
            await handler(request)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)


CLOSING: web.AppKey[asyncio.Event] = web.AppKey("closing", asyncio.Event)
"""Set when the fake cloud shuts down, so that hanging requests end."""


@attrs.define
class InjectedFault:
    """A fault, and the requests that it applies to."""

    fault: Fault
    path: str = "*"
    """A shell-style pattern, such as `/houses/*/counters/`."""
    method: str = "*"
    times: int | None = None
    """How many requests it applies to; None for all."""

    def applies_to(self, request: web.Request) -> bool:
        """Whether it applies to this request; counts down if so."""
        matches = fnmatchcase(request.path, self.path) and fnmatchcase(request.method, self.method)
        if not matches or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True
