"""The contract for sources finds the typical faults of one."""

import asyncio
import inspect
import itertools
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar, Self

import pytest

from sst_cloud import (
    Command,
    CommandError,
    CommandRejectedError,
    Controls,
    Counter,
    Device,
    House,
    LeakModule,
    Listing,
    ManualClock,
    NotFoundError,
    SetTargetTemperature,
    SetValves,
    Snapshot,
    SourceError,
    SourceOptionsError,
    Thermostat,
    TransportError,
    ValveGroup,
    ValveState,
    WiredLine,
    WirelessSensor,
)
from sst_cloud.models._base import changed
from sst_cloud.source import Option, SourceURL
from sst_cloud.testing import SourceContract

NOW = ManualClock().now()
VALVES = ValveGroup(number=1, state=ValveState.OPENED, alarm=False)
LINE = WiredLine(point_id="1", number=1, leak=False)
HOUSE = House(id=1, name="Flat", timezone="Europe/Moscow")
MODULE = LeakModule(id=2, house_id=1, model="Guard", valve_groups=(VALVES,), lines=(LINE,))
THERMOSTAT = Thermostat(id=3, house_id=1, model="T1", manual_temperature=20, is_connected=True)
COUNTER = Counter(id=4, house_id=1, device_id=2, value_l=5)
SENSOR = WirelessSensor(house_id=1, device_id=2, point_id="0A17", leak=False)
HOME = Snapshot(
    time=NOW,
    houses=(HOUSE,),
    devices=(MODULE, THERMOSTAT),
    counters=(COUNTER,),
    wireless_sensors=(SENSOR,),
)


class Gateway(Controls):
    """A source without faults, of a home in memory."""

    target: ClassVar[str] = "HOST"
    options: ClassVar[Sequence[Option]] = (Option("timeout", "in seconds", float),)
    secrets: ClassVar[Sequence[str]] = ("GATEWAY_PASSWORD",)
    name: str = "gateway"
    refresh: timedelta = timedelta(seconds=30)
    home: Snapshot = HOME

    def __init__(self, password: str = "") -> None:
        self.password = password
        self._clock = ManualClock()
        self.sent: list[Command] = []

    @classmethod
    def from_url(cls, url: SourceURL) -> Self:
        url.convert(cls.options)
        return cls(url.secrets["GATEWAY_PASSWORD"])

    async def snapshot(self) -> Snapshot:
        return self.home

    async def device(self, house_id: int, device_id: int) -> Device:
        for device in self.home.devices:
            if (device.house_id, device.id) == (house_id, device_id):
                return device
        raise NotFoundError(404, "there is no such device", "/home")

    async def _send(self, command: Command) -> None:
        self.sent.append(command)
        device: Device
        match command:
            case SetValves(state=state):
                device = changed(MODULE, valve_groups=(changed(VALVES, state=state),))
            case SetTargetTemperature(celsius=celsius):
                device = changed(THERMOSTAT, manual_temperature=celsius)
            case _:
                raise AssertionError(command)
        others = [other for other in self.home.devices if other.id != device.id]
        self.home = changed(self.home, devices=(device, *others))


class Unreachable(Gateway):
    """Nothing answers."""

    error: Exception = TransportError("no route to the gateway")

    async def snapshot(self) -> Snapshot:
        raise self.error


class TwoHouses(Gateway):
    """It can be asked for a house, or for the meters."""

    home = changed(HOME, houses=(HOUSE, House(id=7, name="Dacha")))

    async def houses(self) -> Listing[House]:
        return Listing(self.home.houses)

    async def devices(self, house_id: int) -> Listing[Device]:
        return Listing(d for d in self.home.devices if d.house_id == house_id)

    async def snapshot(
        self,
        *,
        houses: Listing[House] | None = None,
        house_ids: Collection[int] | None = None,
        counters_only: bool = False,
    ) -> Snapshot:
        chosen = [h for h in self.home.houses if house_ids is None or h.id in house_ids]
        devices = () if counters_only else self.home.devices
        return changed(self.home, houses=tuple(chosen), devices=devices)


class OneAtATime(Gateway):
    """Cannot be asked again before it has answered."""

    is_busy = False

    async def snapshot(self) -> Snapshot:
        if self.is_busy:
            raise TransportError("busy")
        self.is_busy = True
        await asyncio.sleep(0)
        self.is_busy = False
        return self.home


class Numbering(Gateway):
    """Numbers the devices as it meets them."""

    numbers = itertools.count(10)

    async def snapshot(self) -> Snapshot:
        return changed(HOME, devices=(changed(THERMOSTAT, id=next(self.numbers)), MODULE))


class Swallowing(Gateway):
    async def __aexit__(self, *_: object) -> bool:  # type: ignore[override]
        return True


class Lenient(Gateway):
    @classmethod
    def from_url(cls, url: SourceURL) -> Self:
        return cls()


class Silent(Gateway):
    @classmethod
    def from_url(cls, url: SourceURL) -> Self:
        raise SourceOptionsError("wrong")


class Telling(Gateway):
    def __repr__(self) -> str:
        return f"Gateway({self.password})"


class TellingErrors(Gateway):
    @classmethod
    def from_url(cls, url: SourceURL) -> Self:
        raise SourceOptionsError(f"{url.secrets.get('GATEWAY_PASSWORD')} is too long; timeout")


class NameOfItsOwn(Gateway):
    numbers = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.name = f"gateway {next(self.numbers)}"


class FirstDevice(Gateway):
    async def device(self, house_id: int, device_id: int) -> Device:
        return self.home.devices[0]


class Idle(Gateway):
    async def _send(self, command: Command) -> None:
        """Nothing happens."""


class Refusing(Gateway):
    async def _send(self, command: Command) -> None:
        raise CommandRejectedError("not now")


class WithoutTargets(Gateway):
    """Its thermostats cannot be set, which is no fault."""

    async def _send(self, command: Command) -> None:
        if isinstance(command, SetTargetTemperature):
            raise CommandError("there is no target that can be set")
        await super()._send(command)


class ForgettingTheRest(TwoHouses):
    async def snapshot(self, **_: object) -> Snapshot:
        return self.home


def faulty(**attributes: Any) -> type[Gateway]:
    return type("Faulty", (Gateway,), {"__doc__": "A source with a fault.", **attributes})


def showing(**changes: Any) -> type[Gateway]:
    return faulty(home=changed(HOME, **changes))


DESCRIPTION = "test_class_describes_the_source"
OPTIONS = "test_unknown_options_are_refused"
SECRETS = "test_secrets_are_not_shown"
NAME = "test_name_and_refresh_are_known_before_it_is_opened"
ERRORS = "test_errors_of_the_caller_are_not_hidden"
CONSISTENT = "test_snapshot_is_consistent"
ZONES = "test_houses_have_a_known_time_zone"
MODELS = "test_devices_have_a_model"
SERIES = "test_series_are_the_same_after_a_restart"
AT_ONCE = "test_snapshots_at_the_same_time"
OUT_OF_REACH = "test_home_out_of_reach"
HOUSES = "test_houses_can_be_chosen"
LOOKS = "test_devices_can_be_looked_at"
VALVE_COMMANDS = "test_valves_close_and_open"
TARGETS = "test_target_temperature_can_be_set"

FAULTS: dict[str, tuple[type[Gateway], str]] = {
    "no description": (faulty(__doc__=" "), DESCRIPTION),
    "no target": (faulty(target=None), DESCRIPTION),
    "option without help": (faulty(options=(Option("timeout", ""),)), DESCRIPTION),
    "any option": (Lenient, OPTIONS),
    "options that are not named": (Silent, OPTIONS),
    "secret in its repr": (Telling, SECRETS),
    "secret in an error": (TellingErrors, SECRETS),
    "no name": (faulty(name=" "), NAME),
    "name on two lines": (faulty(name="gate\nway"), NAME),
    "name that changes": (NameOfItsOwn, NAME),
    "no refresh": (faulty(refresh=None), NAME),
    "refresh without unit": (faulty(refresh=30), NAME),
    "negative refresh": (faulty(refresh=timedelta(-1)), NAME),
    "errors swallowed": (Swallowing, ERRORS),
    "naive time": (showing(time=datetime(2026, 1, 1)), CONSISTENT),  # noqa: DTZ001
    "local time": (showing(time=NOW.astimezone(timezone(timedelta(hours=3)))), CONSISTENT),
    "name of another source": (showing(source="another"), CONSISTENT),
    "no house": (showing(houses=()), CONSISTENT),
    "no device": (showing(devices=()), CONSISTENT),
    "house twice": (showing(houses=(HOUSE, HOUSE)), CONSISTENT),
    "device twice": (showing(devices=(MODULE, THERMOSTAT, MODULE)), CONSISTENT),
    "meter twice": (showing(counters=(COUNTER, COUNTER)), CONSISTENT),
    "sensor twice": (showing(wireless_sensors=(SENSOR, SENSOR)), CONSISTENT),
    "device of no house": (showing(devices=(MODULE, changed(MODULE, house_id=9))), CONSISTENT),
    "meter of no device": (showing(counters=(changed(COUNTER, device_id=9),)), CONSISTENT),
    "sensor of no device": (showing(wireless_sensors=(changed(SENSOR, device_id=9),)), CONSISTENT),
    "unknown time zone": (showing(houses=(changed(HOUSE, timezone="MSK+3"),)), ZONES),
    "no model": (showing(devices=(MODULE, changed(THERMOSTAT, model=""))), MODELS),
    "line twice": (showing(devices=(changed(MODULE, lines=(LINE, LINE)),)), SERIES),
    "ids in text": (showing(devices=(MODULE, changed(THERMOSTAT, id="3"))), SERIES),
    "total in cubic metres": (showing(counters=(changed(COUNTER, value_l=0.005),)), SERIES),
    "ids that change": (Numbering, SERIES),
    "one snapshot at a time": (OneAtATime, AT_ONCE),
    "choice ignored": (ForgettingTheRest, HOUSES),
    "another device": (FirstDevice, LOOKS),
    "valves that do not move": (Idle, VALVE_COMMANDS),
    "target that is not set": (Idle, TARGETS),
    "target refused": (Refusing, TARGETS),
}


OUT_OF_REACH_FAULTS: dict[str, Exception] = {
    "of the system": ConnectionRefusedError("[Errno 111]"),
    "to be fixed first": SourceError("there is no gateway"),
    "on two lines": TransportError("no route\nto the gateway"),
    "without words": TransportError(""),
}


class CommandsAllowed(SourceContract):
    may_send_commands = True


async def failures(
    contract: SourceContract, source: type[Gateway], unreachable: type[Gateway] | None
) -> set[str]:
    """The names of the contract's tests that a source fails."""
    fixtures = {"make_source": source, "make_unreachable_source": unreachable}
    names = set()
    for name, test in inspect.getmembers(contract, inspect.ismethod):
        if name.startswith("test_"):
            try:
                running = test(*(fixtures[needed] for needed in inspect.signature(test).parameters))
                if inspect.isawaitable(running):
                    await running
            except (Exception, pytest.fail.Exception):  # noqa: BLE001  a fault may raise anything
                names.add(name)
    return names


@pytest.mark.parametrize("source", [Gateway, TwoHouses, WithoutTargets])
async def test_source_without_faults_keeps_the_contract(source: type[Gateway]) -> None:
    assert await failures(CommandsAllowed(), source, Unreachable) == set()


async def test_each_test_of_the_contract_finds_a_fault() -> None:
    names = {name for name in dir(SourceContract) if name.startswith("test_")}
    assert names == {name for _, name in FAULTS.values()} | {OUT_OF_REACH}


@pytest.mark.parametrize("fault", FAULTS)
async def test_fault(fault: str) -> None:
    source, name = FAULTS[fault]
    assert name in await failures(CommandsAllowed(), source, None)


@pytest.mark.parametrize("fault", OUT_OF_REACH_FAULTS)
async def test_fault_of_an_error(fault: str) -> None:
    unreachable = type("Faulty", (Unreachable,), {"error": OUT_OF_REACH_FAULTS[fault]})
    assert await failures(CommandsAllowed(), Gateway, unreachable) == {OUT_OF_REACH}


async def test_empty_home_instead_of_an_error() -> None:
    assert await failures(CommandsAllowed(), Gateway, showing(houses=())) == {OUT_OF_REACH}


async def test_no_command_is_sent_unless_it_is_allowed() -> None:
    sources: list[Gateway] = []

    class Kept(Gateway):
        """Can be looked at afterwards."""

        def __init__(self, password: str = "") -> None:
            super().__init__(password)
            sources.append(self)

    assert await failures(SourceContract(), Kept, None) == set()
    assert not any(source.sent for source in sources)
    assert await failures(CommandsAllowed(), Kept, None) == set()
    assert [type(command) for source in sources for command in source.sent] == [
        SetTargetTemperature,
        SetTargetTemperature,
        SetValves,
        SetValves,
    ]
