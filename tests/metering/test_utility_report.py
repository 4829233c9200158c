"""The report for the water utility."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sst_cloud import Quality, Quantity, Reading
from sst_cloud.metering.utility_report import MeterReport, last_report_month, report, report_period
from sst_cloud.testing.sink_contract import sample_reading

MOSCOW = ZoneInfo("Europe/Moscow")
START, END = report_period(date(2026, 10, 1), 25, MOSCOW)


def at(moment: datetime, litres: int, **changes: object) -> Reading:
    return sample_reading(time=moment, value=litres, **changes)


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def one(readings: list[Reading], decimals: int = 0) -> MeterReport:
    (house_report,) = report(readings, START, END, decimals=decimals)
    (meter,) = house_report.meters
    return meter


def cubic(meter: MeterReport) -> list[float]:
    return [float(number) for number in (meter.first_m3, meter.last_m3, meter.used_m3)]


@pytest.mark.parametrize(
    ("month", "day", "start", "end"),
    [
        ("2026-10-01", 25, "2026-09-26", "2026-10-26"),
        ("2026-10-17", None, "2026-10-01", "2026-11-01"),
        ("2026-10-01", 0, "2026-10-01", "2026-11-01"),
        ("2026-10-01", 77, "2026-10-01", "2026-11-01"),
        ("2026-02-01", 30, "2026-01-31", "2026-03-01"),
        ("2028-02-01", 29, "2028-01-30", "2028-03-01"),
        ("2026-01-01", 1, "2025-12-02", "2026-01-02"),
    ],
)
def test_report_periods_follow_the_report_day(
    month: str, day: int | None, start: str, end: str
) -> None:
    period = report_period(date.fromisoformat(month), day, MOSCOW)
    assert [moment.isoformat() for moment in period] == [
        f"{start}T00:00:00+03:00",
        f"{end}T00:00:00+03:00",
    ]


@given(
    st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    st.none() | st.integers(1, 31),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Vladivostok", "America/Havana"]),
)
def test_report_periods_are_contiguous(month: date, day: int | None, zone: str) -> None:
    start, end = report_period(month, day, ZoneInfo(zone))
    assert report_period(month.replace(day=1) - timedelta(days=1), day, ZoneInfo(zone))[1] == start
    first = month.replace(day=1)
    assert last_report_month(end, day, ZoneInfo(zone)) == first
    assert last_report_month(end - timedelta(seconds=1), day, ZoneInfo(zone)) < first


def test_totals_are_rounded_down_and_used_is_their_difference() -> None:
    meter = one([at(START - hours(0.3), 12_999), at(START + hours(1), 13_000), at(END, 20_001)])
    assert cubic(meter) == [12, 20, 8]
    assert (meter.first_l, meter.last_l) == (12_999, 20_001)
    assert meter.first_time.isoformat() == "2026-09-25T23:42:00+03:00"
    assert meter.last_time.isoformat() == "2026-10-26T00:00:00+03:00"
    assert meter.notes == ()


@pytest.mark.parametrize(("decimals", "used"), [(0, "8"), (1, "7.1"), (2, "7.01"), (3, "7.002")])
def test_usage_is_rounded_to_the_requested_decimals(decimals: int, used: str) -> None:
    meter = one([at(START, 12_999), at(END, 20_001)], decimals)
    assert str(meter.used_m3) == used


def test_readings_after_the_end_do_not_count() -> None:
    assert one([at(START, 1000), at(END - hours(1), 2000), at(END + hours(1), 3000)]).last_l == 2000


def test_missing_readings_are_noted() -> None:
    meter = one([at(START + hours(30), 1000), at(END - hours(50), 2000)])
    assert meter.notes == (
        "no reading before 2026-09-27 06:00; usage until then is missing",
        "the last reading is 2 days older than the end",
    )
    meter = one([at(START - hours(30), 1000), at(END, 2000)])
    assert meter.notes == ("the first reading is 30 h older than the start",)


def test_a_meter_without_readings_in_the_period_used_nothing() -> None:
    meter = one([at(START - hours(30), 1500)])
    assert cubic(meter) == [1, 1, 0]
    assert meter.notes[-1] == "the last reading is 31 days older than the end"


@pytest.mark.parametrize("moment", [END + hours(1), END + hours(40)])
def test_meter_read_only_after_the_period_is_left_out(moment: datetime) -> None:
    assert report([at(moment, 5), at(moment + hours(1), 6)], START, END) == []


def test_usage_of_a_replaced_meter_is_the_sum_of_both() -> None:
    swap = START + hours(240)
    readings = [at(START, 5_900), at(swap, 8_100), at(swap + hours(1), 20), at(END, 3_020)]
    meter = one([*readings, *(at(END + hours(n), 3_021) for n in (1, 2))])
    assert cubic(meter) == [5, 3, 3 + 3]
    assert meter.notes == (
        "it showed 8.100 m³, then 0.020 m³ on 2026-10-06 01:00; if it was replaced, submit both",
    )


def test_rollover_of_a_meter_is_counted() -> None:
    near = 10**8 - 1_500
    half = START + hours(300)
    meter = one([at(START, near), at(half, near + 1000), at(half + hours(1), 300), at(END, 2_300)])
    assert cubic(meter) == [99_998, 2, 4]
    assert meter.notes == ()


def test_glitches_at_both_ends_do_not_count() -> None:
    good = [at(START - hours(1), 1000), at(END - hours(1), 9000), at(END + hours(1), 9010)]
    glitches = [at(START, 0), at(END, 50_000_000), at(END - hours(2), 0, quality=Quality.SUSPECT)]
    (meter,) = report([*good, *glitches], START, END)[0].meters
    assert (meter.first_l, meter.last_l, meter.notes) == (1000, 9000, ())


def test_usage_is_summed_by_house_and_water() -> None:
    def meter(house: int, name: str, water: str | None, used: int) -> list[Reading]:
        fields = {"house_id": house, "house": f"H{house}", "point_id": name, "water": water}
        return [at(START, 1000, **fields), at(END, 1000 + used, **fields)]

    readings = [
        *meter(2, "b", "hot", 3000),
        *meter(1, "b", "cold", 2000),
        *meter(1, "a", "cold", 4000),
        *meter(1, "c", None, 8000),
        sample_reading(quantity=Quantity.LEAK, value=True, time=END),
    ]
    first, second = report(readings, START, END)
    assert (first.house, float(first.cold_m3), float(first.hot_m3)) == ("H1", 6, 0)
    assert (second.house, float(second.cold_m3), float(second.hot_m3)) == ("H2", 0, 3)
    assert [meter.point_id for meter in first.meters] == ["a", "b", "c"]
    assert (first.month, first.start, first.end) == ("2026-10", START, END)


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 3000), min_size=200, max_size=200),
    st.integers(0, 3),
    st.integers(1, 31),
)
def test_monthly_reports_add_up(litres: list[int], decimals: int, day: int) -> None:
    time, total, readings = datetime(2026, 1, 1, 5, tzinfo=UTC), 777, []
    for amount in litres:
        time, total = time + hours(24), total + amount
        readings.append(at(time, total))
    months = [report_period(date(2026, month, 1), day, MOSCOW) for month in range(2, 7)]
    meters = [report(readings, *month, decimals=decimals)[0].meters[0] for month in months]
    assert all(one.last_m3 == two.first_m3 for one, two in pairwise(meters))
    used = sum((meter.used_m3 for meter in meters), Decimal(0))
    assert used == meters[-1].last_m3 - meters[0].first_m3
