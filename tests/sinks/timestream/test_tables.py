"""Making database and table."""

from datetime import timedelta

import pytest

from sinks.timestream.conftest import MakeSink
from sinks.timestream.stand_in import Timestream
from sinks.timestream.store import Table
from sst_cloud.errors import SinkOptionsError, SinkRefusedError
from sst_cloud_sinks.timestream import TimestreamSink

DAY = timedelta(days=1)


async def test_from_nothing(make_sink: MakeSink, timestream: Timestream) -> None:
    sink = make_sink()
    said = await sink.create(memory=30 * DAY, magnetic=3650 * DAY, magnetic_writes=True)
    assert [sentence.partition(":")[0] for sentence in said] == [
        "database mydb created",
        "table meters created",
    ]
    table = timestream.databases["mydb"]["meters"]
    assert (table.memory_hours, table.magnetic_days, table.magnetic_writes) == (720, 3650, True)


async def test_again(make_sink: MakeSink, timestream: Timestream) -> None:
    """Nothing is changed that is as it should be."""
    sink = make_sink()
    await sink.create(memory=DAY, magnetic=30 * DAY)
    said = await sink.create(memory=DAY, magnetic=30 * DAY)
    assert all("already exists" in sentence for sentence in said)
    assert timestream.asked("UpdateTable") == []


async def test_what_is_kept_is_never_shortened(make_sink: MakeSink, timestream: Timestream) -> None:
    """Readings would be deleted."""
    made = timestream.add_table(memory_hours=6, magnetic_days=3650)
    said = await make_sink().create(memory=DAY, magnetic=30 * DAY, magnetic_writes=True)
    assert "updated" in said[1]
    assert (made.memory_hours, made.magnetic_days, made.magnetic_writes) == (24, 3650, True)


async def test_an_account_that_may_not(make_sink: MakeSink, timestream: Timestream) -> None:
    """As those that came after June 2025."""
    timestream.denied = ("CreateDatabase",)
    with pytest.raises(SinkRefusedError, match="influxdb"):
        await make_sink().create(memory=DAY, magnetic=DAY)


@pytest.mark.parametrize(("memory", "magnetic"), [(0, 1), (400, 1), (1, 0), (1, 80_000)])
async def test_times_nobody_offers(
    sink: TimestreamSink, table: Table, memory: int, magnetic: int
) -> None:
    with pytest.raises(SinkOptionsError, match="store keeps 1 to"):
        await sink.create(memory=memory * DAY, magnetic=magnetic * DAY)
