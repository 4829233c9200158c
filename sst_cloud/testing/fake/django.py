"""How the fake cloud parses and refuses requests: as Django REST framework does."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from sst_cloud.bounded_json import loads

from .commands import nested_fields
from .faults import Handler

_NOT_FOUND_PAGE: Final = (
    "<!doctype html><html><head><title>Not Found</title></head>"
    "<body><h1>Not Found</h1><p>There is no such page.</p></body></html>"
)


class Refusal(Exception):  # noqa: N818  a response, not a bug
    """Ends a request with this status and body."""

    def __init__(self, status: int, content: Any) -> None:
        super().__init__(status)
        self.status = status
        self.content = content


def not_found() -> Refusal:
    """The account has no such thing."""
    return Refusal(404, {"detail": "Not found."})


async def fields(request: web.Request) -> Mapping[str, Any]:
    """The fields of a request: JSON, form or multipart."""
    if not request.can_read_body:
        return {}
    if request.content_type == "application/json":
        try:
            body = loads(await request.read())
        except ValueError as error:
            raise Refusal(400, {"detail": f"JSON parse error - {error}"}) from None
        if not isinstance(body, dict):
            raise Refusal(400, {"non_field_errors": ["Invalid data. Expected a dictionary."]})
        return body
    if request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return nested_fields({key: str(value) for key, value in (await request.post()).items()})
    kind = request.content_type
    raise Refusal(415, {"detail": f'Unsupported media type "{kind}" in request.'})


@web.middleware
async def answer_like_django(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Send refusals as the framework does, and redirect paths without the final slash."""
    try:
        return await handler(request)
    except Refusal as refusal:
        headers = {"WWW-Authenticate": "Token"} if refusal.status == 401 else {}
        return web.json_response(refusal.content, status=refusal.status, headers=headers)
    except web.HTTPMethodNotAllowed as error:
        detail = f'Method "{request.method}" not allowed.'
        return web.json_response(
            {"detail": detail},
            status=405,
            headers={"Allow": ", ".join(sorted(error.allowed_methods))},
        )
    except web.HTTPNotFound:
        with_slash = request.clone(rel_url=request.rel_url.with_path(request.path + "/"))
        match = await request.app.router.resolve(with_slash)
        if not request.path.endswith("/") and match.http_exception is None:
            location = request.rel_url.with_path(request.path + "/").with_query(request.query)
            raise web.HTTPMovedPermanently(location) from None
        return web.Response(text=_NOT_FOUND_PAGE, content_type="text/html", status=404)
