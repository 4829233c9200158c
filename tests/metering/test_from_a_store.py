"""Usage and utility reports of a store, whichever sink it is."""

import logging
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sst_cloud import Reading, SSTCloudError, open_history, open_sink
from sst_cloud.metering.bracketing import volume_readings
from sst_cloud.metering.stored_usage import StoredUsage, stored_usage
from sst_cloud.metering.usage import Period, start_of_last, usage
from sst_cloud.metering.utility_report import UtilityReports, utility_reports
from sst_cloud.testing.sink_contract import sample_reading

MOSCOW, OMSK = ZoneInfo("Europe/Moscow"), ZoneInfo("Asia/Omsk")
START = datetime(2026, 9, 1, tzinfo=UTC)
NOW = START + timedelta(days=70)
DACHA = {"house_id": 7, "house": "Dacha"}
HOT = {"point_id": "4", "water": "hot"}


def daily(litres: int = 24, **changes: Any) -> list[Reading]:
    """The totals of a meter at 21:00 UTC, which is midnight in Moscow."""
    return [
        sample_reading(
            time=START + timedelta(days=day, hours=-3), value=1000 + litres * day, **changes
        )
        for day in range(71)
    ]


@pytest.fixture(params=["sqlite:home.db", "csv:home.csv"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Cold and hot water at home, and cold water in the dacha."""
    monkeypatch.chdir(tmp_path)
    await write(request.param, [*daily(), *daily(12, **HOT), *daily(100, **DACHA)])
    return str(request.param)


async def write(store: str, readings: Sequence[Reading]) -> None:
    async with open_sink(store) as sink:
        await sink.write(sorted(readings, key=lambda reading: reading.time))


async def used(store: str, by: Period = "month", **options: object) -> StoredUsage:
    async with open_history(store) as history:
        return await stored_usage(history, by, now=NOW, **options)  # type: ignore[arg-type]


async def reported(store: str, **options: object) -> UtilityReports:
    async with open_history(store) as history:
        return await utility_reports(history, **{"now": NOW, **options})  # type: ignore[arg-type]


async def test_usage_of_a_period_is_that_of_all_readings(store: str) -> None:
    since, until = datetime(2026, 10, 1), datetime(2026, 10, 15)  # noqa: DTZ001  in each zone
    result = await used(store, "day", zone=MOSCOW, since=since, until=until)
    readings = [*daily(), *daily(12, **HOT), *daily(100, **DACHA)]
    assert list(result.usages) == usage(readings, "day", MOSCOW, since=since, until=until)
    assert {use.litres for use in result.usages} == {12, 24, 100}
    assert (len(result.usages), result.reason) == (3 * 14, "")
    assert result.oldest is not None
    assert START < result.oldest <= since.replace(tzinfo=UTC)


async def test_usage_by_house_and_water(store: str) -> None:
    by_water = await used(store, houses=["Home"], water="hot", zone=MOSCOW)
    assert {(use.house_id, use.point_id) for use in by_water.usages} == {(1, "4")}
    for name in (7, "7", "Dacha"):
        assert {use.house_id for use in (await used(store, houses=[name])).usages} == {7}
    both = await used(store, houses=["7", "Home"], zones={7: OMSK}, zone=MOSCOW)
    assert {(use.house_id, str(use.start.tzinfo)) for use in both.usages} == {
        (1, "Europe/Moscow"),
        (7, "Asia/Omsk"),
    }
    with pytest.raises(SSTCloudError, match=r"no readings of a house 'X' in that time, only of: "):
        await used(store, houses=["Home", "X"])


@pytest.mark.parametrize(
    ("readings", "reason"),
    [
        ([sample_reading(quantity="leak", value=False, water=None)], "no readings of such a meter"),
        ([sample_reading()], "Only one reading so far"),
        ([sample_reading(), sample_reading(value=9, quality="suspect", time=NOW)], "two readings"),
    ],
)
async def test_reason_for_no_usage(
    tmp_path: Path, readings: Sequence[Reading], reason: str
) -> None:
    await write(f"sqlite:{tmp_path / 'home.db'}", readings)
    result = await used(f"sqlite:{tmp_path / 'home.db'}")
    assert result.usages == ()
    assert reason in result.reason


async def test_reason_for_no_usage_long_after_many_readings(tmp_path: Path) -> None:
    await write(f"sqlite:{tmp_path / 'home.db'}", daily()[:30])
    result = await used(f"sqlite:{tmp_path / 'home.db'}", since=NOW - timedelta(days=7))
    assert result.reason == "No meter has two readings in that time; usage needs at least two."


async def test_readings_of_the_future_are_left_out_with_a_warning(
    store: str, caplog: pytest.LogCaptureFixture
) -> None:
    late = NOW + timedelta(days=400)
    await write(store, [sample_reading(time=late, value=10**6)])
    async with open_history(store) as history:
        times = {reading.time async for reading in volume_readings(history, now=NOW)}
    assert late not in times
    assert max(times) == NOW - timedelta(hours=3)
    assert caplog.record_tuples == [
        (
            "sst_cloud.metering.bracketing",
            logging.WARNING,
            f"1 reading is dated in the future ({late:%Y-%m-%d}) and skipped; was a clock wrong?",
        )
    ]
    async with open_history(store) as history:
        assert late in {reading.time async for reading in volume_readings(history, now=late)}


async def test_report_of_the_latest_month_that_is_over(store: str) -> None:
    dacha, home = sorted((await reported(store, zone=MOSCOW)).reports, key=lambda it: it.house)
    assert (home.title, dacha.title) == ("Home, October 2026", "Dacha, October 2026")
    assert home.end.isoformat() == "2026-11-01T00:00:00+03:00"
    assert (int(home.cold_m3), int(home.hot_m3)) == (1, 0)
    assert dacha.cold_m3 == 3
    (report,) = (await reported(store, houses=["7"], zone=MOSCOW, decimals=1)).reports
    assert float(report.cold_m3) == 3.1


async def test_each_house_has_its_own_report_day_and_zone(store: str) -> None:
    result = await reported(store, days={1: 9, 7: 25}, zones={7: OMSK}, zone=MOSCOW)
    assert {report.house: report.end.isoformat() for report in result.reports} == {
        "Home": "2026-11-10T00:00:00+03:00",
        "Dacha": "2026-10-26T00:00:00+06:00",
    }
    same = await reported(store, day=20, days={1: 9}, month=date(2026, 9, 30), zone=MOSCOW)
    assert {report.end.day for report in same.reports} == {21}
    assert {report.month for report in same.reports} == {"2026-09"}


async def test_reason_for_no_report(store: str, tmp_path: Path) -> None:
    result = await reported(store, month=date(2020, 1, 1), zone=MOSCOW)
    assert result == UtilityReports(
        reason="No meter was read by the end of 2020-01-01 00:00 to 2020-02-01 00:00, so there is "
        "nothing to report: the first reading is from 2026-09-01 00:00."
    )
    await write("sqlite:empty.db", [sample_reading(quantity="leak", value=True, water=None)])
    assert (await reported("sqlite:empty.db", now=START)).reason == (
        "No meter was read by the end of 2026-08-01 00:00 to 2026-09-01 00:00, so there is nothing "
        "to report."
    )
    with pytest.raises(SSTCloudError, match="house 'X' in that time, only of: Home"):
        await reported(store, houses=["X"])


@pytest.mark.parametrize(
    ("days", "by", "start"),
    [
        (1, "hour", "2026-11-24T18:00"),
        (7, "day", "2026-11-19T00:00"),
        (28, "week", "2026-11-02T00:00"),
        (1, "week", "2026-11-23T00:00"),
        (1, "month", "2026-11-01T00:00"),
        (60, "month", "2026-10-01T00:00"),
    ],
)
def test_range_before_a_moment_begins_with_a_whole_period(
    days: int, by: Period, start: str
) -> None:
    end = datetime(2026, 11, 25, 17, 20)  # noqa: DTZ001
    assert start_of_last(timedelta(days=days), by, end) == datetime.fromisoformat(start)
