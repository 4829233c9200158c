"""The conformance suite for sources: tests of what their callers rely on.

class TestMySource(SourceContract):
    @pytest.fixture
    def make_source(self, gateway):
        return lambda: MySource(gateway.address)
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from sst_cloud.controls import Controls
from sst_cloud.errors import SourceOptionsError, SSTCloudError
from sst_cloud.extraction import readings_from
from sst_cloud.extras import require
from sst_cloud.models import Snapshot
from sst_cloud.readings import Reading
from sst_cloud.source import HouseSource, Source, SourceType, SourceURL, read_snapshot

require("SourceContract", "pytest", "pytest_asyncio")

import pytest  # noqa: E402  installed, from here on

SourceFactory = Callable[[], Source]


class SourceContract:
    """Subclass and provide the fixture `make_source`: it returns unopened sources of one home.

    The home should have a device and a meter, and nothing should change while a test runs. No
    command is sent.
    """

    @pytest.fixture
    def make_source(self) -> SourceFactory:
        """The subclass must override this."""
        pytest.fail("provide a fixture make_source that returns a function creating sources")

    def test_class_describes_the_source(self, make_source: SourceFactory) -> None:
        """The target, options and description are there to be listed."""
        source_type: type[SourceType] = type(make_source())  # type: ignore[assignment]
        assert isinstance(source_type.target, str)
        assert all(option.name and option.help for option in source_type.options)
        assert (source_type.__doc__ or "").strip()

    def test_unknown_options_are_refused(self, make_source: SourceFactory) -> None:
        """A misspelt option raises an error that names the known ones."""
        source_type: type[SourceType] = type(make_source())  # type: ignore[assignment]
        target = "target" if source_type.target else ""
        with pytest.raises(SourceOptionsError) as caught:
            source_type.from_url(SourceURL("scheme", target, {"no-such-option": "1"}))
        for option in source_type.options:
            assert option.name in str(caught.value)

    def test_name_and_refresh_are_known_before_it_is_opened(
        self, make_source: SourceFactory
    ) -> None:
        """The name is for messages, on one line; the refresh interval is not negative."""
        source = make_source()
        assert source.name.strip()
        assert source.name.isprintable()
        assert source.refresh >= timedelta(0)

    @pytest.mark.asyncio
    async def test_snapshot_is_consistent(self, make_source: SourceFactory) -> None:
        """Ids are unique, and what belongs to a house is in one of the houses."""
        async with make_source() as source:
            snapshot = await source.snapshot()
        assert snapshot.time.tzinfo is not None
        assert snapshot.source in ("", source.name)
        houses = [house.id for house in snapshot.houses]
        devices = [(device.house_id, device.id) for device in snapshot.devices]
        counters = [(c.house_id, c.device_id, c.point_id) for c in snapshot.counters]
        sensors = [(s.house_id, s.device_id, s.point_id) for s in snapshot.wireless_sensors]
        assert houses
        for ids in (houses, devices, counters, sensors):
            assert len(set(ids)) == len(ids)
        assert {house_id for house_id, *_ in (*devices, *counters, *sensors)} <= set(houses)
        assert {point[:2] for point in sensors} <= set(devices)

    @pytest.mark.asyncio
    async def test_devices_have_a_model(self, make_source: SourceFactory) -> None:
        """The product's name: it is in every reading of the device."""
        async with make_source() as source:
            snapshot = await source.snapshot()
        assert all(device.model for device in snapshot.devices)

    @pytest.mark.asyncio
    async def test_series_are_the_same_after_a_restart(self, make_source: SourceFactory) -> None:
        """Ids hold: a series that is stored goes on."""
        first, second = await self._readings(make_source), await self._readings(make_source)
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

    async def _readings(self, make_source: SourceFactory) -> Sequence[Reading]:
        async with make_source() as source:
            return readings_from(await read_snapshot(source))


def _series(snapshot: Snapshot) -> set[object]:
    return {reading.series for reading in readings_from(snapshot)}
