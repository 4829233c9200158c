"""The fake cloud's pages, with statuses and bodies as Django REST framework writes them."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import attrs
from aiohttp import web

from sst_cloud._json import loads

from .account import FakeAccount, FakeDevice, FakeHouse
from .faults import Handler

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_NOT_FOUND_PAGE: Final = (
    "<!doctype html><html><head><title>Not Found</title></head>"
    "<body><h1>Not Found</h1><p>There is no such page.</p></body></html>"
)


class Refusal(Exception):  # noqa: N818  an answer, not a fault of the program
    """Ends a request with a status and a body."""

    def __init__(self, status: int, content: Any) -> None:
        super().__init__(status)
        self.status = status
        self.content = content


def not_found() -> Refusal:
    """No such thing in this account."""
    return Refusal(404, {"detail": "Not found."})


@attrs.define
class Pages:
    """The pages over some accounts; `now` says what time it is."""

    accounts: list[FakeAccount]
    now: Callable[[], datetime]

    def application(self) -> web.Application:
        """An application with all pages."""
        app = web.Application(middlewares=[self._answer_like_django])
        house, device = "/houses/{house:\\d+}/", "/houses/{house:\\d+}/devices/{device:\\d+}/"
        app.add_routes(
            [
                web.post("/auth/login/", self.login),
                web.post("/auth/logout/", self.logout),
                web.get("/auth/user/", self.user),
                web.get("/houses/", self.houses),
                web.get(house, self.house),
                web.get(house + "counters/", self.counters),
                web.get(house + "devices/", self.devices),
                web.get(device, self.device),
                web.get(device + "counters/", self.device_counters),
            ]
        )
        return app

    async def login(self, request: web.Request) -> web.Response:
        """Hand out a token, and the cookies of a session."""
        body = await self._body(request)
        missing = {
            field: ["This field is required."]
            for field in ("username", "password")
            if not body.get(field)
        }
        if "username" in missing and body.get("email"):
            del missing["username"]
        if missing:
            raise Refusal(400, missing)
        name, password = body.get("username") or body.get("email"), body["password"]
        for account in self.accounts:
            if (account.email, account.password) == (name, password):
                answer = web.json_response({"key": account.token})
                answer.set_cookie("sessionid", account.session, httponly=True)
                answer.set_cookie("csrftoken", account.csrf)
                return answer
        raise Refusal(400, {"non_field_errors": ["Unable to log in with provided credentials."]})

    async def logout(self, request: web.Request) -> web.Response:
        """Forget the token and the session."""
        self._account(request).generation += 1
        return web.json_response({"detail": "Successfully logged out."})

    async def user(self, request: web.Request) -> web.Response:
        """Who is logged in."""
        return web.json_response(self._account(request).payload())

    async def houses(self, request: web.Request) -> web.Response:
        """The account's houses."""
        account = self._account(request)
        return web.json_response([house.payload(self.now(), account) for house in account.houses])

    async def house(self, request: web.Request) -> web.Response:
        """One house."""
        account = self._account(request)
        return web.json_response(self._house(request).payload(self.now(), account))

    async def devices(self, request: web.Request) -> web.Response:
        """The devices of a house."""
        house = self._house(request)
        return web.json_response([device.payload(self.now(), house) for device in house.devices])

    async def device(self, request: web.Request) -> web.Response:
        """One device."""
        house, device = self._device(request)
        return web.json_response(device.payload(self.now(), house))

    async def counters(self, request: web.Request) -> web.Response:
        """The counters of a house."""
        return web.json_response(self._house(request).counters(self.now()))

    async def device_counters(self, request: web.Request) -> web.Response:
        """The counters of a device."""
        house, device = self._device(request)
        return web.json_response(house.counters(self.now(), device))

    def _house(self, request: web.Request) -> FakeHouse:
        house = self._account(request).house(int(request.match_info["house"]))
        if house is None:
            raise not_found()
        return house

    def _device(self, request: web.Request) -> tuple[FakeHouse, FakeDevice]:
        house = self._house(request)
        wanted = int(request.match_info["device"])
        for device in house.devices:
            if device.id == wanted:
                return house, device
        raise not_found()

    def _account(self, request: web.Request) -> FakeAccount:
        """Who is asking: by token for everything, by session for reads and, with CSRF, writes."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "token":
            for account in self.accounts:
                if account.token == token.strip():
                    return account
            raise Refusal(401, {"detail": "Invalid token."})
        for account in self.accounts:
            if request.cookies.get("sessionid") == account.session:
                sent = request.headers.get("X-CSRFToken")
                if request.method in _READS or sent == account.csrf:
                    return account
                raise Refusal(403, {"detail": "CSRF Failed: CSRF token missing or incorrect."})
        raise Refusal(401, {"detail": "Authentication credentials were not provided."})

    async def _body(self, request: web.Request) -> Mapping[str, Any]:
        """The fields of a request: JSON, form or multipart."""
        if request.content_type == "application/json":
            try:
                body = loads(await request.read())
            except ValueError as error:
                raise Refusal(400, {"detail": f"JSON parse error - {error}"}) from None
            if not isinstance(body, dict):
                raise Refusal(400, {"non_field_errors": ["Invalid data. Expected a dictionary."]})
            return body
        if request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
            return {key: str(value) for key, value in (await request.post()).items()}
        if not request.can_read_body:
            return {}
        kind = request.content_type
        raise Refusal(415, {"detail": f'Unsupported media type "{kind}" in request.'})

    @web.middleware
    async def _answer_like_django(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
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
            found = await request.app.router.resolve(with_slash)
            if not request.path.endswith("/") and found.http_exception is None:
                raise web.HTTPMovedPermanently(request.path + "/") from None
            return web.Response(text=_NOT_FOUND_PAGE, content_type="text/html", status=404)
