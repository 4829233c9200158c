"""Validation and alarms together, over two weeks of an ordinary household."""

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

from sst_cloud import Counter, Quality, Snapshot, readings_from
from sst_cloud.monitoring.alarms import AlarmState, detect_alarms
from sst_cloud.monitoring.events import EventKind
from sst_cloud.monitoring.rules import AlarmRules, ValidationRules
from sst_cloud.monitoring.validation import ValidationState, validate
from sst_cloud.testing import FakeCounter

pytestmark = pytest.mark.not_quick

START = datetime(2026, 3, 2, tzinfo=UTC)
ZONES = {1: ZoneInfo("Europe/Moscow")}


def meters() -> list[FakeCounter]:
    sizes = [(10, 150), (1, 90), (10, 1200), (100, 300)]
    return [
        FakeCounter(id=number, start_l=100_000 * number, step_l=step, daily_l=daily)
        for number, (step, daily) in enumerate(sizes, 3)
    ]


@pytest.mark.parametrize("minutes", [10, 20, 60])
@pytest.mark.parametrize("glitches", [0, 40])
def test_ordinary_household_raises_no_false_alarms(minutes: int, glitches: int) -> None:
    """Two weeks of polls with jitter: only glitches are suspect, and nothing else is reported."""
    chance = Random(minutes)
    validation, alarms, household = ValidationState(), AlarmState(), meters()
    polls = 14 * 24 * 60 // minutes
    glitch_polls = set(chance.sample(range(3, polls - 3, 3), glitches))
    kinds: list[EventKind] = []
    for number in range(polls):
        now = START + timedelta(minutes=minutes * number, seconds=chance.uniform(0, 30))
        counters = [
            Counter(id=m.id, house_id=1, device_id=2, value_l=m.value_l(now), step_l=m.step_l)
            for m in household
        ]
        if number in glitch_polls:
            broken = chance.randrange(len(counters))
            value = chance.choice([0, 50_000_000, household[broken - 1].start_l + 77_777_777])
            counters[broken] = Counter(
                id=household[broken].id, house_id=1, device_id=2, value_l=value
            )
        readings = readings_from(Snapshot(time=now, counters=tuple(counters)))
        result = validate(validation, readings, counters, ValidationRules())
        validation = ValidationState.from_json(result.state.to_json())
        suspects = [r for r in result.readings if r.quality is not Quality.GOOD]
        assert len(suspects) == (number in glitch_polls)
        assert not result.redelivered
        events, alarms = detect_alarms(
            alarms, result.readings, now, zones=ZONES, rules=AlarmRules()
        )
        kinds += [event.kind for event in (*result.events, *events)]
    assert kinds == [EventKind.COUNTER_SUSPECT] * 2 * glitches
