"""How type checkers see the public API. Never run: `mypy --strict` reads it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import assert_type

import polars as pl

from sst_cloud import (
    Command,
    CommandResult,
    Controls,
    Counter,
    Device,
    Group,
    Grouping,
    History,
    House,
    LeakModule,
    Listing,
    NeptunProW,
    NeptunSmart,
    Network,
    News,
    PasswordAuth,
    Quantity,
    Reading,
    Schedule,
    SetTargetTemperature,
    SetValves,
    Sink,
    Slot,
    Snapshot,
    Source,
    SSTCloud,
    SSTCloudError,
    TemperatureSensor,
    Thermostat,
    ThermostatMode,
    TokenAuth,
    UnknownDevice,
    Unreadable,
    User,
    ValveGroup,
    ValveState,
    Water,
    WiredLine,
    WirelessSensor,
    WriteReport,
    open_history,
    open_sink,
    readings_frame,
    readings_from,
)
from sst_cloud.collector import Collector, Poll
from sst_cloud.monitoring import AlarmRules, Event, EventKind, ValidationRules
from sst_cloud.notify import handler_from
from sst_cloud.outbox import (
    DeadLetter,
    DeadLetters,
    DeliveryState,
    Limits,
    SinkStatus,
    Start,
    Status,
    known_houses,
    read_status,
)


async def reads(cloud: SSTCloud) -> None:
    """Lists have typed elements and unreadable ones."""
    houses = await cloud.houses()
    assert_type(houses, Listing[House])
    assert_type(houses[0], House)
    assert_type(houses.unreadable, tuple[Unreadable, ...])
    assert_type([house.id for house in houses], list[int])
    assert_type(await cloud.house(1), House)
    assert_type(await cloud.user(), User)
    assert_type(await cloud.devices(1), Listing[Device])
    assert_type(await cloud.device(1, 2), Device)
    assert_type(await cloud.counters(1), Listing[Counter])
    assert_type(await cloud.counters(1, 2), Listing[Counter])
    assert_type(await cloud.wireless_sensors(1, 2), Listing[WirelessSensor])
    assert_type(await cloud.networks(1), Listing[Network])
    assert_type(await cloud.groups(1), Listing[Group])
    assert_type(await cloud.news(), Listing[News])
    assert_type(await cloud.login(), str)
    snapshot = await cloud.snapshot(house_ids=[1], counters_only=True)
    assert_type(snapshot, Snapshot)
    assert_type(snapshot.time, datetime)
    assert_type(snapshot.devices, tuple[Device, ...])
    assert_type(snapshot.counters, tuple[Counter, ...])
    assert_type(snapshot.wireless_sensors, tuple[WirelessSensor, ...])
    assert_type(snapshot.unreadable, tuple[Unreadable, ...])
    assert_type(readings_from(snapshot), list[Reading])
    assert_type(readings_frame(snapshot, library="polars"), pl.DataFrame)
    assert_type(readings_frame([], library="polars"), pl.DataFrame)


def fields(house: House, counter: Counter, sensor: WirelessSensor) -> None:
    """Optional fields are typed as optional."""
    assert_type(house.timezone, str | None)
    assert_type(counter.value_l, int)
    assert_type(counter.value_m3, float)
    assert_type(counter.water, Water | None)
    assert_type(sensor.point_id, str)
    assert_type(sensor.lost, bool | None)
    assert_type(sensor.battery_percent, int | None)


def devices(device: Device) -> None:
    """`isinstance` narrows the type of a device."""
    assert_type(device.model, str)
    assert_type(device.reported_at, datetime | None)
    if isinstance(device, LeakModule):
        assert_type(device.valve_groups, tuple[ValveGroup, ...])
        assert_type(device.valve_groups[0].state, ValveState | str | None)
        assert_type(device.lines, tuple[WiredLine, ...])
        assert_type(device.alarm, bool)
    if isinstance(device, NeptunSmart):
        assert_type(device.grouping, Grouping | str | None)
        assert_type(device.slots, tuple[Slot, ...])
    elif isinstance(device, NeptunProW):
        assert_type(device.battery_low, bool | None)
    elif isinstance(device, Thermostat):
        assert_type(device.mode, ThermostatMode | str | None)
        assert_type(device.controlling_sensor, TemperatureSensor | None)
        assert_type(device.current_temperature, float | None)
        assert_type(device.schedule, Schedule | None)
        assert_type(device.target_at(datetime.now().astimezone(), None), float | None)
    elif isinstance(device, UnknownDevice):
        assert_type(device.name, str)


async def commands(cloud: SSTCloud, module: NeptunSmart, thermostat: Thermostat) -> None:
    """All commands return the same type."""
    result = await cloud.set_valves(module, ValveState.OPENED, 1, despite_alarm=True, limit=5)
    assert_type(result, CommandResult)
    assert_type(result.confirmed, bool | None)
    assert_type(result.device, Device)
    assert_type(await cloud.set_floor_washing(module, True, wait=False), CommandResult)
    assert_type(await cloud.set_power(thermostat, False), CommandResult)
    assert_type(await cloud.set_mode(thermostat, ThermostatMode.CHART), CommandResult)
    assert_type(await cloud.set_target_temperature(thermostat, 21.0), CommandResult)
    assert_type(await cloud.set_brightness(thermostat, 5), CommandResult)


async def commands_as_data(module: NeptunSmart, thermostat: Thermostat) -> None:
    """The client obeys as any source does; commands are data for whoever sends them."""
    controls: Controls = SSTCloud(TokenAuth("token"))
    assert_type(await controls.set_power(thermostat, True), CommandResult)
    command = SetValves(module, ValveState.CLOSED, 1)
    assert_type(command.device, LeakModule)
    assert_type(command.state, ValveState)
    assert_type(command.groups, tuple[int, ...])
    any_command: Command = command
    assert_type(any_command.is_in_effect(module), bool)
    assert_type(SetTargetTemperature(thermostat, 21.0).celsius, int)


async def ports() -> None:
    """The client is a source, and a sink is opened by its URL."""
    async with SSTCloud(PasswordAuth("me@example.com", "secret")) as cloud:
        assert_type(cloud, SSTCloud)
        source: Source = cloud
        readings = readings_from(await source.snapshot())
    assert_type(SSTCloud(TokenAuth("token")), SSTCloud)
    async with open_history("sqlite:home.db") as history:
        assert_type(history, History)
    async with open_sink("sqlite:home.db") as sink:
        assert_type(await sink.write(readings), WriteReport)


def history(sink: Sink) -> AsyncIterator[Reading] | None:
    """`isinstance` recognises a readable sink."""
    if isinstance(sink, History):
        return sink.read(Quantity.VOLUME)
    return None


async def collecting(source: Source, sink: Sink, folder: Path) -> None:
    """A collector accepts any source and sinks; all options have defaults."""
    async with Collector(
        source,
        {"here": sink},
        folder,
        handlers={"there": handler_from("notify --now")},
        every=timedelta(minutes=20),
        start=Start.BEGINNING,
        limits=Limits(age=timedelta(days=30)),
        validation_rules=ValidationRules(confirmations=1),
        alarm_rules=AlarmRules(silence=timedelta(hours=1)),
        on_poll=polled,
    ) as collector:
        assert_type(collector, Collector)
        await collector.run(polls=1)
        assert_type(await collector.status(), Status)
        assert_type(collector.latest, Sequence[Reading])
        assert_type(collector.errors, Mapping[str, SSTCloudError])


def polled(poll: Poll) -> None:
    """The result of a poll: a snapshot or an error."""
    assert_type(poll.time, datetime)
    assert_type(poll.readings, Sequence[Reading])
    assert_type(poll.events, Sequence[Event])
    assert_type(poll.error, SSTCloudError | None)
    for event in poll.events:
        assert_type(event.kind, EventKind)
        assert_type(event.device_id, int | None)
        assert_type(event.details, Mapping[str, int | float | str | bool | None])


def beside_a_collector(folder: Path) -> None:
    """Another process can read the status and the dead letters."""
    status = read_status(folder)
    assert_type(status, Status)
    assert_type(status.sinks, tuple[SinkStatus, ...])
    assert_type(status.sinks[0].state, DeliveryState)
    assert_type(status.sinks[0].next_try, datetime | None)
    assert_type(known_houses(folder), tuple[House, ...])
    letters = DeadLetters(folder)
    assert_type(letters.path, Path)
    assert_type(letters.read(), list[DeadLetter])
    assert_type(letters.remove(lambda letter: letter.reason == ""), int)
