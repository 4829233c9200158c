"""The conformance suite for sources: tests of what their callers rely on.

class TestMySource(SourceContract):
    @pytest.fixture
    def make_source(self, gateway):
        return lambda: MySource(gateway.address)
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar, TypeVar

from sst_cloud.commands import MIN_TEMPERATURE, SetTargetTemperature, SetValves
from sst_cloud.controls import Controls
from sst_cloud.enums import ValveState
from sst_cloud.errors import TRANSIENT, CommandError, SourceOptionsError, SSTCloudError
from sst_cloud.extraction import readings_from
from sst_cloud.extras import require
from sst_cloud.models import Device, LeakModule, Snapshot, Thermostat
from sst_cloud.plugins import secret_names
from sst_cloud.readings import Reading
from sst_cloud.source import HouseSource, Source, SourceType, SourceURL, read_snapshot

require("SourceContract", "pytest", "pytest_asyncio")

import pytest  # noqa: E402  installed, from here on

D = TypeVar("D", bound=Device)

SourceFactory = Callable[[], Source]

_SECRET = "a-secret-that-nobody-may-see"  # noqa: S105  that is what it is for
_LIMIT = 10.0
"""Seconds in which a device confirms a command."""


class SourceContract:
    """Subclass and provide the fixture `make_source`: it returns unopened sources of one home.

    The home should have a device, and nothing should change while a test runs.
    """

    may_send_commands: ClassVar[bool] = False
    """Whether tests may close and open valves, and set target temperatures. If not, none sends a
    command."""

    @pytest.fixture
    def make_source(self) -> SourceFactory:
        """The subclass must override this."""
        pytest.fail("provide a fixture make_source that returns a function creating sources")

    @pytest.fixture
    def make_unreachable_source(self) -> SourceFactory | None:
        """Override this to test what happens if nothing answers: sources of a home out of reach."""
        return None

    def test_class_describes_the_source(self, make_source: SourceFactory) -> None:
        """The target, options and description are there to be listed."""
        source_type = _type_of(make_source())
        assert isinstance(source_type.target, str)
        assert all(option.name and option.help for option in source_type.options)
        assert (source_type.__doc__ or "").strip()

    def test_unknown_options_are_refused(self, make_source: SourceFactory) -> None:
        """A misspelt option raises an error that names the known ones."""
        source_type = _type_of(make_source())
        with pytest.raises(SourceOptionsError) as caught:
            source_type.from_url(_url(source_type, {"no-such-option": "1"}, {}))
        for option in source_type.options:
            assert option.name in str(caught.value)

    def test_secrets_are_not_shown(self, make_source: SourceFactory) -> None:
        """Neither in the name or `repr`, nor in the error if the source cannot be created."""
        source_type = _type_of(make_source())
        secrets = dict.fromkeys(secret_names(source_type), _SECRET)
        try:
            source = source_type.from_url(_url(source_type, {}, secrets))
            text = f"{source.name} {source!r}"
        except SSTCloudError as error:
            text = repr(error)
        assert _SECRET not in text

    def test_name_and_refresh_are_known_before_it_is_opened(
        self, make_source: SourceFactory
    ) -> None:
        """The name is on one line, and always the same; the refresh interval is not negative."""
        source = make_source()
        assert source.name.strip()
        assert source.name.isprintable()
        assert make_source().name == source.name
        assert source.refresh >= timedelta(0)

    @pytest.mark.asyncio
    async def test_errors_of_the_caller_are_not_hidden(self, make_source: SourceFactory) -> None:
        """Leaving the source passes on what was raised while it was open."""
        with pytest.raises(LookupError):
            async with make_source():
                raise LookupError

    @pytest.mark.asyncio
    async def test_snapshot_is_consistent(self, make_source: SourceFactory) -> None:
        """Ids are unique numbers, and what belongs to a house or device has one."""
        async with make_source() as source:
            snapshot = await source.snapshot()
        assert snapshot.time.utcoffset() == timedelta(0)
        assert snapshot.source in ("", source.name)
        houses = [house.id for house in snapshot.houses]
        devices = [(device.house_id, device.id) for device in snapshot.devices]
        counters = [(c.house_id, c.device_id, c.point_id) for c in snapshot.counters]
        sensors = [(s.house_id, s.device_id, s.point_id) for s in snapshot.wireless_sensors]
        assert houses
        assert devices
        for ids in (houses, devices, counters, sensors):
            assert len(set(ids)) == len(ids)
        assert {house_id for house_id, _ in devices} <= set(houses)
        assert {point[:2] for point in (*counters, *sensors)} <= set(devices)

    @pytest.mark.asyncio
    async def test_houses_have_a_known_time_zone(self, make_source: SourceFactory) -> None:
        """Days of consumption begin at its midnight; a source that does not know it says None."""
        async with make_source() as source:
            snapshot = await source.snapshot()
        unknown = [house.timezone for house in snapshot.houses if house.timezone and not house.zone]
        assert unknown == []

    @pytest.mark.asyncio
    async def test_devices_have_a_model(self, make_source: SourceFactory) -> None:
        """The product's name: it is in every reading of the device."""
        async with make_source() as source:
            snapshot = await source.snapshot()
        assert all(device.model for device in snapshot.devices)

    @pytest.mark.asyncio
    async def test_series_are_the_same_after_a_restart(self, make_source: SourceFactory) -> None:
        """Ids hold: a series that is stored goes on."""
        first, second = await _readings(make_source), await _readings(make_source)
        assert first
        assert len({reading.key for reading in first}) == len(first)
        assert {reading.series for reading in first} == {reading.series for reading in second}

    @pytest.mark.asyncio
    async def test_snapshots_at_the_same_time(self, make_source: SourceFactory) -> None:
        """A source may be asked again before it has answered."""
        async with make_source() as source:
            snapshots = await asyncio.gather(*(source.snapshot() for _ in range(3)))
        series = [_series(snapshot) for snapshot in snapshots]
        assert series[0] == series[1] == series[2]

    @pytest.mark.asyncio
    async def test_home_out_of_reach(self, make_unreachable_source: SourceFactory | None) -> None:
        """An error that says so on one line, and that asking again may help."""
        if make_unreachable_source is None:
            return
        with pytest.raises(TRANSIENT) as caught:
            async with make_unreachable_source() as source:
                await source.snapshot()
        assert str(caught.value).isprintable()
        assert str(caught.value)

    @pytest.mark.asyncio
    async def test_houses_can_be_chosen(self, make_source: SourceFactory) -> None:
        """A source that can be asked for a part gives that part."""
        async with make_source() as source:
            if not isinstance(source, HouseSource):
                return
            houses = await source.houses()
            part = await source.snapshot(houses=houses, house_ids=[houses[0].id])
            devices = await source.devices(houses[0].id)
            meters = await source.snapshot(counters_only=True)
        assert [house.id for house in part.houses] == [houses[0].id]
        assert {device.house_id for device in part.devices} <= {houses[0].id}
        assert [device.id for device in devices] == [device.id for device in part.devices]
        assert meters.devices == ()
        assert len(meters.counters) >= len(part.counters)

    @pytest.mark.asyncio
    async def test_devices_can_be_looked_at(self, make_source: SourceFactory) -> None:
        """A source that takes commands can read one device, and refuses an unknown one."""
        async with make_source() as source:
            if not isinstance(source, Controls):
                return
            snapshot = await source.snapshot()
            for device in snapshot.devices:
                look = await source.device(device.house_id, device.id)
                assert (look.house_id, look.id, look.model) == (
                    device.house_id,
                    device.id,
                    device.model,
                )
                assert type(look) is type(device)
            with pytest.raises(SSTCloudError):
                await source.device(snapshot.houses[0].id, 2**40)

    @pytest.mark.asyncio
    async def test_valves_close_and_open(self, make_source: SourceFactory) -> None:
        """Valves are closed, then opened, and the module shows it; with `may_send_commands`."""
        async with make_source() as source:
            if not self.may_send_commands or not isinstance(source, Controls):
                return
            module = await _first(LeakModule, source)
            if module is None:
                return
            for state in (ValveState.CLOSED, ValveState.OPENED):
                result = await source.set_valves(module, state, limit=_LIMIT)
                assert result.confirmed
                assert SetValves(module, state).is_in_effect(await _again(module, source))

    @pytest.mark.asyncio
    async def test_target_temperature_can_be_set(self, make_source: SourceFactory) -> None:
        """A thermostat takes another target, then its old one; with `may_send_commands`.

        A source that cannot set it raises `CommandError`.
        """
        async with make_source() as source:
            if not self.may_send_commands or not isinstance(source, Controls):
                return
            thermostat = await _first(Thermostat, source)
            if thermostat is None:
                return
            old = thermostat.manual_temperature or MIN_TEMPERATURE
            other = old - 1 if old > MIN_TEMPERATURE else old + 1
            for target in (other, old):
                try:
                    result = await source.set_target_temperature(thermostat, target, limit=_LIMIT)
                except CommandError as error:
                    assert type(error) is CommandError  # noqa: PT017  anything else is a refusal
                    return
                assert result.confirmed
                command = SetTargetTemperature(thermostat, target)
                assert command.is_in_effect(await _again(thermostat, source))


def _type_of(source: Source) -> type[SourceType]:
    source_type: type[SourceType] = type(source)  # type: ignore[assignment]
    return source_type


def _url(
    source_type: type[SourceType], options: Mapping[str, str], secrets: Mapping[str, str]
) -> SourceURL:
    return SourceURL("scheme", "target" if source_type.target else "", options, secrets)


async def _first(kind: type[D], source: Source) -> D | None:
    snapshot = await source.snapshot()
    return next((device for device in snapshot.devices if isinstance(device, kind)), None)


async def _again(device: Device, source: Source) -> Device:
    """A device in a new snapshot."""
    snapshot = await source.snapshot()
    key = (device.house_id, device.id)
    return next(other for other in snapshot.devices if (other.house_id, other.id) == key)


async def _readings(make_source: SourceFactory) -> Sequence[Reading]:
    async with make_source() as source:
        return readings_from(await read_snapshot(source))


def _series(snapshot: Snapshot) -> set[object]:
    return {reading.series for reading in readings_from(snapshot)}
