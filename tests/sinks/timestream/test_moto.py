"""The sink with real aioboto3, against the moto server."""

import logging
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer
from moto.timestreamwrite.models import timestreamwrite_backends

from sst_cloud.errors import SinkRefusedError
from sst_cloud.plugins import open_sink
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.timestream import TimestreamSink


@pytest.fixture
def moto(caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    """The address of a moto server. It accepts everything, so it tests only the protocol."""
    caplog.set_level(logging.ERROR, "werkzeug")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


async def test_sink_writes_to_a_moto_server(moto: str) -> None:
    readings = [sample_reading(point_id=str(n)) for n in range(150)]
    async with open_sink(f"timestream:mydb/meters?endpoint_url={moto}") as sink:
        assert isinstance(sink, TimestreamSink)
        with pytest.raises(SinkRefusedError, match="there is no table mydb/meters"):
            await sink.write(readings)
        await sink.provision()
        assert (await sink.write(readings)).accepted == 150
        assert await sink.latest() == ()
    (table,) = [
        table
        for backend in timestreamwrite_backends["123456789012"].values()
        for database in backend.databases.values()
        for table in database.tables.values()
    ]
    assert table.name == "meters"
    assert len(table.records) == 150
    assert {record["MeasureValue"] for record in table.records} == {"123450"}
