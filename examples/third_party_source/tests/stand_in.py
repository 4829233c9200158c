"""A stand-in for the gateway, on the loopback interface: it has a leak when it is told to."""

from base64 import b64decode
from typing import Any

from aiohttp import web


class StandIn:
    """A home with a leak module and a thermostat; `home` is its JSON, to change at will."""

    def __init__(self, password: str = "") -> None:
        self.password = password
        self.commands: list[tuple[str, Any]] = []
        """The path and the content of each command."""
        self.refusal = (0, "")
        """The status and the text given to every request instead of the right answer."""
        self.hangs_up = False
        """Whether commands get no answer."""
        self.module: dict[str, Any] = {
            "number": 1,
            "name": "Bathroom",
            "product": "AquaGuard 4",
            "firmware": "2.4",
            "reachable": True,
            "valve_open": True,
            "alarm": False,
            "wires": [
                {"number": 1, "name": "Washing machine", "wet": False},
                {"number": 2, "name": "Bath", "wet": False},
            ],
            "meters": [
                {"number": 31, "name": "Cold", "water": "cold", "litres": 123_456},
                {"number": 32, "name": "Hot", "water": "hot", "litres": 65_432},
            ],
            "sensors": [
                {"serial": "0A17F2", "name": "Sink", "wet": False, "heard": True, "battery": 87,
                 "bars": 3},
            ],
        }  # fmt: skip
        self.thermostat: dict[str, Any] = {
            "number": 2,
            "name": "Floor",
            "product": "WarmFloor T1",
            "reachable": True,
            "target": 24,
            "floor": 23.5,
            "air": 22,
            "heating": True,
        }
        self.home: dict[str, Any] = {
            "site": {"number": 4711, "name": "Flat", "timezone": "Europe/Moscow"},
            "modules": [self.module],
            "heating": [self.thermostat],
        }

    def spring_leak(self) -> None:
        """Water on the floor of the bath: the module closes its valve."""
        self.module["wires"][1]["wet"] = self.module["alarm"] = True
        self.module["valve_open"] = False

    def app(self) -> web.Application:
        """The gateway as an application of aiohttp."""
        app = web.Application()
        app.router.add_get("/home", self._give_home)
        app.router.add_post("/modules/1/valve", self._set_valve)
        app.router.add_post("/heating/2/target", self._set_target)
        return app

    def _refusal(self, request: web.Request) -> web.Response | None:
        login = request.headers.get("Authorization", "").removeprefix("Basic ")
        if self.password and b64decode(login).decode() != f"sst-cloud:{self.password}":
            return web.Response(status=401)
        status, text = self.refusal
        return web.Response(status=status, text=text) if status else None

    async def _give_home(self, request: web.Request) -> web.Response:
        return self._refusal(request) or web.json_response(self.home)

    async def _set_valve(self, request: web.Request) -> web.Response:
        return await self._obey(request, self.module, {"open": "valve_open"})

    async def _set_target(self, request: web.Request) -> web.Response:
        return await self._obey(request, self.thermostat, {"celsius": "target"})

    async def _obey(
        self, request: web.Request, device: dict[str, Any], fields: dict[str, str]
    ) -> web.Response:
        content = await request.json()
        self.commands.append((request.path, content))
        if self.hangs_up and request.transport is not None:
            request.transport.close()
        if refusal := self._refusal(request):
            return refusal
        device.update({fields[name]: value for name, value in content.items()})
        return web.Response(status=204)
