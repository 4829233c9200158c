"""The client: an account of SST Cloud as typed objects."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp

from . import commands
from .auth import Auth
from .clock import Clock, SystemClock
from .commands import CommandResult
from .enums import ThermostatMode, ValveState
from .errors import AlarmActiveError, AuthenticationError, SSTCloudError, TokenRejectedError
from .models import (
    Counter,
    Device,
    Entity,
    Group,
    House,
    LeakModule,
    Listing,
    Network,
    News,
    Snapshot,
    Thermostat,
    Unreadable,
    User,
    WirelessSensor,
)
from .remote import Remote
from .shapes import sensors_of_one_device
from .structuring import Structurer
from .transport import BASE_URL, Transport

T = TypeVar("T")
E = TypeVar("E", bound=Entity)


class SSTCloud:
    """An account of SST Cloud.

    Use it as an async context manager, or call `close()` when done. An injected aiohttp
    `session` is never closed. Every method raises `SSTCloudError` in one of its forms.
    """

    def __init__(  # noqa: PLR0913  all but the first are options with good defaults
        self,
        auth: Auth,
        *,
        session: aiohttp.ClientSession | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        connect_timeout: float = 10.0,
        max_concurrency: int = 8,
        clock: Clock | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        """Nothing is sent yet; the first request logs in if need be.

        `timeout` and `connect_timeout` are seconds per request: answers of 10 to 30 s have been
        seen. At most `max_concurrency` requests are under way at a time. `clock` and `random`
        serve the waits between attempts. Raises ValueError for a `base_url` that is none, or a
        `max_concurrency` below 1.
        """
        self._auth = auth
        self._clock = clock or SystemClock()
        self._transport = Transport(
            base_url or BASE_URL,
            session=session,
            timeout=timeout,
            connect_timeout=connect_timeout,
            max_concurrency=max_concurrency,
            clock=self._clock,
            random=random,
        )
        self._structurer = Structurer()
        self._remote = Remote(self._request, self.device, self._clock)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections this client has opened."""
        await self._remote.close()
        await self._transport.close()

    async def login(self) -> str:
        """Make sure of being logged in, and return the token: it can be kept for `TokenAuth`."""
        return await self._auth.token(self._transport)

    async def raw(self, path: str) -> Any:
        """The JSON of any page, as it comes; `path` begins and ends with a slash.

        Raises ValueError if it does not begin with one.
        """
        if not path.startswith("/"):  # it would go on with the name of the host
            raise ValueError(f"a path begins with a slash, unlike {path!r}")
        return await self._get(path)

    async def user(self) -> User:
        """The account that is logged in."""
        path = "/auth/user/"
        return self._structurer.one(await self._get(path), User, path)

    async def houses(self) -> Listing[House]:
        """All houses of the account."""
        return await self._list(House, "/houses/")

    async def house(self, house_id: int) -> House:
        """One house. Raises `NotFoundError`."""
        path = f"/houses/{house_id:d}/"
        return self._structurer.one(await self._get(path), House, path)

    async def devices(self, house_id: int) -> Listing[Device]:
        """All devices of a house, in one request."""
        return await self._list(Device, f"/houses/{house_id:d}/devices/", house_id=house_id)

    async def device(self, house_id: int, device_id: int) -> Device:
        """One device. Raises `NotFoundError`."""
        path = f"/houses/{house_id:d}/devices/{device_id:d}/"
        return self._structurer.one(await self._get(path), Device, path, house_id=house_id)

    async def counters(self, house_id: int, device_id: int | None = None) -> Listing[Counter]:
        """The water meters of a house in one request, or of one of its devices."""
        if device_id is None:
            return await self._list(Counter, f"/houses/{house_id:d}/counters/", house_id=house_id)
        path = f"/houses/{house_id:d}/devices/{device_id:d}/counters/"
        return await self._list(Counter, path, house_id=house_id, device_id=device_id)

    async def wireless_sensors(self, house_id: int, device_id: int) -> Listing[WirelessSensor]:
        """The radio leak sensors of a leak module."""
        path = f"/houses/{house_id:d}/devices/{device_id:d}/wireless_sensors/"
        payload = await self._get(path)
        each = sensors_of_one_device(payload)
        given = {"house_id": house_id, "device_id": device_id}
        return self._structurer.listing(payload, WirelessSensor, path, each=each, **given)

    async def networks(self, house_id: int) -> Listing[Network]:
        """The WiFi networks of a house."""
        return await self._list(Network, f"/houses/{house_id:d}/networks/", house_id=house_id)

    async def groups(self, house_id: int) -> Listing[Group]:
        """The groups of a house that the owner has put devices in."""
        return await self._list(Group, f"/houses/{house_id:d}/groups/", house_id=house_id)

    async def news(self) -> Listing[News]:
        """What the vendor has to say."""
        return await self._list(News, "/news/")

    async def logout(self) -> None:
        """Make the token invalid, for every program that uses it."""
        await self._request("POST", "/auth/logout/")
        self._auth.forget()

    async def snapshot(
        self,
        *,
        houses: Listing[House] | None = None,
        house_ids: Collection[int] | None = None,
        counters_only: bool = False,
    ) -> Snapshot:
        """How the whole account stands at this moment, read concurrently.

        Houses, devices, meters and radio sensors: all that has readings, and nothing else.
        `houses` are those of an earlier call, if they need not be asked for again. `house_ids`
        narrows it to some houses, `counters_only` to houses and their meters (the readings then
        lack the names and models of devices). What cannot be read is in `unreadable`; only if
        there is nothing else does its error come out.
        """
        time = self._clock.now()
        if houses is None:
            houses = await self.houses()
        chosen = [house for house in houses if house_ids is None or house.id in house_ids]
        unreadable = list(houses.unreadable)
        found = {house.id for house in chosen} | {bad.id for bad in unreadable}
        for missing in sorted(set(house_ids or ()) - found):
            bad = Unreadable(kind="house", id=missing, reason="there is no such house here")
            unreadable.append(bad)
        reads: list[Coroutine[Any, Any, Any]] = [
            _lenient("counters", house.id, self.counters(house.id)) for house in chosen
        ]
        if not counters_only:
            reads += [self._equipment(house.id) for house in chosen]
        results = await _together(reads)
        counters: list[Listing[Counter]] = results[: len(chosen)]
        devices: list[Listing[Device]] = [listing for listing, _ in results[len(chosen) :]]
        sensors: list[Listing[WirelessSensor]] = [listing for _, listing in results[len(chosen) :]]
        lists: list[Listing[Any]] = [*counters, *devices]
        errors = [bad.error for listing in lists for bad in listing.unreadable if bad.error]
        if errors and len(errors) == len(lists):
            raise errors[0]
        return Snapshot(
            time=time,
            houses=tuple(chosen),
            devices=tuple(Listing.joined(devices)),
            counters=tuple(Listing.joined(counters)),
            wireless_sensors=tuple(Listing.joined(sensors)),
            unreadable=(*unreadable, *Listing.joined([*lists, *sensors]).unreadable),
        )

    async def _equipment(self, house_id: int) -> tuple[Listing[Device], Listing[WirelessSensor]]:
        """The devices of a house, and then the radio sensors of those that have any."""
        devices = await _lenient("devices", house_id, self.devices(house_id))
        modules = [device for device in devices if isinstance(device, LeakModule)]
        sensors = await _together(
            _lenient("wireless_sensors", module.id, self.wireless_sensors(house_id, module.id))
            for module in modules
        )
        return devices, Listing.joined(sensors)

    async def set_valves(  # noqa: PLR0913  the last three are options
        self,
        module: LeakModule,
        state: ValveState,
        group: int | None = None,
        *,
        despite_alarm: bool = False,
        wait: bool = True,
        limit: float = 60.0,
    ) -> CommandResult:
        """Open or close the valves of a leak module, of one `group` (1 or 2) or of all.

        **Opening lets the water flow.** The module is read anew first, and while a leak is known
        of, `AlarmActiveError` is raised unless `despite_alarm`.

        This holds for all commands: they are sent once. With `wait` the device is looked at until
        it shows the new state, or for `limit` seconds; the result says which. A device that cannot
        do it raises `CommandError` before any request, a refusal `CommandRejectedError`.
        """
        command = commands.set_valves(module, state, group)
        if command.opens and not despite_alarm:
            now = await self.device(module.house_id, module.id)
            if commands.alarmed(now, group):
                raise AlarmActiveError(
                    f"{module.name or module.id} knows of a leak: its valves stay as they are. "
                    "To open them all the same, say so (despite_alarm)."
                )
        return await self._remote.carry_out(command, wait=wait, limit=limit)

    async def set_floor_washing(
        self,
        module: LeakModule,
        on: bool,  # noqa: FBT001  the command's object
        *,
        wait: bool = True,
        limit: float = 60.0,
    ) -> CommandResult:
        """Switch the floor-washing mode of a leak module: while on, leaks close no valve."""
        command = commands.set_floor_washing(module, on=on)
        return await self._remote.carry_out(command, wait=wait, limit=limit)

    async def set_power(
        self,
        thermostat: Thermostat,
        on: bool,  # noqa: FBT001  the command's object
        *,
        wait: bool = True,
        limit: float = 60.0,
    ) -> CommandResult:
        """Switch a thermostat on or off."""
        command = commands.set_power(thermostat, on=on)
        return await self._remote.carry_out(command, wait=wait, limit=limit)

    async def set_mode(
        self,
        thermostat: Thermostat,
        mode: ThermostatMode,
        *,
        wait: bool = True,
        limit: float = 60.0,
    ) -> CommandResult:
        """Let a thermostat follow its manual target, or its schedule."""
        command = commands.set_mode(thermostat, mode)
        return await self._remote.carry_out(command, wait=wait, limit=limit)

    async def set_target_temperature(
        self, thermostat: Thermostat, celsius: float, *, wait: bool = True, limit: float = 60.0
    ) -> CommandResult:
        """Set the target of manual mode: 12 to 45 whole degrees Celsius.

        Of targets that wait for their turn at one thermostat only the last is sent, and all who
        asked get its result.
        """
        command = commands.set_target_temperature(thermostat, celsius)
        return await self._remote.merge(command, wait=wait, limit=limit)

    async def set_brightness(
        self, thermostat: Thermostat, level: int, *, wait: bool = True, limit: float = 60.0
    ) -> CommandResult:
        """Set the brightness of the display, 0 to 9; EcoSmart 25 only."""
        command = commands.set_brightness(thermostat, level)
        return await self._remote.carry_out(command, wait=wait, limit=limit)

    async def _list(self, type_: type[E], path: str, **given: Any) -> Listing[E]:
        return self._structurer.listing(await self._get(path), type_, path, **given)

    async def _get(self, path: str) -> Any:
        return await self._request("GET", path)

    async def _request(self, method: str, path: str, json: Any = None) -> Any:
        token = await self._auth.token(self._transport)
        try:
            return await self._transport.request(method, path, token=token, json=json)
        except TokenRejectedError as rejected:
            # What was rejected was not carried out, so that a command, too, may be sent again.
            token = await self._auth.renew(self._transport, rejected, token)
        return await self._transport.request(method, path, token=token, json=json)


async def _lenient(kind: str, id_: int, read: Awaitable[Listing[Any]]) -> Listing[Any]:
    """A list that cannot be read counts as one `Unreadable`, unless nobody is logged in."""
    try:
        return await read
    except AuthenticationError:
        raise
    except SSTCloudError as error:
        return Listing(unreadable=[Unreadable(kind=kind, id=id_, reason=str(error), error=error)])


async def _together(reads: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all at once; when one fails, or the caller gives up, the others are cancelled."""
    tasks = [asyncio.ensure_future(read) for read in reads]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
