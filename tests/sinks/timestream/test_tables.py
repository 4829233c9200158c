"""Creating database and table."""

from datetime import timedelta

import pytest

from sinks.timestream.conftest import MakeSink
from sinks.timestream.stand_in import Timestream
from sst_cloud import Provisioned, SinkOptionsError, SinkRefusedError, StoreMissingError, open_sink
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.timestream import TimestreamSink

DAY = timedelta(days=1)


async def test_missing_database_and_table_are_created(
    make_sink: MakeSink, timestream: Timestream
) -> None:
    messages = await make_sink(magnetic_writes=True).provision()
    assert [sentence.partition(":")[0] for sentence in messages] == [
        "database mydb created",
        "table meters created",
    ]
    table = timestream.databases["mydb"]["meters"]
    assert (table.memory_hours, table.magnetic_days, table.magnetic_writes) == (720, 3650, True)


async def test_existing_table_is_unchanged_when_created_again(
    make_sink: MakeSink, timestream: Timestream
) -> None:
    """Correct settings are not changed."""
    sink = make_sink(memory=DAY, magnetic=30 * DAY)
    await sink.provision()
    messages = await sink.provision()
    assert all("already exists" in sentence for sentence in messages)
    assert timestream.requests_for("UpdateTable") == []


async def test_retention_of_an_existing_table_is_never_shortened(
    make_sink: MakeSink, timestream: Timestream
) -> None:
    """Readings would be deleted."""
    table = timestream.add_table(memory_hours=6, magnetic_days=3650)
    sink = make_sink(memory=DAY, magnetic=30 * DAY, magnetic_writes=True)
    messages = await sink.provision()
    assert "updated" in messages[1]
    assert (table.memory_hours, table.magnetic_days, table.magnetic_writes) == (24, 3650, True)


async def test_account_without_permission_is_refused(
    make_sink: MakeSink, timestream: Timestream
) -> None:
    """Like accounts created after June 2025."""
    timestream.denied = ("CreateDatabase",)
    with pytest.raises(SinkRefusedError, match="influxdb"):
        await make_sink().provision()


@pytest.mark.parametrize(("memory", "magnetic"), [(0, 1), (400, 1), (1, 0), (1, 80_000)])
def test_unsupported_retention_times_are_refused(memory: int, magnetic: int) -> None:
    with pytest.raises(SinkOptionsError, match="store keeps 1 to"):
        TimestreamSink("mydb", "meters", memory=memory * DAY, magnetic=magnetic * DAY)


async def test_one_url_provisions_and_writes(timestream: Timestream) -> None:
    options = "memory=2w&magnetic=1y&magnetic_writes=yes"
    async with open_sink(f"timestream:mydb/meters?{options}&endpoint_url={timestream.url}") as sink:
        assert isinstance(sink, Provisioned)
        await sink.provision()
        assert (await sink.write([sample_reading()])).accepted == 1
    table = timestream.databases["mydb"]["meters"]
    assert (table.memory_hours, table.magnetic_days, table.magnetic_writes) == (336, 365, True)
    assert len(table.rows) == 1


async def test_missing_table_is_an_error_of_its_own(make_sink: MakeSink) -> None:
    async with make_sink() as sink:
        with pytest.raises(StoreMissingError, match="there is no table mydb/meters"):
            await sink.write([sample_reading()])
