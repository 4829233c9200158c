"""Consumption by hour, day, week and month."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sst_cloud import Quality, Quantity, Reading
from sst_cloud.metering.totals import ROLLOVERS
from sst_cloud.metering.usage import Break, Period, UsageTally, usage
from sst_cloud.testing.sink_contract import sample_reading

START = datetime(2026, 3, 1, tzinfo=UTC)


def at(hours: float, litres: int, **changes: object) -> Reading:
    return sample_reading(time=START + timedelta(hours=hours), value=litres, **changes)


def test_usage_by_hour() -> None:
    hours = usage([at(0, 100), at(1, 130), at(2, 130), at(3, 150)], "hour")
    assert [(use.start.hour, use.litres) for use in hours] == [(0, 30), (1, 0), (2, 20)]
    assert hours[0].end - hours[0].start == timedelta(hours=1)
    assert hours[0].name == "Cold"


def test_usage_between_readings_is_spread_evenly() -> None:
    hours = usage([at(0.5, 100), at(2.5, 140)], "hour")
    assert [use.litres for use in hours] == [10, 20, 10]


def test_replaced_meter_starts_a_new_count_with_a_break() -> None:
    hours = usage([at(0, 5000), at(1, 5010), at(2, 3), at(3, 7)], "hour")
    assert [use.litres for use in hours] == [10, 0, 4]
    replaced = Break(time=START + timedelta(hours=2), before_l=5010, after_l=3)
    assert [use.breaks for use in hours] == [(), (replaced,), ()]


def test_impossible_rise_is_a_break_and_not_usage() -> None:
    jump = [at(0, 100), at(1, 30_000), at(2, 30_010)]
    (day,) = usage(jump, "day")
    assert (day.litres, [broken.after_l for broken in day.breaks]) == (10, [30_000])
    (day,) = usage(jump, "day", max_flow=30_000)
    assert (day.litres, day.breaks) == (29_910, ())


@pytest.mark.parametrize("glitches", [[0], [50_000_000], [84_510], [0, 84_510], [900_000, 0]])
def test_unmarked_glitches_are_ignored(glitches: list[int]) -> None:
    totals = [5000, 5010, *glitches, 5030, 5040]
    (day,) = usage([at(hour, total) for hour, total in enumerate(totals)], "day")
    assert (day.litres, day.breaks) == (40, ())


@pytest.mark.parametrize("minutes", [1, 2, 5])
def test_glitch_of_one_refresh_is_ignored_however_often_it_is_read(minutes: int) -> None:
    totals = [5000, 5010, *[0] * (10 // minutes), *[5030] * 20]
    (day,) = usage([at(n * minutes / 60, total) for n, total in enumerate(totals)], "day")
    assert (day.litres, day.breaks) == (30, ())


@pytest.mark.parametrize("limit", ROLLOVERS)
def test_rollover_of_a_meter_is_counted(limit: int) -> None:
    (day,) = usage([at(0, limit - 7), at(1, 5), at(2, 9)], "day")
    assert (day.litres, day.breaks) == (16, ())


def test_meter_replaced_in_a_long_gap_is_not_a_rollover() -> None:
    (use,) = usage([at(0, 8_000_000), at(24 * 25, 100), at(24 * 25 + 1, 101)], "month")
    assert (use.litres, len(use.breaks)) == (1, 1)


def test_suspect_readings_and_other_quantities_do_not_count() -> None:
    leak = sample_reading(quantity=Quantity.LEAK, value=True)
    zero = at(1, 0, quality=Quality.SUSPECT)
    assert [use.litres for use in usage([at(0, 100), zero, at(2, 120), leak], "day")] == [20]


def test_last_good_reading_of_a_key_counts() -> None:
    stale = at(1, 400, quality=Quality.STALE)
    for twice in ([at(1, 120), at(1, 130)], [at(1, 130), stale], [stale, at(1, 130)]):
        first, second = usage([at(0, 100), *twice, at(2, 150)], "hour")
        assert (first.litres, second.litres) == (30, 20)


def test_late_reading_is_ignored() -> None:
    tally = UsageTally(by="hour")
    for reading in (at(0, 100), at(2, 140), at(1, 139), at(3, 160)):
        tally.add(reading)
    assert [use.litres for use in tally.usages()] == [20, 20, 20]


def test_stale_totals_of_a_silent_module_are_ignored() -> None:
    """Otherwise all usage in between would seem to happen at once, more than a pipe delivers."""
    repeated = [at(n, 100, quality=Quality.STALE) for n in range(1, 40)]
    days = usage([at(0, 100), *repeated, at(40, 40_100)], "day")
    assert [(use.litres, use.estimated_l, use.breaks) for use in days] == [
        (24_000, 24_000, ()),
        (16_000, 16_000, ()),
    ]


def test_silent_module_missing_from_one_answer_is_still_silent() -> None:
    silent = [at(n, 100, quality=Quality.STALE) for n in range(1, 40) if n != 39]
    readings = [at(0, 100), *silent, at(39, 100, model=""), at(40, 40_100)]
    (first, second) = usage(readings, "day")
    assert (first.litres, second.litres, second.breaks) == (24_000, 16_000, ())


def test_meters_without_module_data_are_assumed_unchanged() -> None:
    readings = [at(n, 100 if n < 40 else 110, model="") for n in range(41)]
    assert [use.missing for use in usage(readings, "day")] == [0, pytest.approx(8 / 24, abs=1e-4)]


def test_usage_in_a_gap_is_spread_and_marked_as_estimated() -> None:
    readings = [at(0, 100), at(1, 110), at(11, 310), at(12, 312)]
    (day,) = usage(readings, "day")
    assert (day.litres, day.estimated_l) == (212, 0), "it ran on that day, whenever it was"
    assert day.missing == pytest.approx(22 / 24, abs=1e-4)
    hours = usage(readings, "hour")
    assert [use.estimated_l for use in hours] == [0, *[20] * 10, 0]
    assert [use.missing for use in hours] == [0, *[1] * 10, 0]
    (day,) = usage(readings, "day", gap=timedelta(hours=10))
    assert day.missing == 0.5


def test_coverage_between_two_readings_is_split_between_periods() -> None:
    readings = [at(0, 100), at(5 / 6, 110), at(7 / 6, 110), at(6, 120)]
    hours = usage(readings, "hour")
    assert [use.missing for use in hours[:2]] == [0, pytest.approx(5 / 6, abs=1e-4)]
    (part,) = usage(readings, "hour", since=START + timedelta(hours=1), until=hours[1].end)
    assert part.missing == hours[1].missing


def test_meters_are_counted_separately() -> None:
    usages = usage(
        [at(0, 1), at(1, 2), at(0, 10, point_id="hot"), at(1, 30, point_id="hot")], "day"
    )
    assert {use.point_id: use.litres for use in usages} == {"3": 1, "hot": 20}


def test_days_and_months_use_the_local_time_zone() -> None:
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


def test_weeks_begin_on_monday() -> None:
    weeks = usage([at(24 * day, 10 * day) for day in range(17)], "week", ZoneInfo("Asia/Tokyo"))
    assert [use.start.strftime("%a %d.%m. %H:%M") for use in weeks] == [
        "Mon 23.02. 00:00",
        "Mon 02.03. 00:00",
        "Mon 09.03. 00:00",
        "Mon 16.03. 00:00",
    ]
    assert weeks[1].litres == 70


def test_each_house_has_its_own_time_zone() -> None:
    hours = [(house, n) for house in (1, 2) for n in range(49)]
    readings = [at(n, n, house_id=house) for house, n in hours]
    usages = usage(readings, "day", zones={2: ZoneInfo("Asia/Vladivostok")})
    starts = [(use.house_id, use.start.hour, str(use.start.tzinfo)) for use in usages]
    assert set(starts) == {(1, 0, "UTC"), (2, 0, "Asia/Vladivostok")}
    assert [use.litres for use in usages if use.house_id == 1] == [24, 24]
    assert [use.litres for use in usages if use.house_id == 2] == [14, 24, 10]


def test_usage_outside_the_range_is_cut_off_to_the_litre() -> None:
    zone = ZoneInfo("Europe/Berlin")
    readings = [at(n / 2 + 0.2, 10 * n) for n in range(200)]
    first, last = datetime(2026, 3, 2), datetime(2026, 3, 4, 12)  # noqa: DTZ001
    days = usage(readings, "day", zone, since=first, until=last)
    assert [use.litres for use in days] == [480, 480, 240]
    assert [use.missing for use in days] == [0, 0, 0]
    first, last = first.replace(tzinfo=zone), last.replace(tzinfo=zone)
    assert days[-1].end == last
    assert usage(readings, "day", zone, since=first, until=last) == days


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 29, 23), (10, 25, 25), (6, 1, 24)])
def test_days_with_a_clock_change_have_the_right_length(month: int, day: int, hours: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    midnight = datetime(2026, month, day, tzinfo=zone).astimezone(UTC)
    readings = [
        sample_reading(time=midnight + timedelta(hours=n), value=10 * n) for n in range(hours + 1)
    ]
    (whole,) = usage(readings, "day", zone)
    assert whole.litres == 10 * hours
    assert [use.litres for use in usage(readings, "hour", zone)] == [10] * hours


PERIODS: st.SearchStrategy[Period] = st.sampled_from(["hour", "day", "week", "month"])
ZONES = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kolkata",
    "America/St_Johns",
    "Asia/Beirut",
    "America/Havana",
    "Australia/Lord_Howe",
]


@pytest.mark.parametrize("by", ["hour", "day", "week", "month"])
@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),  # by half an hour
        ("Asia/Beirut", datetime(2026, 3, 28, 22, tzinfo=UTC)),  # no midnight
        ("America/Havana", datetime(2025, 11, 2, 5, tzinfo=UTC)),  # two midnights
        ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),  # a day left out
    ],
)
def test_unusual_clock_changes_lose_no_usage(by: Period, zone: str, change: datetime) -> None:
    times = [change + timedelta(minutes=20 * n) for n in range(-200, 200)]
    readings = [sample_reading(time=time, value=20 * n) for n, time in enumerate(times)]
    usages = usage(readings, by, ZoneInfo(zone))
    assert sum(use.litres for use in usages) == pytest.approx(20 * 399, abs=0.5)
    assert by == "hour" or all(use.start.hour in {0, 1} for use in usages)


def local_starts(zone: str, begin: datetime, by: Period, hours: int) -> list[str]:
    """The consecutive periods of a time zone, with readings every twenty minutes."""
    readings = [
        sample_reading(time=begin + timedelta(minutes=20 * n), value=20 * n)
        for n in range(-3 * hours, 3 * hours + 1)
    ]
    usages = usage(readings, by, ZoneInfo(zone))
    assert all(
        one.end.astimezone(UTC) == two.start.astimezone(UTC) for one, two in pairwise(usages)
    )
    whole = usages[1:-1]
    assert all(use.missing == 0 for use in whole)
    lasted = [(use.end.astimezone(UTC) - use.start.astimezone(UTC)) for use in whole]
    assert [use.litres for use in whole] == [
        pytest.approx(60 * (time / timedelta(hours=1)), abs=0.01) for time in lasted
    ]
    return [f"{use.start:%d %H:%M%z}" for use in whole]


@pytest.mark.parametrize(
    ("zone", "change", "starts"),
    [
        (
            "Asia/Kolkata",
            datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
            ["01 16:00+0530", "01 17:00+0530", "01 18:00+0530", "01 19:00+0530"],
        ),
        (
            "Australia/Lord_Howe",  # back by half an hour
            datetime(2026, 4, 4, 15, tzinfo=UTC),
            ["05 00:00+1100", "05 01:00+1100", "05 01:30+1030", "05 02:00+1030"],
        ),
        (
            "Australia/Lord_Howe",  # forth
            datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
            ["04 00:00+1030", "04 01:00+1030", "04 02:30+1100", "04 03:00+1100"],
        ),
        (
            "America/Caracas",  # in the middle of an hour
            datetime(2016, 5, 1, 7, tzinfo=UTC),
            ["01 01:00-0430", "01 02:00-0430", "01 03:00-0400", "01 04:00-0400"],
        ),
        (
            "America/Havana",
            datetime(2025, 11, 2, 5, tzinfo=UTC),
            ["01 23:00-0400", "02 00:00-0400", "02 00:00-0500", "02 01:00-0500"],
        ),
        (
            "America/Sao_Paulo",
            datetime(2018, 11, 4, 3, tzinfo=UTC),
            ["03 22:00-0300", "03 23:00-0300", "04 01:00-0200", "04 02:00-0200"],
        ),
    ],
)
def test_hours_follow_the_local_clock_across_changes(
    zone: str, change: datetime, starts: list[str]
) -> None:
    hours = local_starts(zone, change, "hour", 6)
    first = hours.index(starts[0])
    assert hours[first : first + len(starts)] == starts


@pytest.mark.parametrize(
    ("zone", "change", "starts"),
    [
        (
            "Asia/Kolkata",
            datetime(2026, 3, 1, tzinfo=UTC),
            ["28 00:00+0530", "01 00:00+0530", "02 00:00+0530"],
        ),
        (
            "Australia/Lord_Howe",
            datetime(2026, 4, 4, 15, tzinfo=UTC),
            ["04 00:00+1100", "05 00:00+1100", "06 00:00+1030"],
        ),
        (
            "America/Havana",  # the second midnight begins no day
            datetime(2025, 11, 2, 5, tzinfo=UTC),
            ["01 00:00-0400", "02 00:00-0400", "03 00:00-0500"],
        ),
        (
            "America/Sao_Paulo",  # no midnight
            datetime(2018, 11, 4, 3, tzinfo=UTC),
            ["03 00:00-0300", "04 01:00-0200", "05 00:00-0200"],
        ),
    ],
)
def test_days_follow_the_local_clock_across_changes(
    zone: str, change: datetime, starts: list[str]
) -> None:
    days = local_starts(zone, change, "day", 60)
    first = days.index(starts[0])
    assert days[first : first + len(starts)] == starts


def test_day_first_read_in_its_repeated_midnight_hour_starts_at_midnight() -> None:
    begin = datetime(2025, 11, 2, 5, 20, tzinfo=UTC)
    readings = [sample_reading(time=begin + timedelta(hours=n), value=n) for n in range(3)]
    (day,) = usage(readings, "day", ZoneInfo("America/Havana"))
    assert f"{day.start:%d %H:%M%z}" == "02 00:00-0400"
    assert day.missing == pytest.approx(1 - 2 / 25, abs=1e-4)


CHANGES = [datetime(2026, month, 1, tzinfo=UTC) for month in (4, 10, 11)]
"""Near these, clocks change in some zone."""


@st.composite
def histories(draw: st.DrawFn) -> list[Reading]:
    drawn = st.lists(st.tuples(st.integers(60, 100_000), st.integers(0, 800)), min_size=2)
    begin = draw(st.sampled_from([START, *CHANGES]))
    time, total, readings = begin, 0, []
    for seconds, litres in draw(drawn):
        time, total = time + timedelta(seconds=seconds), total + litres
        readings.append(sample_reading(time=time, value=total))
    return readings


@given(histories(), PERIODS, st.sampled_from(ZONES))
def test_total_usage_equals_the_rise_of_the_meter(
    readings: list[Reading], by: Period, zone: str
) -> None:
    usages = usage(readings, by, ZoneInfo(zone))
    used = readings[-1].value - readings[0].value
    assert sum(use.litres for use in usages) == pytest.approx(used, abs=0.001 * len(usages))
    assert all(0 <= use.estimated_l <= use.litres and 0 <= use.missing <= 1 for use in usages)
    assert all(
        one.end.astimezone(UTC) == two.start.astimezone(UTC) for one, two in pairwise(usages)
    )


@given(histories(), PERIODS, st.integers(-1000, 500_000))
def test_usage_of_two_halves_adds_up_to_the_whole(
    readings: list[Reading], by: Period, seconds: int
) -> None:
    middle = START + timedelta(seconds=seconds)
    halves = [*usage(readings, by, until=middle), *usage(readings, by, since=middle)]
    assert all(use.end <= middle or use.start >= middle for use in halves)
    used = readings[-1].value - readings[0].value
    assert sum(use.litres for use in halves) == pytest.approx(used, abs=0.001 * len(halves))


def test_no_readings_give_no_usage() -> None:
    assert usage([], "day") == []
    assert usage([at(0, 1)], "day") == []
