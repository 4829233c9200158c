"""Alarms: one event at the start and one at the end, across restarts and clock changes."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.parts import damaged
from sst_cloud import Point, Quality, Quantity, Reading
from sst_cloud.monitoring.alarms import AlarmState, detect_alarms
from sst_cloud.monitoring.continuous_flow import FlowState
from sst_cloud.monitoring.events import Event, EventKind
from sst_cloud.monitoring.rules import AlarmRules
from sst_cloud.testing.sink_contract import sample_reading, sample_readings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLL = timedelta(minutes=20)
HOUR = timedelta(hours=1)
MOSCOW = ZoneInfo("Europe/Moscow")
SENSOR = {"point": Point.WIRELESS_SENSOR, "point_id": "9", "name": "Sink", "water": None}
VALVES = {"point": Point.VALVE_GROUP, "point_id": "1", "name": None, "water": None}
MODULE = {"point": Point.MODULE, "point_id": "module", "name": None, "water": None}

EventKinds = list[tuple[EventKind, bool]]


class Home:
    """A home with alarm detection poll after poll; its state goes through JSON in between."""

    def __init__(self, start: datetime = NOON, **rules: Any) -> None:
        self.now = start
        self.rules = AlarmRules(**rules)
        self.zone = MOSCOW
        self.state = AlarmState()
        self.events: list[Event] = []

    def poll(self, *readings: dict[str, Any], after: timedelta = POLL) -> EventKinds:
        """The kinds of events of a poll with these readings."""
        self.now += after
        batch = [sample_reading(time=self.now, **reading) for reading in readings]
        return self.see(batch)

    def see(self, readings: Iterable[Reading]) -> EventKinds:
        before = self.state.to_json()
        events, state = detect_alarms(
            self.state, list(readings), self.now, zones={1: self.zone}, rules=self.rules
        )
        assert self.state.to_json() == before
        self.state = AlarmState.from_json(state.to_json())
        assert self.state == state
        for event in events:
            assert Event.from_dict(json.loads(json.dumps(event.as_dict()))) == event
        self.events += events
        return [(event.kind, event.over) for event in events]

    def count(self, totals: Iterable[int], after: timedelta = POLL, **changes: Any) -> EventKinds:
        """All events of polls that show a meter's totals."""
        return [
            event
            for total in totals
            for event in self.poll({"value": total} | changes, after=after)
        ]


def is_(quantity: Quantity, value: float, **where: Any) -> dict[str, Any]:
    return {"quantity": quantity, "value": value, "line": None} | where


BOOLEANS = [
    (EventKind.LEAK, Quantity.LEAK, True, SENSOR),
    (EventKind.SENSOR_LOST, Quantity.SENSOR_LOST, True, SENSOR),
    (EventKind.BATTERY_LOW, Quantity.BATTERY_LOW, True, SENSOR),
    (EventKind.VALVE_CLOSED, Quantity.VALVE_OPEN, False, VALVES),
    (EventKind.DEVICE_STALE, Quantity.ONLINE, False, MODULE),
]


@pytest.mark.parametrize(("kind", "quantity", "bad", "where"), BOOLEANS)
def test_alarm_gives_one_event_at_its_start_and_one_at_its_end(
    kind: EventKind, quantity: Quantity, bad: bool, where: dict[str, Any]
) -> None:
    home = Home()
    values = [not bad, bad, bad, bad, not bad, not bad, bad]
    events = [home.poll(is_(quantity, value, **where)) for value in values]
    assert events == [[], [(kind, False)], [], [], [(kind, True)], [], [(kind, False)]]
    first, last, _ = home.events
    assert (first.house_id, first.house, first.device_id, first.device) == (
        1,
        "Home",
        2,
        "Bathroom",
    )
    assert first.time == NOON + 2 * POLL
    assert last.details == {"hours": 1.0}
    assert first.message != last.message
    assert first.message.endswith("Bathroom in Home")


@pytest.mark.parametrize(("kind", "quantity", "bad", "where"), BOOLEANS)
def test_alarm_active_at_the_first_poll_is_reported(
    kind: EventKind, quantity: Quantity, bad: bool, where: dict[str, Any]
) -> None:
    home = Home()
    events = [home.poll(is_(quantity, value, **where)) for value in (bad, bad, not bad)]
    if kind is EventKind.VALVE_CLOSED:  # their closing was not observed
        assert events == [[], [], []]
    else:
        assert events == [[(kind, False)], [], [(kind, True)]]


LAST_REPORTED = [BOOLEANS[0], BOOLEANS[3]]


@pytest.mark.parametrize(("kind", "quantity", "bad", "where"), LAST_REPORTED)
def test_last_alarm_of_a_module_before_it_goes_silent_is_reported(
    kind: EventKind, quantity: Quantity, bad: bool, where: dict[str, Any]
) -> None:
    """A flooded module may go offline before the next poll."""
    home = Home()
    stale = {"quality": Quality.STALE}
    missing, back = (is_(Quantity.ONLINE, there, **MODULE) for there in (False, True))
    silent = (EventKind.DEVICE_STALE, False)
    home.poll(is_(quantity, not bad, **where))
    events = [home.poll(missing, is_(quantity, bad, **where, **stale)) for _ in range(3)]
    assert events == [[(kind, False), silent], [], []]
    first = home.events[0]
    assert first.details == {"stale": True}
    assert ", as last reported: " in first.message
    assert home.poll(is_(quantity, not bad, **where, **stale)) == [], "nobody can know"
    assert home.poll(back, is_(quantity, bad, **where)) == [(EventKind.DEVICE_STALE, True)]
    assert home.poll(is_(quantity, not bad, **where)) == [(kind, True)]
    assert "as last reported" not in home.events[-1].message


@pytest.mark.parametrize(("kind", "quantity", "bad", "where"), BOOLEANS[1:3])
def test_stale_sensor_readings_neither_start_nor_end_an_alarm(
    kind: EventKind, quantity: Quantity, bad: bool, where: dict[str, Any]
) -> None:
    home = Home()
    stale = {"quality": Quality.STALE}
    online = is_(Quantity.ONLINE, True, **MODULE)

    def events_of(value: bool, **changes: Any) -> EventKinds:
        return home.poll(online, is_(quantity, value, **where, **changes))

    assert events_of(not bad) == []
    assert events_of(bad, **stale) == []
    assert events_of(bad) == [(kind, False)]
    assert events_of(not bad, **stale) == []
    assert events_of(not bad) == [(kind, True)]


def test_every_alarm_point_has_its_own_event() -> None:
    home = Home()
    others = [SENSOR | {"point_id": "10", "name": None}, VALVES]
    events = home.poll(*(is_(Quantity.LEAK, True, **where) for where in [SENSOR, *others]))
    assert events == [(EventKind.LEAK, False)] * 3
    assert [event.message for event in home.events] == [
        "Leak: Sink of Bathroom in Home",
        "Leak: wireless sensor 10 of Bathroom in Home",
        "Leak: valve group 1 of Bathroom in Home",
    ]
    assert [(event.point, event.point_id, event.name) for event in home.events] == [
        ("wireless_sensor", "9", "Sink"),
        ("wireless_sensor", "10", None),
        ("valve_group", "1", None),
    ]


def test_lost_sensor_without_a_name_is_reported_for_the_module() -> None:
    home = Home()
    home.poll(is_(Quantity.SENSOR_LOST, True, **MODULE))
    assert home.events[0].message == "A sensor is lost: Bathroom in Home"
    assert (home.events[0].point, home.events[0].point_id) == ("module", "module")


def test_unnamed_objects_are_reported_by_number() -> None:
    home = Home()
    home.poll(is_(Quantity.LEAK, True, **SENSOR, house="", device=""))
    assert home.events[0].message == "Leak: Sink of device 2 in house 1"


def test_battery_alarm_has_hysteresis_in_percent() -> None:
    home = Home()
    levels = [50, 10, 9, 10, 9, 14, 15, 100, 9.5]
    events = [home.poll(is_(Quantity.BATTERY, value, **SENSOR)) for value in levels]
    low, good = [(EventKind.BATTERY_LOW, False)], [(EventKind.BATTERY_LOW, True)]
    assert events == [[], [], low, [], [], [], good, [], low]
    assert home.events[0].details == {"percent": 9}
    assert home.events[1].details == {"percent": 15, "hours": 1.3}


def test_battery_alarm_uses_flag_or_percent() -> None:
    home = Home(battery_percent=30)

    def events_of(percent: int, flag: bool) -> EventKinds:
        return home.poll(
            is_(Quantity.BATTERY, percent, **SENSOR), is_(Quantity.BATTERY_LOW, flag, **SENSOR)
        )

    assert events_of(29, False) == [(EventKind.BATTERY_LOW, False)]
    assert events_of(90, True) == []
    assert events_of(90, False) == [(EventKind.BATTERY_LOW, True)]


def test_battery_level_without_percent_is_ignored() -> None:
    home = Home()
    assert home.poll(is_(Quantity.BATTERY, 1, unit="", **SENSOR)) == []


def test_device_with_only_stale_readings_is_reported() -> None:
    home = Home()
    stale = {"quality": Quality.STALE}
    dry = is_(Quantity.LEAK, False, **SENSOR, **stale)
    assert home.poll({"value": 5} | stale, dry) == [(EventKind.DEVICE_STALE, False)]
    assert home.poll({"value": 5} | stale, dry) == []
    assert home.poll({"value": 5, "quality": Quality.SUSPECT}) == []
    assert home.poll({"value": 5, "model": ""}) == []  # the device itself could not be read
    assert home.poll({"value": 5}, dry) == [(EventKind.DEVICE_STALE, True)]
    first, _ = home.events
    assert (first.device_id, first.point, first.point_id, first.name) == (2, None, None, None)


def test_a_device_that_is_online_with_a_lost_sensor_is_not_stale() -> None:
    home = Home()
    lost = is_(Quantity.LEAK, False, **SENSOR, quality=Quality.STALE)
    assert home.poll(is_(Quantity.ONLINE, True, **MODULE), lost) == []


def test_three_hours_without_any_readings_are_reported() -> None:
    home = Home()
    home.poll({"value": 5})
    assert [home.poll() for _ in range(8)] == [[]] * 8
    assert home.poll() == [(EventKind.NO_READINGS, False)]
    assert home.poll(after=9 * HOUR) == []
    assert home.poll({"value": 5}) == [(EventKind.NO_READINGS, True)]
    first, last = home.events
    assert (first.house_id, first.device_id, first.details) == (None, None, {"hours": 3.0})
    assert first.message == "There are no readings: the source"
    assert last.details == {"hours": 9.3}


def test_no_readings_since_the_start_are_reported() -> None:
    home = Home()
    assert home.poll() == []
    assert home.poll(after=3 * HOUR) == [(EventKind.NO_READINGS, False)]


def test_missing_device_is_reported_after_three_hours() -> None:
    home = Home()
    present, missing = {"value": 5}, {"value": 5, "device_id": 7, "device": "Kitchen"}
    home.poll(present, missing)
    assert [home.poll(present) for _ in range(8)] == [[]] * 8
    assert home.poll(present) == [(EventKind.NO_READINGS, False)]
    assert home.poll(present) == []
    assert home.poll(present, missing) == [(EventKind.NO_READINGS, True)]
    first, last = home.events
    assert (first.device_id, first.device, first.house) == (7, "Kitchen", "Home")
    assert first.message == "There are no readings: Kitchen in Home"
    assert last.device_id == 7


def test_devices_get_time_to_return_after_an_outage() -> None:
    home = Home()
    present, late = {"value": 5}, {"value": 5, "device_id": 7}
    home.poll(present, late)
    home.poll(after=5 * HOUR)
    assert home.poll(present) == [(EventKind.NO_READINGS, True)]
    assert home.poll(present, late) == []


@pytest.mark.parametrize("failed", [True, False], ids=["nobody answered", "nobody asked"])
def test_device_still_missing_after_an_outage_is_reported_in_time(
    failed: bool,
) -> None:
    """For example, the collector was off, and the first answer lacks a device."""
    home = Home()
    present, late = {"value": 5}, {"value": 5, "device_id": 7}
    home.poll(present, late)
    if failed:
        home.poll(after=5 * HOUR)
    home.events.clear()
    home.poll(present, after=5 * HOUR)
    assert [home.poll(present) for _ in range(8)] == [[]] * 8
    assert home.poll(present) == [(EventKind.NO_READINGS, False)]
    assert home.events[-1].device_id == 7
    assert home.poll(present, late) == [(EventKind.NO_READINGS, True)]


def test_missing_device_is_reported_with_infrequent_polls() -> None:
    home = Home()
    present, missing = {"value": 5}, {"value": 5, "device_id": 7}
    home.poll(present, missing)
    assert home.poll(present, after=6 * HOUR) == []
    assert home.poll(present, after=6 * HOUR) == [(EventKind.NO_READINGS, False)]


def test_infrequent_polls_are_not_an_outage() -> None:
    home = Home()
    assert [home.poll({"value": 5}, after=6 * HOUR) for _ in range(5)] == [[]] * 5


def test_missing_readings_are_reported_after_the_clock_is_set_back() -> None:
    home = Home()
    present, other = {"value": 5}, {"value": 5, "device_id": 7}
    home.poll(present, other)
    assert home.poll(present, after=-100 * HOUR) == []
    assert home.poll(present, after=2 * HOUR) == []
    assert home.poll(present, after=1 * HOUR) == [(EventKind.NO_READINGS, False)]
    assert home.poll(after=-100 * HOUR) == []
    assert home.poll(after=3 * HOUR) == [(EventKind.NO_READINGS, False)]


def test_alarm_across_a_clock_set_back_lasts_zero_hours() -> None:
    home = Home()
    home.poll(is_(Quantity.LEAK, True, **SENSOR))
    home.poll(is_(Quantity.LEAK, False, **SENSOR), after=-5 * HOUR)
    assert home.events[-1].details == {"hours": 0.0}


FLOWS = (EventKind.CONTINUOUS_FLOW, False)
PAUSES = (EventKind.CONTINUOUS_FLOW, True)


def flows(events: EventKinds) -> EventKinds:
    return [(kind, over) for kind, over in events if kind is EventKind.CONTINUOUS_FLOW]


@pytest.mark.parametrize(("step", "litres_per_hour"), [(1, 3), (10, 15), (10, 30), (1, 900)])
@pytest.mark.parametrize("minutes", [5, 10, 20, 30])
def test_continuous_flow_all_day_is_reported(
    step: int, litres_per_hour: float, minutes: int
) -> None:
    """For any step of the meter and any poll interval."""
    home = Home()
    after = timedelta(minutes=minutes)
    totals = [
        int(litres_per_hour * number * minutes / 60) // step * step
        for number in range(26 * 60 // minutes)
    ]
    assert flows(home.count(totals, after)) == [FLOWS]
    first = next(event for event in home.events if event.kind is EventKind.CONTINUOUS_FLOW)
    assert first.details["hours"] == pytest.approx(24, abs=1)
    assert first.details["used_l"] == pytest.approx(24 * litres_per_hour, rel=0.1)
    assert "without a pause" in first.message
    assert flows(home.count([totals[-1]] * (120 // minutes), after)) == [PAUSES]
    assert home.events[-1].details["hours"] == pytest.approx(26, abs=1.5)


@pytest.mark.parametrize("minutes", [5, 20, 30, 60])
def test_daily_pause_prevents_the_continuous_flow_alarm(minutes: int) -> None:
    home = Home()
    after = timedelta(minutes=minutes)
    total, totals = 0, []
    for number in range(5 * 24 * 60 // minutes):
        quiet = (number * minutes // 60) % 24 in (3, 4)
        total += 0 if quiet else 10
        totals.append(total)
    assert flows(home.count(totals, after)) == []


def test_hourly_polls_detect_continuous_flow() -> None:
    home = Home()
    jitter = HOUR + timedelta(seconds=30)
    assert flows(home.count(range(0, 300, 10), jitter)) == [FLOWS]


def test_polls_too_far_apart_do_not_detect_continuous_flow() -> None:
    home = Home()
    assert flows(home.count(range(0, 1000, 10), timedelta(hours=2))) == []


def test_gap_restarts_the_flow_count_but_ends_no_alarm() -> None:
    home = Home(continuous_flow=5 * HOUR)
    assert flows(home.count(range(0, 40, 10), HOUR)) == []
    assert flows(home.count([50], 8 * HOUR)) == []
    assert flows(home.count(range(60, 100, 10), HOUR)) == []
    assert flows(home.count([100], HOUR)) == [FLOWS]
    assert home.events[-1].details == {"hours": 5.0, "used_l": 50}
    assert flows(home.count([150], 8 * HOUR)) == []
    assert flows(home.count([150], HOUR)) == [PAUSES]
    assert home.events[-1].details == {"hours": 13.0, "used_l": 100}


def test_replaced_meter_does_not_end_continuous_flow() -> None:
    home = Home(continuous_flow=3 * HOUR)
    assert flows(home.count(range(0, 40, 10), HOUR)) == [FLOWS]
    assert flows(home.count([500_000, 500_010], HOUR)) == []


def test_suspect_and_stale_totals_do_not_count_as_flow() -> None:
    home = Home(continuous_flow=2 * HOUR)
    for quality in (Quality.SUSPECT, Quality.STALE):
        home.count([5], quality=Quality.GOOD)
        assert flows(home.count(range(0, 300, 10), quality=quality)) == []


def test_glitches_do_not_hide_continuous_flow() -> None:
    home = Home(continuous_flow=5 * HOUR)
    events: EventKinds = []
    for number in range(18):
        glitch = {"value": 0, "quality": Quality.SUSPECT} if number % 3 == 1 else {}
        events += home.poll({"value": 10 * number} | glitch)
    assert flows(events) == [FLOWS]


def test_replaced_meter_does_not_count_as_night_use() -> None:
    home = Home(datetime(2026, 3, 1, 22, 30, tzinfo=UTC))
    assert home.count([319_880, 319_880, 319_880, 12, 12, 50_000_000]) == []
    assert home.count([50_000_040]) == [(EventKind.NIGHT_USE, False)]


def test_continuous_flow_restarts_after_the_clock_is_set_back() -> None:
    home = Home(continuous_flow=3 * HOUR)
    assert flows(home.count(range(0, 60, 10))) == []
    assert flows(home.count([60], -48 * HOUR)) == []
    assert flows(home.count(range(70, 150, 10))) == []
    assert flows(home.count([160, 170])) == [FLOWS]


NIGHT = datetime(2026, 3, 1, 22, tzinfo=UTC)
"""One o'clock in Moscow: the first poll is at twenty past."""
AT_NIGHT = [(EventKind.NIGHT_USE, False)]


def test_use_at_night_above_the_limit_is_reported_once() -> None:
    home = Home(NIGHT)
    assert home.count([0, 10, 20, 30]) == []
    assert home.count([40]) == AT_NIGHT
    assert home.count(range(50, 120, 10)) == []
    (event,) = home.events
    assert event.details == {"night": "2026-03-02", "used_l": 40, "limit_l": 30}
    assert event.message == "Use at night, 40 L: Cold of Bathroom in Home"


def test_every_night_is_counted_anew() -> None:
    home = Home(NIGHT)
    assert home.count([0, 40]) == AT_NIGHT
    assert home.count([40, 70], 24 * HOUR) == []
    assert home.count([70, 110]) == AT_NIGHT
    assert [event.details["night"] for event in home.events] == ["2026-03-02", "2026-03-04"]


def test_each_night_is_reported_once_despite_clock_changes() -> None:
    home = Home(NIGHT)
    assert home.count([0, 40]) == AT_NIGHT
    assert home.count([41], -24 * HOUR) == []
    assert home.count([80]) == [], "the night before that one is over"
    assert home.count([81], 24 * HOUR - POLL) == []
    assert home.count([120, 160]) == []
    assert home.count([161], 24 * HOUR) == []
    assert home.count([200]) == AT_NIGHT
    assert [event.details["night"] for event in home.events] == ["2026-03-02", "2026-03-03"]


def test_clock_years_ahead_does_not_suppress_later_nights() -> None:
    home = Home(NIGHT + timedelta(days=3650))
    assert home.count([0, 40]) == AT_NIGHT
    assert home.count([40], -timedelta(days=3650)) == []
    assert home.count([80]) == AT_NIGHT


def test_use_of_several_nights_is_not_added_up() -> None:
    home = Home(NIGHT)
    assert home.count([0, 20]) == []
    assert home.count([20], 24 * HOUR) == []
    assert home.count([40]) == []
    assert home.count([60]) == AT_NIGHT
    assert home.count([60], 24 * HOUR) == []
    assert home.count([100]) == AT_NIGHT
    assert [event.details["used_l"] for event in home.events] == [40, 40]


def test_use_before_and_after_the_night_is_not_counted() -> None:
    home = Home(NIGHT - HOUR)
    assert home.count([0, 100, 200, 300]) == []  # up to 01:20; the cloud may be 10 minutes late
    assert home.count([310] * 10) == []
    home = Home(NIGHT + 4 * HOUR - POLL)
    assert home.count([0, 100, 200]) == []


def test_use_in_a_gap_around_the_night_is_not_counted() -> None:
    home = Home(NIGHT - 2 * HOUR)
    assert home.count([0, 500], 5 * HOUR) == []


def test_night_uses_the_time_zone_of_the_house() -> None:
    home = Home(NIGHT)
    home.zone = ZoneInfo("Asia/Vladivostok")
    assert home.count([0, 40]) == []
    elsewhere = Home(datetime(2026, 3, 1, 1, tzinfo=UTC))
    assert (
        elsewhere.count([0, 40], house_id=5) == AT_NIGHT
    )  # a house with an unknown time zone: UTC


def test_night_may_span_midnight_or_be_empty() -> None:
    rules = {"night": (time(23), time(2)), "night_litres": 100}
    home = Home(datetime(2026, 3, 1, 20, 30, tzinfo=UTC), **rules)
    assert home.count([0, 50, 100, 150]) == AT_NIGHT
    assert home.events[0].details["night"] == "2026-03-01"
    home = Home(datetime(2026, 3, 1, 20, 30, tzinfo=UTC), **rules)
    assert home.count([0, 40, 80, 120, 160, 200, 240, 240, 240, 240]) == AT_NIGHT
    assert Home(NIGHT, night=(time(3), time(3))).count([0, 500]) == []


def test_meters_are_watched_separately() -> None:
    home = Home(NIGHT)
    home.poll({"value": 0}, {"value": 0, "point_id": "4"})
    assert home.poll({"value": 20}, {"value": 20, "point_id": "4"}) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"pause": timedelta(0)},
        {"continuous_flow": timedelta(0)},
        {"silence": -HOUR},
        {"max_flow": -1},
    ],
)
def test_invalid_rules_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AlarmRules(**wrong)


POOL = st.one_of(
    st.sampled_from(sample_readings()),
    st.builds(
        sample_reading,
        quantity=st.sampled_from([q for q in Quantity if q.is_boolean]),
        value=st.booleans(),
        device_id=st.integers(1, 2),
        quality=st.sampled_from(Quality),
    ),
    st.builds(
        sample_reading,
        time=st.integers(0, 2000).map(lambda minutes: NOON + timedelta(minutes=minutes)),
        value=st.integers(0, 3000),
        quality=st.sampled_from(Quality),
    ),
)


@given(st.lists(st.tuples(st.lists(POOL, max_size=5), st.integers(-100, 1000)), max_size=10))
def test_alarm_starts_and_ends_alternate(polls: list[tuple[list[Reading], int]]) -> None:
    home = Home(continuous_flow=HOUR)
    for readings, minutes in polls:
        home.now += timedelta(minutes=minutes)
        home.see(readings)
    lasting: set[object] = set()
    for event in home.events:
        alarm = (event.kind, event.house_id, event.device_id, event.point, event.point_id)
        if event.kind is not EventKind.NIGHT_USE:
            assert (alarm in lasting) is event.over
            lasting ^= {alarm}


@given(st.lists(POOL, max_size=5))
def test_repeated_readings_give_no_new_events(readings: list[Reading]) -> None:
    home = Home(continuous_flow=HOUR)
    home.see({reading.key[:-1]: reading for reading in readings}.values())
    event_count = len(home.events)
    home.see({reading.key[:-1]: reading for reading in readings}.values())
    assert len(home.events) == event_count


def test_unreadable_part_of_a_state_does_not_affect_the_rest() -> None:
    """It may come from another version: events already reported are not repeated."""
    home = Home(NIGHT, continuous_flow=HOUR)
    wet, meter = is_(Quantity.LEAK, True, **SENSOR), {"value": 0}
    home.poll(wet, meter, {"value": 0, "point_id": "4"})
    for total in (20, 40, 60, 80):
        home.poll(wet, {"value": total}, {"value": 0, "point_id": "4"})
    assert len(home.events) == 3
    record = json.loads(home.state.to_json())
    record["alarms"].insert(0, ["flood", 1, 2, "module", "module", None])
    record["alarms"].append(["leak"])
    record["last_seen"].append("nobody")
    record["flow"].insert(0, [1, 2, "5", {"total": 5}])
    record["colour"] = "blue"
    home.state = AlarmState.from_json(json.dumps(record))
    assert home.poll(wet, {"value": 100}, {"value": 0, "point_id": "4"}) == []


def test_state_without_newer_fields_gets_their_defaults() -> None:
    home = Home(NIGHT, continuous_flow=HOUR)
    home.poll(is_(Quantity.LEAK, True, **SENSOR), {"value": 0})
    home.count([20, 40, 60])
    whole = json.loads(home.state.to_json())
    (row,) = whole["flow"]
    for part in ("flow", "last_seen", "last_readings"):
        less = AlarmState.from_json(json.dumps({k: v for k, v in whole.items() if k != part}))
        assert less.alarms == home.state.alarms
    for name in set(row[-1]) - {"time", "total"}:
        running = {key: value for key, value in row[-1].items() if key != name}
        less = AlarmState.from_json(json.dumps(whole | {"flow": [[*row[:-1], running]]}))
        default = getattr(FlowState(time=home.now, total=0), name)
        assert less.flow == {
            meter: attrs.evolve(was, **{name: default}) for meter, was in home.state.flow.items()
        }


@given(st.data())
def test_damaged_state_keeps_its_intact_parts(data: st.DataObject) -> None:
    home = Home(NIGHT, continuous_flow=HOUR)
    for number in range(4):
        home.poll(
            is_(Quantity.LEAK, True, **SENSOR),
            is_(Quantity.LEAK, number == 0, **VALVES),
            {"value": 20 * number},
            {"value": 0, "point_id": "4", "device_id": 7},
        )
    whole = home.state
    changed = data.draw(st.just(json.loads(whole.to_json())).flatmap(damaged))
    state = AlarmState.from_json(json.dumps(changed))
    lost = len(whole.alarms.items() - state.alarms.items())
    lost += len(whole.flow.items() - state.flow.items())
    assert lost <= 1 or not (state.alarms and state.flow)
    assert AlarmState.from_json(state.to_json()) == state
    detect_alarms(state, sample_readings(), home.now, zones={}, rules=home.rules)


WORDS = st.sampled_from(["leak", "2026-03-01T12:00:00Z", "x", ""])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS
KEYS = ["alarms", "flow", "last_seen", "last_readings"]


@given(
    st.recursive(
        LEAVES,
        lambda inner: (
            st.lists(inner, max_size=6) | st.fixed_dictionaries(dict.fromkeys(KEYS, inner))
        ),
        max_leaves=20,
    ).map(json.dumps)
    | st.text()
)
@example("[" * 100_000)
@example(
    '{"alarms": [["leak", [1], 2, "a", "b", null]], "flow": [], "last_seen": [], '
    '"last_readings": 1}'
)
@example(
    '{"alarms": [], "flow": [[1, 2, "3", {"time": 5}]], "last_seen": [], "last_readings": null}'
)
def test_unreadable_state_is_replaced_by_a_fresh_one(text: str) -> None:
    state = AlarmState.from_json(text)
    detect_alarms(state, sample_readings(), NOON, zones={}, rules=AlarmRules())
    assert state == AlarmState() or AlarmState.from_json(state.to_json()) == state
