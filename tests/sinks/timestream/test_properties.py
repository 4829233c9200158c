"""Any reading is accepted or rejected, and every accepted reading is read back."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinks.timestream.stand_in import NOW, Timestream
from sst_cloud import Reading
from sst_cloud.enums import Point, Quality, Water
from sst_cloud.quantities import Quantity
from sst_cloud_sinks.timestream import TimestreamSink
from sst_cloud_sinks.timestream.batches import BATCH_SIZE, plan, request_for

INT64 = st.integers(-(2**63), 2**63 - 1)
pytestmark = [pytest.mark.slow, pytest.mark.source]

NAMES = st.text(max_size=20) | st.sampled_from(["", "  ", "n" * 1900, "Кухня" * 400, "'; --"])


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    quantity = draw(st.sampled_from(Quantity))
    if quantity.is_boolean:
        value: Any = draw(st.booleans())
    elif quantity is Quantity.VOLUME:
        value = draw(INT64)
    else:
        value = draw(st.floats(allow_nan=False, allow_infinity=False) | INT64)
    times = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
    return Reading(
        time=draw(st.just(NOW) | times),
        quantity=quantity,
        value=value,
        unit=draw(st.just(quantity.unit) | NAMES),
        house_id=draw(st.integers(1, 3) | INT64),
        house=draw(NAMES),
        device_id=draw(st.integers(1, 3) | INT64),
        device=draw(NAMES),
        model=draw(NAMES),
        point=draw(st.sampled_from(Point)),
        point_id=draw(st.sampled_from(["1", "2"]) | NAMES),
        name=draw(st.none() | NAMES),
        line=draw(st.none() | INT64),
        water=draw(st.none() | st.sampled_from(Water)),
        quality=draw(st.sampled_from(Quality)),
    )


@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(st.lists(readings(), max_size=30))
def test_every_reading_is_accepted_or_rejected(session: Any, written: list[Reading]) -> None:
    """The service, which knows all limits, never refuses a request as a whole."""

    async def write_and_read() -> None:
        async with Timestream() as service:
            service.add_table(magnetic_writes=True)
            options = {"endpoint_url": service.url}
            async with (
                session.client("timestream-write", **options) as client,
                session.client("timestream-query", **options) as query,
                TimestreamSink("mydb", "meters", client=client, query_client=query) as sink,
            ):
                report = await sink.write(written)
                stored = [r for quantity in Quantity async for r in sink.read(quantity)]
                latest = await sink.latest()
        assert report.accepted + len(report.rejected) == len(written)
        rejected = [rejection.reading for rejection in report.rejected]
        accepted = [reading for reading in written if reading not in rejected]
        assert {reading.key for reading in stored} == {reading.key for reading in accepted}
        possible = {_exact(_as_stored(reading)) for reading in accepted}
        assert all(_exact(reading) in possible for reading in stored)
        assert {reading.series for reading in latest} == {reading.series for reading in stored}
        assert all("ValidationException" not in each.reason for each in report.rejected)

    asyncio.run(write_and_read())


@given(st.lists(readings(), max_size=30), st.none() | st.integers(1, 10))
def test_common_attributes_do_not_change_the_records(
    written: list[Reading], version: int | None
) -> None:
    """Common attributes and record together contain the data of the reading exactly once."""
    request_plan = plan(written, range(len(written)), "here")
    handled = [
        *(index for index, *_ in request_plan.entries),
        *request_plan.problems,
        *request_plan.later,
    ]
    assert sorted([*handled, *(duplicate for duplicate, _ in request_plan.duplicates)]) == list(
        range(len(written))
    )
    for start in range(0, len(request_plan.entries), BATCH_SIZE):
        entries = request_plan.entries[start : start + BATCH_SIZE]
        request = request_for(entries, version)
        common = request["CommonAttributes"]
        for (index, series, _, _), record in zip(entries, request["Records"], strict=True):
            assert not (record.keys() & common.keys()) - {"Dimensions"}
            pairs = [*common.get("Dimensions", []), *record.get("Dimensions", [])]
            dimensions = {pair["Name"]: pair["Value"] for pair in pairs}
            assert len(dimensions) == len(pairs)
            assert dimensions == series.dimensions
            whole = common | record
            assert whole["MeasureName"] == written[index].quantity.value
            assert whole["Time"] == str(int(written[index].time.timestamp()))
            assert whole.get("Version") == version


def _exact(reading: Reading) -> tuple[Reading, type]:
    return reading, type(reading.value)


def _as_stored(reading: Reading) -> Reading:
    """An empty unit cannot be stored: what comes back is the quantity's own."""
    return attrs.evolve(reading, unit=reading.unit or reading.quantity.unit)
