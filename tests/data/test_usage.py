"""Consumption by hour, day and month."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sst_cloud import Quality, Quantity, Reading
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud.usage import Period, usage

START = datetime(2026, 3, 1, tzinfo=UTC)


def at(hours: float, litres: int, **changes: object) -> Reading:
    return sample_reading(time=START + timedelta(hours=hours), value=litres, **changes)


def test_by_hour() -> None:
    found = usage([at(0, 100), at(1, 130), at(2, 130), at(3, 150)], "hour")
    assert [(use.start.hour, use.litres) for use in found] == [(0, 30), (1, 0), (2, 20)]
    assert found[0].end - found[0].start == timedelta(hours=1)
    assert found[0].name == "Cold"


def test_what_lies_between_is_spread_evenly() -> None:
    found = usage([at(0.5, 100), at(2.5, 140)], "hour")
    assert [use.litres for use in found] == [10, 20, 10]


def test_a_replaced_meter_starts_anew() -> None:
    found = usage([at(0, 5000), at(1, 5010), at(2, 3), at(3, 7)], "hour")
    assert [use.litres for use in found] == [10, 0, 4]


def test_suspect_readings_and_other_quantities_do_not_count() -> None:
    leak = sample_reading(quantity=Quantity.LEAK, value=True)
    zero = at(1, 0, quality=Quality.SUSPECT)
    assert [use.litres for use in usage([at(0, 100), zero, at(2, 120), leak], "day")] == [20]


def test_meters_are_kept_apart() -> None:
    found = usage([at(0, 1), at(1, 2), at(0, 10, point_id="hot"), at(1, 30, point_id="hot")], "day")
    assert {use.point_id: use.litres for use in found} == {"3": 1, "hot": 20}


def test_days_and_months_are_local() -> None:
    zone = ZoneInfo("Asia/Kolkata")
    readings = [at(hours, hours) for hours in range(0, 24 * 40, 6)]
    days = usage(readings, "day", zone)
    assert all((use.start.hour, use.start.minute) == (0, 0) for use in days)
    assert days[1].litres == 24
    months = usage(readings, "month", zone)
    assert [use.start.strftime("%d.%m. %H:%M") for use in months] == [
        "01.03. 00:00",
        "01.04. 00:00",
    ]


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 29, 23), (10, 25, 25), (6, 1, 24)])
def test_clock_changes(month: int, day: int, hours: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    midnight = datetime(2026, month, day, tzinfo=zone).astimezone(UTC)
    readings = [
        sample_reading(time=midnight + timedelta(hours=n), value=10 * n) for n in range(hours + 1)
    ]
    (whole,) = usage(readings, "day", zone)
    assert whole.litres == 10 * hours
    assert [use.litres for use in usage(readings, "hour", zone)] == [10] * hours


@given(
    st.lists(st.tuples(st.integers(1, 100_000), st.integers(0, 5000)), min_size=2, max_size=20),
    st.sampled_from(["hour", "day", "month"]),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"]),
)
def test_nothing_is_lost_or_made(steps: list[tuple[int, int]], by: Period, zone: str) -> None:
    time, total, readings = START, 0, []
    for seconds, litres in steps:
        time, total = time + timedelta(seconds=seconds), total + litres
        readings.append(sample_reading(time=time, value=total))
    found = usage(readings, by, ZoneInfo(zone))
    assert sum(use.litres for use in found) == pytest.approx(
        total - steps[0][1], abs=0.001 * len(found)
    )
    assert all(one.end.astimezone(UTC) <= two.start.astimezone(UTC) for one, two in pairwise(found))


def test_no_readings_no_usage() -> None:
    assert usage([], "day") == []
    assert usage([at(0, 1)], "day") == []
