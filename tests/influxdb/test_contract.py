"""The InfluxDB sink by the contract that any sink is held to, on servers that really store."""

from collections.abc import Sequence

import pytest

from influxdb.servers import InfluxDB1, VictoriaMetrics
from influxdb.stored import as_written
from sst_cloud import Reading, WriteReport
from sst_cloud.testing import SinkContract
from sst_cloud.testing.sink_contract import SinkFactory
from sst_cloud_sinks.influxdb import InfluxDBSink


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Reading]:
    """All readings that a test has given to a sink: names are not stored, and come from here."""
    seen: list[Reading] = []
    write = InfluxDBSink.write

    async def watched(self: InfluxDBSink, readings: Sequence[Reading]) -> WriteReport:
        seen.extend(readings)
        return await write(self, readings)

    monkeypatch.setattr(InfluxDBSink, "write", watched)
    return seen


class TestVersion1(SinkContract):
    @pytest.fixture
    def make_sink(self, influxdb1: InfluxDB1, database: str, written: list[Reading]) -> SinkFactory:
        self.server, self.database, self.written = influxdb1, database, written
        return lambda: InfluxDBSink(
            influxdb1.url,
            database,
            version=1,
            user=influxdb1.admin,
            password=influxdb1.password,
        )

    async def stored(self, make_sink: SinkFactory) -> Sequence[Reading]:
        return as_written(self.server.rows(self.database), self.written)


class TestVersion2(SinkContract):
    @pytest.fixture
    def make_sink(self, victoria: VictoriaMetrics, written: list[Reading]) -> SinkFactory:
        self.server, self.written = victoria, written
        return lambda: InfluxDBSink(victoria.url, "home", org="we", token="a-token")

    async def stored(self, make_sink: SinkFactory) -> Sequence[Reading]:
        return as_written(self.server.rows(), self.written)
