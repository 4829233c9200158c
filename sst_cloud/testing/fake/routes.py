"""The fake cloud's endpoints."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import attrs
from aiohttp import web

from .account import FakeAccount, FakeHouse
from .commands import COMMANDS, InvalidError
from .device import FakeDevice
from .django import Refusal, answer_like_django, fields, not_found
from .options_pages import options_page

_READ_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@attrs.frozen
class SeenCommand:
    """A command received, whether or not the device obeys."""

    time: datetime
    """By the fake cloud's clock."""
    method: str
    path: str
    device_id: int
    name: str
    """The last part of the path, such as `valve_settings`."""
    body: dict[str, Any]
    """What was sent: JSON as received, or the fields of a form."""
    status: int
    """The status of the response: 200, or 400 for an invalid value."""


@attrs.define
class Endpoints:
    """The endpoints for some accounts; `now` returns the current time."""

    accounts: list[FakeAccount]
    now: Callable[[], datetime]
    settle: Callable[[], float]
    """Seconds until a command takes effect."""
    commands: list[SeenCommand]

    def application(self) -> web.Application:
        """An application with all endpoints."""
        app = web.Application(middlewares=[answer_like_django])
        house, device = "/houses/{house:\\d+}/", "/houses/{house:\\d+}/devices/{device:\\d+}/"
        reads = {
            "/auth/user/": self.user,
            "/houses/": self.houses,
            house: self.house,
            house + "networks/": self.networks,
            house + "networks/{network:\\d+}/": self.network,
            "/networks/{network:\\d+}/": self.network,
            house + "groups/": self.groups,
            house + "counters/": self.counters,
            house + "devices/": self.devices,
            device: self.device,
            device + "counters/": self.device_counters,
            device + "wireless_sensors/": self.wireless_sensors,
            "/news/": self.news,
            "/news/{news:\\d+}/": self.news_item,
            "/news/{news:\\d+}": self.news_item,  # as requested by a client
        }
        for path, handler in reads.items():
            app.add_routes([web.get(path, handler), web.options(path, self.options)])
        for name, command in COMMANDS.items():
            path = f"{device}{name}/"
            app.add_routes(
                [web.route(command.method, path, self.command), web.options(path, self.options)]
            )
        app.add_routes(
            [web.post("/auth/login/", self.login), web.post("/auth/logout/", self.logout)]
        )
        return app

    async def login(self, request: web.Request) -> web.Response:
        """Return a token, and the cookies of a session."""
        body = await fields(request)
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
                response = web.json_response({"key": account.token})
                response.set_cookie("sessionid", account.session, httponly=True)
                response.set_cookie("csrftoken", account.csrf)
                return response
        raise Refusal(400, {"non_field_errors": ["Unable to log in with provided credentials."]})

    async def logout(self, request: web.Request) -> web.Response:
        """Invalidate the token and the session."""
        self._account(request).generation += 1
        return web.json_response({"detail": "Successfully logged out."})

    async def user(self, request: web.Request) -> web.Response:
        """The user who is logged in."""
        return web.json_response(self._account(request).payload())

    async def houses(self, request: web.Request) -> web.Response:
        """The account's houses."""
        account = self._account(request)
        return web.json_response([house.payload(self.now(), account) for house in account.houses])

    async def house(self, request: web.Request) -> web.Response:
        """One house."""
        account = self._account(request)
        return web.json_response(self._house(request).payload(self.now(), account))

    async def networks(self, request: web.Request) -> web.Response:
        """The networks of a house."""
        return web.json_response(self._house(request).network_payloads())

    async def network(self, request: web.Request) -> web.Response:
        """One network, of one house or of any."""
        in_one_house = "house" in request.match_info
        houses = [self._house(request)] if in_one_house else self._account(request).houses
        payloads = [payload for house in houses for payload in house.network_payloads()]
        return _payload_with_id(request, "network", payloads)

    async def groups(self, request: web.Request) -> web.Response:
        """The groups of a house."""
        return web.json_response(self._house(request).group_payloads())

    async def news(self, request: web.Request) -> web.Response:
        """The vendor's announcements."""
        return web.json_response([item.payload() for item in self._account(request).news])

    async def news_item(self, request: web.Request) -> web.Response:
        """One announcement."""
        payloads = [item.payload() for item in self._account(request).news]
        return _payload_with_id(request, "news", payloads)

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

    async def wireless_sensors(self, request: web.Request) -> web.Response:
        """The wireless sensors of a device."""
        _, device = self._device(request)
        return web.json_response(device.wireless_sensors(self.now()))

    async def options(self, request: web.Request) -> web.Response:
        """Describe an endpoint."""
        self._account(request)
        parts = [part for part in request.path.split("/") if part]
        titles = [part.replace("_", " ").title() for part in parts]
        if parts[-1] in COMMANDS:
            name = titles[-1]
        elif parts[-1].isdigit():
            name = f"{titles[-2].removesuffix('s')} Instance"
        else:
            name = f"{titles[-1].removesuffix('s')} List"
        return web.json_response(options_page(name, device_list=name == "Device List"))

    async def command(self, request: web.Request) -> web.Response:
        """Accept a command. The real cloud's response is not known; this one echoes the values."""
        _, device = self._device(request)
        name = request.path.rstrip("/").rpartition("/")[2]
        command = COMMANDS[name]
        if device.type not in command.types:
            raise not_found()
        body = dict(await fields(request))
        response: Any
        try:
            response, change = command.read(body)
        except InvalidError as error:
            response, status = error.args[0], 400
        else:
            device.take(change, self.now(), timedelta(seconds=self.settle()))
            status = 200
        self.commands.append(
            SeenCommand(self.now(), request.method, request.path, device.id, name, body, status)
        )
        return web.json_response(response, status=status)

    def _house(self, request: web.Request) -> FakeHouse:
        house = self._account(request).house(int(request.match_info["house"]))
        if house is None:
            raise not_found()
        for device in house.devices:
            device.bind(self.now)
        return house

    def _device(self, request: web.Request) -> tuple[FakeHouse, FakeDevice]:
        house = self._house(request)
        device_id = int(request.match_info["device"])
        for device in house.devices:
            if device.id == device_id:
                return house, device
        raise not_found()

    def _account(self, request: web.Request) -> FakeAccount:
        """The account: by token for everything, by session for reads and, with CSRF, writes."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "token":
            for account in self.accounts:
                if account.token == token.strip():
                    return account
            raise Refusal(401, {"detail": "Invalid token."})
        for account in self.accounts:
            if request.cookies.get("sessionid") == account.session:
                csrf_token = request.headers.get("X-CSRFToken")
                if request.method in _READ_METHODS or csrf_token == account.csrf:
                    return account
                raise Refusal(403, {"detail": "CSRF Failed: CSRF token missing or incorrect."})
        raise Refusal(401, {"detail": "Authentication credentials were not provided."})


def _payload_with_id(
    request: web.Request, noun: str, payloads: list[dict[str, Any]]
) -> web.Response:
    """The payload whose id is in the path."""
    item_id = int(request.match_info[noun])
    for payload in payloads:
        if payload["id"] == item_id:
            return web.json_response(payload)
    raise not_found()
