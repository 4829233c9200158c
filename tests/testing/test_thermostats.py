"""Fake thermostats have realistic times and temperatures."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sst_cloud.testing import FakeThermostat
from sst_cloud.testing.fake.thermostat import daily_chart, weekly_chart

from .conftest import ApiClient

MOSCOW = ZoneInfo("Europe/Moscow")
MONDAY = datetime(2026, 1, 5, tzinfo=MOSCOW)


def at(hours: float) -> datetime:
    return MONDAY + timedelta(hours=hours)


async def test_temperature_stays_near_the_manual_target_with_relay_switching(
    api: ApiClient,
) -> None:
    relay = set()
    for _ in range(24):
        api.clock.advance(600)
        now = await api.parsed("OKE-20")
        assert abs(now["current_temperature"]["temperature_floor"] - 24) <= 1
        relay.add(now["relay_status"])
    assert relay == {"on", "off"}


async def test_higher_target_is_reached_by_heating(api: ApiClient) -> None:
    await api.send("MCS300", "temperature", {"temperature_manual": 30})
    states = []
    for _ in range(48):
        api.clock.advance(600)
        states.append(await api.parsed("MCS300"))
    floor = [now["current_temperature"] for now in states]
    assert floor[0] < 27 < floor[-1]
    assert floor[-1] in (29, 30, 31)
    assert all(now["relay_status"] == "on" for now in states[1:12])


async def test_thermostat_switched_off_cools_down_with_the_relay_off(api: ApiClient) -> None:
    await api.send("Equation", "status", {"status": "off"})
    api.clock.advance(10)
    assert (await api.parsed("Equation"))["relay_status"] == "off"
    api.clock.advance(12 * 3600)
    now = await api.parsed("Equation")
    assert now["current_temperature"]["temperature_floor"] < 19
    assert now["relay_status"] == "off"


async def test_air_temperature_follows_the_schedule_over_a_day(api: ApiClient) -> None:
    day: list[Any] = []
    for _ in range(24):
        api.clock.advance(3600)
        day.append(await api.parsed("EcoSmart 25"))
    air = [now["current_temperature"]["temperature_air"] for now in day]
    assert air[16] in (23, 24, 25)  # 20:00 in Moscow
    assert air[3] in (19, 20, 21, 22)  # 07:00
    assert {now["settings"]["temperature_manual"] for now in day} == {24}


@pytest.mark.parametrize(
    ("chart", "hour", "target"),
    [
        (weekly_chart(), 8.9, 20),  # what Sunday evening left
        (weekly_chart(), 9, 24),
        (weekly_chart(), 6 * 24 + 23.5, 20),
        (daily_chart(), 0, 20),
        (daily_chart(), 6.5, 26),
        (daily_chart(), 5 * 24 + 12, 24),
        ([], 6, 20),  # by the device's time_setting
        ([], 7, 26),
        ([], 12, 20),
        ([], 6 * 24 + 12, 26),
    ],
)
def test_target_follows_the_schedule(
    chart: list[tuple[int, int]], hour: float, target: float
) -> None:
    assert FakeThermostat(mode="chart", chart=chart).target(at(hour)) == target
    assert FakeThermostat(mode="manual", chart=chart, manual=31).target(at(hour)) == 31


charts = st.sampled_from([weekly_chart(), daily_chart(), []])


@given(charts, st.floats(0, 24 * 300), st.integers(0, 9))
def test_temperature_is_reproducible_and_continuous(
    chart: list[tuple[int, int]], hour: float, seed: int
) -> None:
    one = FakeThermostat(mode="chart", chart=chart)
    two = FakeThermostat(mode="chart", chart=chart)
    two.controlled(at(hour - 30), seed)
    here, later = one.controlled(at(hour), seed), one.controlled(at(hour + 1 / 6), seed)
    assert here == two.controlled(at(hour), seed)
    assert 18 <= here[0] <= 28
    assert abs(here[0] - later[0]) < 2


@given(st.lists(st.tuples(st.floats(0, 8), st.integers(12, 45)), max_size=12))
def test_commands_do_not_make_the_temperature_jump(commands: list[tuple[float, int]]) -> None:
    thermostat = FakeThermostat()
    now = at(0)
    for hours, target in commands:
        now += timedelta(hours=hours)
        before, _ = thermostat.controlled(now)
        thermostat.remember(now)
        thermostat.manual = target
        after, _ = thermostat.controlled(now)
        assert abs(before - after) < 1.3


def test_clock_set_back_does_not_change_the_temperature() -> None:
    thermostat = FakeThermostat()
    thermostat.remember(at(1000))
    assert thermostat.controlled(at(1)) == FakeThermostat().controlled(at(1))
