"""Making database and table."""

from datetime import timedelta

import pytest

from sinks.timestream.conftest import MakeSink
from sinks.timestream.stand_in import Timestream
from sinks.timestream.store import Table
from sst_cloud.errors import SinkOptionsError, SinkRefusedError
from sst_cloud_sinks.timestream import TimestreamSink

DAY = timedelta(days=1)


async def test_missing_database_and_table_are_created(
    make_sink: MakeSink, timestream: Timestream
) -> None:
    sink = make_sink()
    messages = await sink.create(memory=30 * DAY, magnetic=3650 * DAY, magnetic_writes=True)
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
    sink = make_sink()
    await sink.create(memory=DAY, magnetic=30 * DAY)
    messages = await sink.create(memory=DAY, magnetic=30 * DAY)
    assert all("already exists" in sentence for sentence in messages)
    assert timestream.requests_for("UpdateTable") == []


async def test_retention_of_an_existing_table_is_never_shortened(
    make_sink: MakeSink, timestream: Timestream
) -> None:
    """Readings would be deleted."""
    table = timestream.add_table(memory_hours=6, magnetic_days=3650)
    messages = await make_sink().create(memory=DAY, magnetic=30 * DAY, magnetic_writes=True)
    assert "updated" in messages[1]
    assert (table.memory_hours, table.magnetic_days, table.magnetic_writes) == (24, 3650, True)


async def test_account_without_permission_is_refused(
    make_sink: MakeSink, timestream: Timestream
) -> None:
    """Like accounts created after June 2025."""
    timestream.denied = ("CreateDatabase",)
    with pytest.raises(SinkRefusedError, match="influxdb"):
        await make_sink().create(memory=DAY, magnetic=DAY)


@pytest.mark.parametrize(("memory", "magnetic"), [(0, 1), (400, 1), (1, 0), (1, 80_000)])
async def test_unsupported_retention_times_are_refused(
    sink: TimestreamSink, table: Table, memory: int, magnetic: int
) -> None:
    with pytest.raises(SinkOptionsError, match="store keeps 1 to"):
        await sink.create(memory=memory * DAY, magnetic=magnetic * DAY)
