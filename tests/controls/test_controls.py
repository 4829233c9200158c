"""Commands of any source: a third party's gets the rules without writing any of them."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import attrs
import pytest

from sst_cloud import (
    AlarmActiveError,
    Command,
    CommandError,
    CommandRejectedError,
    CommandResult,
    Controls,
    Device,
    Grouping,
    LeakModule,
    SetValves,
    Snapshot,
    ThermostatMode,
    UnknownDevice,
    WiredLine,
)
from sst_cloud.controls import require_controls

from .plant import CLOSED, OPENED, Plant, prow, smart, thermostat, zone

JOINED, SEPARATE = Grouping.ONE_GROUP, Grouping.TWO_GROUPS
COMMANDS = [
    "set_valves",
    "set_floor_washing",
    "set_power",
    "set_mode",
    "set_target_temperature",
    "set_brightness",
]


def wet_line() -> WiredLine:
    return WiredLine(point_id="line_1", number=1, leak=True)


async def test_every_command_is_sent_once_and_confirmed_by_looking() -> None:
    module, floor = prow(), thermostat()
    plant = Plant(module, floor)
    results = [
        await plant.set_valves(module, CLOSED),
        await plant.set_floor_washing(module, True),
        await plant.set_power(floor, False),
        await plant.set_mode(floor, ThermostatMode.MANUAL),
        await plant.set_target_temperature(floor, 21),
        await plant.set_brightness(floor, 4),
    ]
    assert [result.confirmed for result in results] == [True] * 6
    assert (len(plant.sent), plant.looks) == (6, 6)
    device: Any = plant.devices[floor.id]
    assert (device.is_on, device.mode, device.manual_temperature, device.brightness) == (
        (False, "manual", 21, 4)
    )


async def test_valves_do_not_open_over_a_leak_that_began_after_the_module_was_read() -> None:
    module = prow()
    plant = Plant(module)
    plant.change(module, valve_groups=(zone(alarm=True),))
    with pytest.raises(AlarmActiveError, match=r"^Bath reports a leak, so its valves were not"):
        await plant.set_valves(module, OPENED)
    assert plant.sent == []
    result = await plant.set_valves(module, OPENED, despite_alarm=True)
    assert (result.confirmed, plant.valves()) == (True, [(OPENED, (1,))])


async def test_queued_targets_are_merged() -> None:
    floor = thermostat()
    plant = Plant(floor)
    results = await asyncio.gather(
        *(plant.set_target_temperature(floor, celsius) for celsius in (20, 21, 22))
    )
    assert [command.celsius for command in plant.sent] == [22]  # type: ignore[attr-defined]
    assert [result.confirmed for result in results] == [True] * 3


async def test_closing_a_source_cancels_its_pending_commands() -> None:
    floor = thermostat()
    async with Plant(floor) as plant:
        task = asyncio.create_task(plant.set_target_temperature(floor, 20))
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert plant.sent == []


async def test_a_source_may_be_an_attrs_class() -> None:
    @attrs.define
    class Shelf(Controls):
        only: Device

        async def device(self, house_id: int, device_id: int) -> Device:
            return self.only

        async def _send(self, command: Command) -> None:
            raise CommandRejectedError("the shelf is full")

    shelf, floor = Shelf(thermostat()), thermostat()
    with pytest.raises(CommandRejectedError, match="full"):
        await shelf.set_target_temperature(floor, 20)


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_cannot_be_overridden(name: str) -> None:
    async def override(self: object, *args: object, **options: object) -> None: ...

    mixin = type("Mixin", (), {name: override})
    for bases, members in (((Plant,), {name: override}), ((mixin, Plant), {})):
        with pytest.raises(TypeError, match=f"^Sly must not override {name}, .* implement _send"):
            type("Sly", bases, members)


@pytest.mark.parametrize("name", ["look", "carry_out", "confirm", "send_in_turn", "targets"])
def test_steps_of_a_command_cannot_be_overridden(name: str) -> None:
    """Not even by chance, in a class that is called Controls as well."""
    with pytest.raises(TypeError, match=f"^Controls must not override _Controls__{name}, "):
        type("Controls", (Plant,), {f"_Controls__{name}": None})


async def test_source_can_be_used_again_after_closing() -> None:
    floor = thermostat()
    async with Plant(floor) as plant:
        task = asyncio.create_task(plant.set_target_temperature(floor, 20))
        await asyncio.sleep(0)
    async with plant:
        assert (await plant.set_target_temperature(floor, 21)).confirmed
    assert task.cancelled()
    assert [command.celsius for command in plant.sent] == [21]  # type: ignore[attr-defined]


async def test_first_look_is_as_soon_as_the_source_shows_changes() -> None:
    class Quick(Plant):
        _first_pause = 0.0

    module = prow()
    for plant, seconds in ((Plant(module), 2), (Quick(module), 0)):
        before = plant.clock.now()
        assert (await plant.set_valves(module, CLOSED)).confirmed is True
        assert plant.clock.now() - before == timedelta(seconds=seconds)


async def test_looking_without_pause_ends_at_the_limit() -> None:
    class Deaf(Plant):
        _first_pause = 0.0

        async def _send(self, command: Command) -> None: ...

    module = prow(zone())
    plant = Deaf(module)
    before = plant.clock.now()
    result = await plant.set_floor_washing(module, True, limit=5)
    assert result == CommandResult(False, module)
    assert (plant.clock.now() - before).total_seconds() == pytest.approx(5, abs=0.001)


async def test_source_without_commands_is_named() -> None:
    class Gauge:
        name = "gauge in the cellar"

        async def snapshot(self) -> Snapshot:
            return Snapshot(time=datetime(2026, 1, 1, tzinfo=UTC))

    plant = Plant()
    assert require_controls(plant) is plant
    with pytest.raises(CommandError, match=r"^gauge in the cellar takes no commands$"):
        require_controls(Gauge())
    with pytest.raises(CommandError, match=r"^object takes no commands$"):
        require_controls(object())


@pytest.mark.parametrize(
    "opening",
    [
        lambda module: SetValves(module, OPENED, 3),
        lambda module: SetValves(module, OPENED, 2),
        lambda module: SetValves(module, cast(Any, "ajar")),
        lambda _: SetValves(thermostat(), OPENED),
    ],
)
def test_a_command_that_the_device_cannot_carry_out_cannot_be_created(
    opening: Callable[[LeakModule], Command],
) -> None:
    with pytest.raises(CommandError):
        opening(prow())


async def test_a_module_of_another_make_has_the_groups_that_it_reports() -> None:
    module = LeakModule(id=1, house_id=5, valve_groups=(zone(1), zone(2)))
    plant = Plant(module)
    for group in (None, 2):
        assert (await plant.set_valves(module, OPENED, group)).confirmed is True
    assert plant.valves() == [(OPENED, (1, 2)), (OPENED, (2,))]


async def test_zones_separated_since_the_module_was_read_open_one_by_one() -> None:
    module = smart(zone(), grouping=JOINED)
    plant = Plant(smart(zone(1), zone(2, alarm=True), grouping=SEPARATE))
    await plant.set_valves(module, OPENED, 1)
    assert plant.valves() == [(OPENED, (1,))]  # not both, as the module that was read would have
    with pytest.raises(AlarmActiveError):
        await plant.set_valves(module, OPENED)
    assert len(plant.sent) == 1


async def test_zones_joined_since_the_module_was_read_are_not_opened_as_one() -> None:
    module = smart(zone(1), zone(2), grouping=SEPARATE)
    plant = Plant(smart(zone(), grouping=JOINED))
    with pytest.raises(CommandError, match="are joined"):
        await plant.set_valves(module, OPENED, 2)
    assert plant.sent == []
    result = await plant.set_valves(module, CLOSED, 2, limit=5)
    assert result.confirmed is False  # the module ignores it, and shows no such group
    await plant.set_valves(module, OPENED, 1)
    assert plant.valves()[-1] == (OPENED, (1, 2))


async def test_joined_zones_share_the_alarm_of_every_group_they_report() -> None:
    module = smart(zone(1), zone(2, alarm=True), grouping=JOINED)
    plant = Plant(module)
    with pytest.raises(AlarmActiveError):
        await plant.set_valves(module, OPENED, 1)
    assert plant.sent == []


@pytest.mark.parametrize("fields", [{"is_connected": False}, {"access_status": "unavailable"}])
async def test_valves_of_a_module_out_of_reach_are_closed_but_not_opened(
    fields: dict[str, Any],
) -> None:
    module = prow(**fields)
    plant = Plant(module)
    with pytest.raises(AlarmActiveError, match=r"^Bath is out of reach, so its valves were not"):
        await plant.set_valves(module, OPENED)
    assert plant.sent == []
    await plant.set_valves(module, CLOSED)
    await plant.set_valves(module, OPENED, despite_alarm=True)
    assert plant.valves() == [(CLOSED, (1,)), (OPENED, (1,))]


@pytest.mark.parametrize(
    ("module", "group", "opens"),
    [
        (prow(lines=(wet_line(),)), None, False),
        (prow(lines=(wet_line(),), floor_washing=True), None, True),
        (prow(zone(alarm=None), lines=(wet_line(),), floor_washing=True), None, False),
        (prow(zone(alarm=None)), None, True),
        (LeakModule(id=1, house_id=5, lines=(wet_line(),)), None, False),
        (smart(zone(1), zone(2), grouping=SEPARATE, lines=(wet_line(),)), None, False),
        (smart(zone(1), zone(2), grouping=SEPARATE, lines=(wet_line(),)), 1, True),
        (smart(zone(1), zone(2, alarm=None), grouping=SEPARATE, lines=(wet_line(),)), 2, False),
        (smart(zone(1, alarm=True), grouping=SEPARATE), 2, False),
    ],
)
async def test_a_wet_line_counts_unless_its_group_is_known_to_be_dry(
    module: LeakModule, group: int | None, *, opens: bool
) -> None:
    plant = Plant(module)
    if opens:
        await plant.set_valves(module, OPENED, group)
    else:
        with pytest.raises(AlarmActiveError):
            await plant.set_valves(module, OPENED, group)
    assert bool(plant.sent) is opens


@pytest.mark.parametrize("other", [prow(id=9), prow(house_id=9)])
async def test_an_answer_about_another_device_opens_and_confirms_nothing(
    other: LeakModule, caplog: pytest.LogCaptureFixture
) -> None:
    module = prow()
    plant = Plant(module)
    plant.devices[module.id] = other
    with pytest.raises(CommandError, match=r"was read instead of Bath"):
        await plant.set_valves(module, OPENED)
    assert plant.sent == []
    plant.devices[other.id] = other
    result = await plant.set_valves(module, CLOSED)
    assert result == CommandResult(False, module)
    assert "cannot tell whether the command worked" in caplog.text


async def test_a_look_that_fails_opens_nothing() -> None:
    class Broken(Plant):
        async def device(self, house_id: int, device_id: int) -> Device:
            raise RuntimeError("a bug")

    plant = Broken()
    with pytest.raises(RuntimeError, match="a bug"):
        await plant.set_valves(prow(), OPENED)
    assert plant.sent == []


@pytest.mark.parametrize("error", [TimeoutError(), KeyError("valves")])
async def test_a_look_that_fails_in_any_way_does_not_deny_the_command(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(Plant):
        async def device(self, house_id: int, device_id: int) -> Device:
            current = await super().device(house_id, device_id)
            if self.looks < 3:
                raise error
            return current

    module = prow()
    odd = Odd(module)
    assert (await odd.set_valves(module, CLOSED)).confirmed
    assert (odd.valves(), odd.looks) == ([(CLOSED, (1,))], 3)
    assert caplog.text.count("; reading the device again") == 2


async def test_a_module_that_has_become_unreadable_is_neither_opened_nor_confirmed() -> None:
    module = prow()
    unknown = UnknownDevice(id=1, house_id=5)
    plant = Plant(module)
    plant.devices[1] = unknown
    with pytest.raises(CommandError, match="is not a leak module"):
        await plant.set_valves(module, OPENED)
    assert plant.sent == []

    class Fading(Plant):
        async def _send(self, command: Command) -> None:
            self.devices[1] = unknown

    result = await Fading(module).set_valves(module, OPENED, limit=5)
    assert result == CommandResult(False, unknown)
