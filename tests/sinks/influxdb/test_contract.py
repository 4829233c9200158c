"""The contract tests for the InfluxDB sink, on real servers."""

from collections.abc import Sequence

import attrs
import pytest

from sinks.influxdb.servers import InfluxDB1, VictoriaMetrics
from sinks.influxdb.stored import as_written, readings_of
from sst_cloud import Quality, Quantity, Reading, SinkRefusedError, WriteReport
from sst_cloud.testing import SinkContract
from sst_cloud.testing.sink_contract import SinkFactory, sample_reading
from sst_cloud_sinks.influxdb import InfluxDBSink


def nameless(reading: Reading) -> Reading:
    """A reading without what is not stored: names, model, line, and number type."""
    whole = reading.quantity in (Quantity.VOLUME, Quantity.BATTERY, Quantity.SIGNAL)
    return attrs.evolve(
        reading,
        value=reading.value if whole or reading.quantity.is_boolean else float(reading.value),
        house="",
        device="",
        model="",
        name=None,
        line=None,
    )


class TestVersion1(SinkContract):
    """Written by the sink, and read back by it."""

    names = False

    @pytest.fixture
    def make_sink(self, influxdb1: InfluxDB1, database: str) -> SinkFactory:
        self.server, self.database = influxdb1, database
        return lambda: InfluxDBSink(
            influxdb1.url,
            database,
            version=1,
            user=influxdb1.admin,
            password=influxdb1.password,
            names=self.names,
        )

    def as_stored(self, reading: Reading) -> Reading:
        return nameless(reading)


class TestVersion1WithNames(TestVersion1):
    """The names are stored as tags, and read back from them."""

    names = True

    def as_stored(self, reading: Reading) -> Reading:
        return attrs.evolve(
            nameless(reading), house=reading.house, device=reading.device, name=reading.name
        )


class TestRowsOfVersion1(TestVersion1):
    """What other programs see in the database."""

    async def stored(self, make_sink: SinkFactory) -> Sequence[Reading]:
        return [nameless(reading) for reading in readings_of(self.server.rows(self.database))]


class TestVictoriaMetrics(SinkContract):
    """It accepts the requests of version 2, but cannot be queried."""

    @pytest.fixture
    def make_sink(self, victoria: VictoriaMetrics, monkeypatch: pytest.MonkeyPatch) -> SinkFactory:
        self.server = victoria
        self.written: list[Reading] = []
        written, write = self.written, InfluxDBSink.write

        async def watched(self: InfluxDBSink, readings: Sequence[Reading]) -> WriteReport:
            written.extend(readings)
            return await write(self, readings)

        monkeypatch.setattr(InfluxDBSink, "write", watched)
        return lambda: InfluxDBSink(victoria.url, "home", org="we", token="a-token")

    @pytest.mark.asyncio
    async def test_suspect_reading_becomes_good(self, make_sink: SinkFactory) -> None:
        """Newer versions keep the greater of two values, here those of the quality."""
        if not self.server.keeps_greater_value():
            await super().test_suspect_reading_becomes_good(make_sink)
            return
        suspect = sample_reading(quality=Quality.SUSPECT)
        async with make_sink() as sink:
            await sink.write([suspect])
            await sink.write([sample_reading()])
        assert await self.stored(make_sink) == [suspect]

    async def stored(self, make_sink: SinkFactory) -> Sequence[Reading]:
        """It keeps only 15 digits of a number; the rest is taken from the written readings."""
        return as_written(self.server.rows(), self.written)

    @pytest.mark.asyncio
    async def test_history(self, make_sink: SinkFactory) -> None:
        async with make_sink() as sink:
            assert isinstance(sink, InfluxDBSink)
            await sink.write([sample_reading()])
            with pytest.raises(SinkRefusedError, match=r"VictoriaMetrics .* cannot be queried"):
                await sink.latest()
            with pytest.raises(SinkRefusedError, match="does not understand InfluxQL"):
                await anext(sink.read(Quantity.VOLUME))
