"""The conformance suite for sinks: tests of what their callers rely on.

class TestMySink(SinkContract):
    @pytest.fixture
    def make_sink(self, tmp_path):
        return lambda: MySink(tmp_path / "store")
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from sst_cloud.enums import Point, Quality, Water
from sst_cloud.errors import SinkOptionsError
from sst_cloud.extras import require
from sst_cloud.quantities import Quantity
from sst_cloud.readings import Reading
from sst_cloud.sink import Guarantee, History, Sink, SinkType, SinkURL, WriteReport

require("SinkContract", "pytest", "pytest_asyncio")

import pytest  # noqa: E402  installed, from here on

START: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

SinkFactory = Callable[[], Sink]


def sample_reading(**changes: Any) -> Reading:
    """A reading of a cold water meter; `changes` replace its fields."""
    fields: dict[str, Any] = {
        "time": START,
        "quantity": Quantity.VOLUME,
        "value": 123_450,
        "house_id": 1,
        "house": "Home",
        "device_id": 2,
        "device": "Bathroom",
        "model": "Neptun Smart",
        "point": Point.COUNTER,
        "point_id": "3",
        "name": "Cold",
        "line": 1,
        "water": Water.COLD,
    }
    return Reading(**fields | changes)


def sample_readings() -> list[Reading]:
    """One reading of every quantity, including odd names, ids and values."""
    odd_names = ["Холодная", "=1+1", "a,b;c", 'quo"te', "two\r\nlines", "'", None, "  ", "😀", "\t"]
    readings = [
        sample_reading(
            quantity=quantity,
            value=True if quantity.is_boolean else number,
            point_id=f"p {number}",
            name=odd_names[number % len(odd_names)],
            water=None,
            line=None,
            quality=list(Quality)[number % len(Quality)],
        )
        for number, quantity in enumerate(Quantity)
    ]
    return [
        *readings,
        sample_reading(quantity=Quantity.FLOOR_TEMPERATURE, value=-0.5, point_id="floor"),
        sample_reading(quantity=Quantity.FLOOR_TEMPERATURE, value=21.0, point_id="whole"),
        sample_reading(quantity=Quantity.LEAK, value=False, point_id="dry"),
        sample_reading(point_id="huge", value=2**62, water=Water.HOT),
        sample_reading(point_id="old", time=datetime(2001, 1, 1, tzinfo=UTC)),
    ]


class SinkContract:
    """Subclass and provide the fixture `make_sink`: it returns unopened sinks on the same store."""

    @pytest.fixture
    def make_sink(self) -> SinkFactory:
        """The subclass must override this."""
        pytest.fail("provide a fixture make_sink that returns a function creating sinks")

    async def stored(self, make_sink: SinkFactory) -> Sequence[Reading] | None:
        """All stored readings, or None if unknown; by default read from a `History`."""
        async with make_sink() as sink:
            if not isinstance(sink, History):
                return None
            return [reading for quantity in Quantity async for reading in sink.read(quantity)]

    def as_stored(self, reading: Reading) -> Reading:
        """The reading as the store returns it, by default unchanged; its key must not change."""
        return reading

    def test_class_describes_the_sink(self, make_sink: SinkFactory) -> None:
        """The target, options, guarantee and description are there to be listed."""
        sink_type: type[SinkType] = type(make_sink())  # type: ignore[assignment]
        assert isinstance(sink_type.target, str)
        assert isinstance(sink_type.guarantee, Guarantee)
        assert all(option.name and option.help for option in sink_type.options)
        assert (sink_type.__doc__ or "").strip()

    def test_unknown_options_are_refused(self, make_sink: SinkFactory) -> None:
        """A misspelt option raises an error that names the known ones."""
        sink_type: type[SinkType] = type(make_sink())  # type: ignore[assignment]
        target = "target" if sink_type.target else ""
        with pytest.raises(SinkOptionsError) as caught:
            sink_type.from_url(SinkURL("scheme", target, {"no-such-option": "1"}))
        for option in sink_type.options:
            assert option.name in str(caught.value)

    @pytest.mark.asyncio
    async def test_check_writes_nothing(self, make_sink: SinkFactory) -> None:
        """A check stores nothing."""
        async with make_sink() as sink:
            await sink.check()
        assert not await self.stored(make_sink)

    @pytest.mark.asyncio
    async def test_empty_write_is_accepted(self, make_sink: SinkFactory) -> None:
        """A poll may return no readings."""
        async with make_sink() as sink:
            assert await sink.write([]) == WriteReport()
        assert not await self.stored(make_sink)

    @pytest.mark.asyncio
    async def test_every_reading_is_accepted_or_rejected(self, make_sink: SinkFactory) -> None:
        """Each reading is accepted or rejected, and accepted ones outlive the sink."""
        readings = sample_readings()
        async with make_sink() as sink:
            report = await sink.write(readings)
        assert report.accepted + len(report.rejected) == len(readings)
        rejected = [rejection.reading for rejection in report.rejected]
        assert all(reading in readings for reading in rejected)
        assert all(rejection.reason for rejection in report.rejected)
        stored = await self.stored(make_sink)
        if stored is not None:
            expected = [reading for reading in readings if reading not in rejected]
            assert _exact(stored) == self._expected(expected)

    @pytest.mark.asyncio
    async def test_later_writes_add_to_the_store(self, make_sink: SinkFactory) -> None:
        """Later writes, even after a restart, add to what is stored."""
        first, second, third = (sample_reading(time=START + timedelta(hours=n)) for n in range(3))
        async with make_sink() as sink:
            await sink.write([first])
            await sink.write([second])
        async with make_sink() as sink:
            assert (await sink.write([third])).accepted == 1
        stored = await self.stored(make_sink)
        if stored is not None:
            assert _exact(stored) == self._expected([first, second, third])

    @pytest.mark.asyncio
    async def test_repeated_readings_change_nothing(self, make_sink: SinkFactory) -> None:
        """A retry is accepted, and changes nothing if the sink promises so."""
        readings = sample_readings()
        async with make_sink() as sink:
            first = await sink.write(readings)
            second = await sink.write(readings)
            guarantee = getattr(type(sink), "guarantee", None)
        assert (second.accepted, second.rejected) == (first.accepted, first.rejected)
        stored = await self.stored(make_sink)
        if stored is not None and guarantee is Guarantee.IDEMPOTENT:
            assert len(stored) == first.accepted

    @pytest.mark.asyncio
    async def test_points_do_not_overwrite_each_other(self, make_sink: SinkFactory) -> None:
        """Readings that differ only in their point do not overwrite each other."""
        readings = [sample_reading(point_id=str(number), value=number) for number in range(3)]
        async with make_sink() as sink:
            assert (await sink.write(readings)).accepted == len(readings)
        stored = await self.stored(make_sink)
        if stored is not None:
            assert _exact(stored) == self._expected(readings)

    @pytest.mark.asyncio
    async def test_history(self, make_sink: SinkFactory) -> None:
        """`read` is half-open and sorted by time; `latest` returns the newest of every series."""
        hours = [sample_reading(time=START + timedelta(hours=n), value=n) for n in range(5)]
        other = sample_reading(point_id="other", time=START - timedelta(days=1))
        expected = [self.as_stored(reading) for reading in (other, *hours)]
        async with make_sink() as sink:
            if not isinstance(sink, History):
                return
            assert list(await sink.latest()) == []
            await sink.write([*reversed(hours), other])
            since, until = START + timedelta(hours=1), START + timedelta(hours=3)
            middle = [reading async for reading in sink.read(Quantity.VOLUME, since, until)]
            everything = [reading async for reading in sink.read(Quantity.VOLUME)]
            nothing = [reading async for reading in sink.read(Quantity.LEAK)]
            latest = await sink.latest()
        assert middle == expected[2:4]
        assert everything == expected
        assert nothing == []
        assert _exact(latest) == _exact([expected[-1], expected[0]])

    @pytest.mark.asyncio
    async def test_suspect_reading_becomes_good(self, make_sink: SinkFactory) -> None:
        """A suspect reading that is written again as good is good from then on."""
        hours = [sample_reading(time=START + timedelta(hours=n), value=n) for n in range(3)]
        suspect = [attrs.evolve(reading, quality=Quality.SUSPECT) for reading in hours]
        async with make_sink() as sink:
            assert (await sink.write(suspect)).accepted == len(suspect)
        async with make_sink() as sink:
            assert (await sink.write(hours)).accepted == len(hours)
            guarantee = getattr(type(sink), "guarantee", None)
        stored = await self.stored(make_sink)
        if stored is not None and guarantee is Guarantee.IDEMPOTENT:
            assert _exact(stored) == self._expected(hours)

    def _expected(self, readings: Sequence[Reading]) -> list[tuple[str, str, Reading]]:
        return _exact([self.as_stored(reading) for reading in readings])


def _exact(readings: Sequence[Reading]) -> list[tuple[str, str, Reading]]:
    """Readings in a fixed order, with the type of the value: 1, 1.0 and True are not the same."""
    return sorted(
        ((repr(reading.key), repr(reading.value), reading) for reading in readings),
        key=lambda entry: entry[:2],
    )
