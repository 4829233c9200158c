"""The target in schedule mode, across time zones, the end of the week and clock changes."""

import json
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import payload_files as files
from sst_cloud import Device, House, Quantity, Schedule, ScheduleEntry, Thermostat, readings_from
from sst_cloud.cloud.structuring import Structurer

MOSCOW, BERLIN, NEPAL = (
    ZoneInfo("Europe/Moscow"),
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("Asia/Kathmandu"),
)
ECO = files.load("ecosmart_25/device")


def thermostat(**changes: Any) -> Thermostat:
    """Its floor follows a schedule of two entries a day: 6:30 warm, 22:00 cool."""
    device: Any = files.device("ecosmart_25/device")
    changed = attrs.evolve(device, **changes)
    assert isinstance(changed, Thermostat)
    return changed


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("moment", "zone", "target"),
    [
        # Monday, 2026-11-23
        ("2026-11-23T06:29:59+03:00", MOSCOW, 18),  # Sunday evening's entry still holds
        ("2026-11-23T06:30:00+03:00", MOSCOW, 25),
        ("2026-11-23T21:59:59+03:00", MOSCOW, 25),
        ("2026-11-23T22:00:00+03:00", MOSCOW, 19),
        ("2026-11-23T03:29:59+00:00", MOSCOW, 18),
        ("2026-11-23T03:30:00+00:00", MOSCOW, 25),
        ("2026-11-23T03:30:00+00:00", BERLIN, 18),
        ("2026-11-23T05:30:00+00:00", BERLIN, 25),
        ("2026-11-23T00:44:00+00:00", NEPAL, 18),
        ("2026-11-23T00:45:00+00:00", NEPAL, 25),
        # Saturday night is cooler than that of workdays, Sunday night the coolest
        ("2026-11-28T22:00:00+03:00", MOSCOW, 21),
        ("2026-11-29T21:59:59+03:00", MOSCOW, 25),
        ("2026-11-29T22:00:00+03:00", MOSCOW, 18),
        ("2026-11-29T23:59:59+03:00", MOSCOW, 18),
        ("2026-11-30T00:00:00+03:00", MOSCOW, 18),
        ("2026-11-29T21:30:00+00:00", MOSCOW, 18),  # still Sunday in London, Monday in Moscow
    ],
)
def test_target_temperature_follows_the_schedule(moment: str, zone: tzinfo, target: int) -> None:
    assert thermostat().target_at(at(moment), zone) == target


@pytest.mark.parametrize(
    ("moment", "target"),
    [
        # Clocks go forward on Sunday 2027-03-28, 02:00 to 03:00: 6:30 comes an hour earlier.
        ("2027-03-27T05:29:00+00:00", 19),
        ("2027-03-27T05:30:00+00:00", 25),
        ("2027-03-28T04:29:00+00:00", 21),
        ("2027-03-28T04:30:00+00:00", 25),
        # And back on Sunday 2026-10-25: it comes an hour later.
        ("2026-10-24T04:30:00+00:00", 25),
        ("2026-10-25T05:29:00+00:00", 21),
        ("2026-10-25T05:30:00+00:00", 25),
    ],
)
def test_target_temperature_across_clock_changes(moment: str, target: int) -> None:
    assert thermostat().target_at(at(moment), BERLIN) == target


def test_repeated_hour_follows_the_schedule_twice() -> None:
    night = Schedule(
        entries=(
            ScheduleEntry(minute=6 * 1440 + 120, temperature=15),
            ScheduleEntry(minute=6 * 1440 + 150, temperature=16),
        )
    )
    targets = [
        thermostat(schedule=night).target_at(at("2026-10-25T00:00:00+00:00") + minutes, BERLIN)
        for minutes in (timedelta(minutes=m) for m in (0, 29, 30, 59, 60, 89, 90, 120))
    ]
    assert targets == [15, 15, 16, 16, 15, 15, 16, 16]


def test_daily_entries_repeat_every_day() -> None:
    device = files.device("mcs350/device")
    assert isinstance(device, Thermostat)
    monday = at("2026-11-23T00:00:00+03:00")
    for day in range(7):
        shift = timedelta(hours=1) if day > 4 else timedelta()
        for hours, target in ((6.5, 24), (8.5, 18), (17.5, 25), (22, 17)):
            begins = monday + timedelta(days=day, hours=hours) + shift
            assert device.target_at(begins, MOSCOW) == target
            assert device.target_at(begins - timedelta(minutes=1), MOSCOW) != target


@given(
    st.datetimes(
        datetime(1990, 1, 1),  # noqa: DTZ001  the zone comes from the strategy
        datetime(2090, 1, 1),  # noqa: DTZ001
        timezones=st.timezones(),
    )
)
def test_target_is_always_a_temperature_of_the_schedule(moment: datetime) -> None:
    device = thermostat()
    assert device.schedule is not None
    target = device.target_at(moment, moment.tzinfo)
    assert target in {entry.temperature for entry in device.schedule.entries}
    assert device.target_at(moment.astimezone(UTC), moment.tzinfo) == target


@pytest.mark.parametrize(
    "changes",
    [
        {"is_on": False},
        {"is_on": False, "mode": "manual"},
        {"mode": None},
        {"mode": "vacation"},
        {"schedule": None},
    ],
)
def test_target_is_none_if_it_cannot_be_determined(changes: dict[str, Any]) -> None:
    assert thermostat(**changes).target_at(files.NOW, MOSCOW) is None


def test_only_schedules_need_a_time_zone() -> None:
    assert thermostat().target_at(files.NOW, None) is None
    manual = files.device("ecosmart_25/device_manual")
    assert isinstance(manual, Thermostat)
    assert manual.target_at(files.NOW, None) == 26


@pytest.mark.parametrize("house", ["house_bare", "house_zone_unknown"])
def test_house_without_a_time_zone_has_no_scheduled_target(house: str) -> None:
    payload = files.load(f"house/{house}") | {"id": 1377}
    around: Any = files.snapshot("ecosmart_25/device")
    snapshot = attrs.evolve(around, houses=(Structurer().one(payload, House, "/"),))
    quantities = [reading.quantity for reading in readings_from(snapshot)]
    assert Quantity.TARGET_TEMPERATURE not in quantities
    assert Quantity.FLOOR_TEMPERATURE in quantities


@pytest.mark.parametrize(
    "chart",
    [
        [],
        [[540, 24], [300, 20]],
        [[540, 24], [10080, 20]],
        [[-1, 24], [540, 20]],
        [[540, 24, 1]],
        [[540]],
        [540, 24],
        "540",
        {"540": 24},
    ],
)
def test_invalid_chart_gives_no_schedule(chart: Any) -> None:
    """Then the schedule of the frame is used; here the frame has none."""
    parsed = json.loads(ECO["parsed_configuration"]) | {"chart": chart}
    payload = ECO | {"parsed_configuration": json.dumps(parsed), "configuration": ""}
    device = Structurer().one(payload, Device, "/")
    assert isinstance(device, Thermostat)
    assert device.schedule is None
    assert device.target_at(files.NOW, UTC) is None
