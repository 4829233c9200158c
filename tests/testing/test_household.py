"""The water use of the fake household: reproducible and realistic."""

from datetime import datetime, timedelta, timezone
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sst_cloud.testing.fake.household import EPOCH, WaterUse

HOUR = timedelta(hours=1)
MONDAY = datetime(2025, 6, 2, tzinfo=timezone(timedelta(hours=3)))
moments = st.integers(-30 * 24 * 60, 3 * 365 * 24 * 60).map(lambda n: EPOCH + n * HOUR / 60)


@given(st.lists(moments, min_size=2, max_size=8))
def test_water_use_does_not_depend_on_earlier_calls(several: list[datetime]) -> None:
    water = WaterUse(150, seed=7)
    litres = [water.litres(moment) for moment in several]
    assert litres == [WaterUse(150, seed=7).litres(moment) for moment in several]


@given(st.lists(moments, min_size=2, max_size=8))
def test_total_never_decreases(several: list[datetime]) -> None:
    water = WaterUse(150, seed=7)
    totals = [water.litres(moment) for moment in sorted(several)]
    assert all(before <= after for before, after in pairwise(totals))
    assert water.litres(EPOCH - 3 * HOUR) == 0


def test_total_does_not_jump_at_midnight() -> None:
    water = WaterUse(150, seed=7)
    for day in range(30):
        midnight = MONDAY + timedelta(days=day)
        second = timedelta(seconds=1)
        assert water.litres(midnight + second) - water.litres(midnight - second) < 0.1


def test_weekends_start_later_and_use_more_water() -> None:
    water = WaterUse(150, seed=7)

    def used(day: int, first: int, last: int) -> float:
        begin = MONDAY + timedelta(days=day)
        return water.litres(begin + last * HOUR) - water.litres(begin + first * HOUR)

    weeks = range(0, 7 * 20, 7)
    breakfast = [sum(used(week + day, 7, 9) for week in weeks) for day in range(7)]
    assert min(breakfast[:5]) > 3 * max(breakfast[5:])
    whole = [sum(used(week + day, 0, 24) for week in weeks) for day in range(7)]
    assert min(whole[5:]) > max(whole[:5])
    assert all(used(day, 2, 5) == 0 for day in range(140))
