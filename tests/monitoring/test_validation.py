"""Validation of totals: what is suspect, what is confirmed, and no other changes."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from collector.parts import damaged
from sst_cloud import Counter, Quality, Quantity, Reading
from sst_cloud.monitoring.events import Event, EventKind
from sst_cloud.monitoring.rules import ValidationRules
from sst_cloud.monitoring.validation import ValidationResult, ValidationState, validate
from sst_cloud.testing.sink_contract import sample_reading, sample_readings

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLL = timedelta(minutes=20)
RULES = ValidationRules()
GOOD, SUSPECT, STALE = Quality.GOOD, Quality.SUSPECT, Quality.STALE
NOT_A_NUMBER = float("nan")


def volume(number: float, litres: int, **changes: Any) -> Reading:
    """The total at the poll of that number."""
    return sample_reading(time=START + number * POLL, value=litres, **changes)


def counter(**changes: Any) -> Counter:
    return Counter(**{"id": 3, "house_id": 1, "device_id": 2, "value_l": 0, "step_l": 10} | changes)


class Validator:
    """Validation poll after poll; its state goes through JSON in between."""

    def __init__(self, meter: Counter | None = None, rules: ValidationRules = RULES) -> None:
        self.meters = [meter or counter()]
        self.rules = rules
        self.state = ValidationState()
        self.results: list[ValidationResult] = []

    def poll(self, *readings: Reading) -> ValidationResult:
        result = validate(self.state, readings, self.meters, self.rules)
        self.state = ValidationState.from_json(result.state.to_json())
        assert self.state == result.state
        self.results.append(result)
        return result

    def show(self, totals: Iterable[int], every: timedelta = POLL, **changes: Any) -> list[Quality]:
        """The qualities of totals, one per poll."""
        readings = [
            volume(number * (every / POLL), total, **changes) for number, total in enumerate(totals)
        ]
        return [self.poll(reading).readings[0].quality for reading in readings]

    def show_on(self, first: int, totals: Iterable[int]) -> list[Quality]:
        """The qualities of totals, starting with this poll."""
        readings = [volume(number, total) for number, total in enumerate(totals, first)]
        return [self.poll(reading).readings[0].quality for reading in readings]

    @property
    def events(self) -> list[Event]:
        return [event for result in self.results for event in result.events]

    @property
    def event_kinds(self) -> list[tuple[EventKind, bool]]:
        return [(event.kind, event.over) for event in self.events]

    @property
    def stored(self) -> list[Reading]:
        """The final content of a sink that replaces readings by key."""
        latest: dict[object, Reading] = {}
        for result in self.results:
            latest |= {r.key: r for r in (*result.redelivered, *result.readings)}
        return sorted(latest.values(), key=lambda reading: reading.time)

    @property
    def redelivered(self) -> list[Reading]:
        return [reading for result in self.results for reading in result.redelivered]


BEGAN = (EventKind.COUNTER_SUSPECT, False)
OVER = (EventKind.COUNTER_SUSPECT, True)
REPLACED = (EventKind.COUNTER_REPLACED, False)
NOT_REPLACED = (EventKind.COUNTER_REPLACED, True)


@pytest.mark.parametrize("glitch", [0, 50_000_000, 118_430], ids=["zero", "huge", "neighbour"])
def test_glitch_is_suspect_and_later_readings_stay_good(glitch: int) -> None:
    validator = Validator()
    assert validator.show([319_880, glitch, 319_900, 319_910]) == [GOOD, SUSPECT, GOOD, GOOD]
    assert validator.event_kinds == [BEGAN, OVER]
    assert validator.redelivered == []
    first, last = validator.events
    assert (first.details, first.time) == (
        {"before_l": 319_880, "after_l": glitch},
        START + POLL,
    )
    assert "more than a pipe can deliver" in first.message
    assert last.message == "Cold of Bathroom in Home continues from 319.880 m³: it was a glitch"


def test_two_glitches_with_different_values_are_suspect() -> None:
    validator = Validator()
    totals = [319_880, 0, 50_000_000, 319_900]
    assert validator.show(totals) == [GOOD, SUSPECT, SUSPECT, GOOD]
    assert validator.event_kinds == [BEGAN, OVER]


def test_glitch_lasting_two_polls_is_suspect() -> None:
    validator = Validator()
    assert validator.show([319_880, 0, 0, 319_900]) == [GOOD, SUSPECT, SUSPECT, GOOD]
    assert validator.redelivered == []


@pytest.mark.parametrize("minutes", [1, 2, 5])
def test_polls_of_the_same_refresh_do_not_confirm_a_glitch(minutes: int) -> None:
    """The cloud gets new values every ten minutes, however often it is read."""
    polls = 10 // minutes
    validator = Validator()
    qualities = validator.show(
        [319_880, *[0] * polls, 319_900, 319_900], timedelta(minutes=minutes)
    )
    assert qualities == [GOOD, *[SUSPECT] * polls, GOOD, GOOD]
    assert validator.event_kinds == [BEGAN, OVER]


@pytest.mark.parametrize("minutes", [1, 3, 7, 10, 19, 20, 60])
def test_new_total_is_accepted_after_two_polls_and_two_refreshes(minutes: int) -> None:
    validator = Validator()
    qualities = validator.show([319_880, *range(30)], timedelta(minutes=minutes))
    held = max(2, -(-20 // minutes))
    assert qualities == [GOOD, *[SUSPECT] * held, *[GOOD] * (30 - held)]
    assert len(validator.redelivered) == held
    assert validator.event_kinds == [BEGAN, REPLACED]


def test_confirmed_replacement_redelivers_the_suspect_readings() -> None:
    validator = Validator()
    assert validator.show([319_880, 10, 20, 50, 60]) == [GOOD, SUSPECT, SUSPECT, GOOD, GOOD]
    assert validator.redelivered == [volume(1, 10), volume(2, 20)]
    assert validator.event_kinds == [BEGAN, REPLACED]
    assert validator.events[-1].details == {"before_l": 319_880, "after_l": 10}
    assert validator.events[-1].message == (
        "Cold of Bathroom in Home has been replaced: it fell from 319.880 m³ to 0.010 m³"
    )


def test_lasting_jump_is_accepted_as_a_replacement() -> None:
    validator = Validator()
    assert validator.show([1000, 90_000, 90_000, 90_000]) == [GOOD, SUSPECT, SUSPECT, GOOD]
    assert validator.event_kinds == [BEGAN, REPLACED]
    perhaps = "; this could also be a burst pipe, or the flow limit is too low"
    first, last = (event.message for event in validator.events)
    assert first.endswith(f"shows 90.000 m³ after 1.000 m³, more than a pipe can deliver{perhaps}")
    assert last.endswith(f"has jumped from 1.000 m³ to 90.000 m³{perhaps}")


@pytest.mark.parametrize("jump", [2_600, 4_000, 5_000, 6_000])
def test_jump_possible_only_over_a_longer_time_stays_suspect(jump: int) -> None:
    """More usage is plausible over a longer time, but that does not confirm the jump."""
    validator = Validator()
    assert validator.show([100_000, *[100_000 + jump] * 3]) == [GOOD, SUSPECT, SUSPECT, GOOD]
    assert validator.redelivered == [volume(1, 100_000 + jump), volume(2, 100_000 + jump)]
    assert validator.event_kinds == [BEGAN, REPLACED]


def test_small_jump_stays_suspect_while_the_module_is_lost() -> None:
    validator = Validator()
    validator.show([100_000, 104_000])
    for number in range(2, 50):
        assert validator.poll(volume(number, 104_000, quality=STALE)).readings[0].quality is SUSPECT
    assert validator.show_on(50, [104_010, 104_020]) == [SUSPECT, GOOD]
    assert validator.event_kinds == [BEGAN, REPLACED]


@pytest.mark.parametrize("glitch", [102_600, 105_000])
def test_glitch_just_above_the_true_total_is_suspect(glitch: int) -> None:
    validator = Validator()
    assert validator.show([100_000, glitch, 100_010, 100_020]) == [GOOD, SUSPECT, GOOD, GOOD]
    assert validator.event_kinds == [BEGAN, OVER]


def test_accepted_glitch_is_revoked_when_the_old_total_returns() -> None:
    validator = Validator()
    assert validator.show([319_880, 0, 0, 0, 0, 319_900]) == [
        GOOD,
        SUSPECT,
        SUSPECT,
        GOOD,
        GOOD,
        GOOD,
    ]
    assert validator.event_kinds == [BEGAN, REPLACED, NOT_REPLACED]
    assert [reading.quality for reading in validator.stored] == [GOOD, *[SUSPECT] * 4, GOOD]
    assert validator.events[-1].message == (
        "Cold of Bathroom in Home continues from 319.880 m³: it was a glitch after all"
    )
    assert validator.events[-1].details == {"before_l": 319_880, "after_l": 319_900}
    assert validator.show_on(6, [319_910, 0, 319_920]) == [GOOD, SUSPECT, GOOD]
    assert validator.event_kinds[3:] == [BEGAN, OVER]


def test_accepted_total_can_be_revoked_only_for_a_day() -> None:
    validator = Validator()
    validator.show([319_880, *[0] * 73])
    assert validator.show_on(74, [319_900]) == [SUSPECT]
    assert validator.event_kinds == [BEGAN, REPLACED, BEGAN]
    (meter,) = validator.state.meters.values()
    assert meter.former is None


def test_new_meter_reaching_the_old_total_is_not_revoked() -> None:
    validator = Validator()
    validator.show([1000, 0, 0, 0])
    assert validator.show_on(4, [500, 1010, 1500]) == [GOOD, GOOD, GOOD]
    assert validator.event_kinds == [BEGAN, REPLACED]


def test_jump_plausible_within_a_day_is_not_revoked() -> None:
    validator = Validator()
    assert validator.show([1000, *[9000] * 4, 8990, 9000]) == [
        *[GOOD, SUSPECT, SUSPECT, GOOD, GOOD],
        *[SUSPECT, GOOD],
    ]
    assert validator.event_kinds == [BEGAN, REPLACED, BEGAN, OVER]


def test_another_glitch_restarts_the_confirmation() -> None:
    validator = Validator()
    qualities = validator.show([319_880, 10, 50_000_000, 20, 30, 40])
    assert qualities == [GOOD, SUSPECT, SUSPECT, SUSPECT, SUSPECT, GOOD]
    assert validator.redelivered == [volume(3, 20), volume(4, 30)]
    assert validator.event_kinds == [BEGAN, REPLACED]


@pytest.mark.parametrize("confirmations", [0, 1, 5])
def test_number_of_confirmations_is_configurable(confirmations: int) -> None:
    validator = Validator(rules=ValidationRules(confirmations=confirmations))
    qualities = validator.show([319_880, *[7] * (confirmations + 1)])
    assert qualities == [GOOD, *[SUSPECT] * confirmations, GOOD]
    assert len(validator.redelivered) == confirmations
    assert validator.event_kinds == [BEGAN, REPLACED][confirmations == 0 :]


def test_maximum_flow_is_configurable() -> None:
    assert Validator().show([0, 10_000]) == [GOOD, SUSPECT]
    assert Validator(rules=ValidationRules(max_flow=30_000)).show([0, 10_000]) == [GOOD, GOOD]


@pytest.mark.parametrize("step", [1, 10, 1000, None, 0, -10])
def test_one_pulse_above_the_maximum_flow_is_tolerated(step: int | None) -> None:
    poll_and_lag = 2500
    pulse = step if step and step > 0 else 10
    validator = Validator(counter(step_l=step))
    assert validator.show([0, poll_and_lag + pulse]) == [GOOD, GOOD]
    validator = Validator(counter(step_l=step))
    assert validator.show([0, poll_and_lag + pulse + 1]) == [GOOD, SUSPECT]


def test_rollover_at_the_limit_of_the_meter_is_good() -> None:
    totals = [99_999_990, 20, 30]
    validator = Validator(counter(max_value=99_999_999))
    assert validator.show(totals) == [GOOD, GOOD, GOOD]
    assert validator.event_kinds == []
    assert Validator(counter(max_value=0)).show(totals) == [GOOD, SUSPECT, SUSPECT]
    assert Validator(counter(max_value=None)).show(totals) == [GOOD, SUSPECT, SUSPECT]


def test_limit_already_exceeded_by_the_meter_is_ignored() -> None:
    validator = Validator(counter(max_value=100_000))
    assert validator.show([100_500, 600, 100_510]) == [GOOD, SUSPECT, GOOD]
    assert validator.show_on(3, [100_520]) == [GOOD]
    at_the_limit = Validator(counter(max_value=100_000))
    assert at_the_limit.show([100_000, 600]) == [GOOD, GOOD]


def test_total_after_an_outage_of_days_is_good() -> None:
    validator = Validator()
    first, later = validator.poll(volume(0, 1000)), validator.poll(volume(10 * 72, 4500))
    assert [first.readings[0].quality, later.readings[0].quality] == [GOOD, GOOD]


def test_usage_while_a_device_was_unreachable_is_good() -> None:
    validator = Validator()
    validator.poll(volume(0, 1000))
    for number in range(1, 10 * 72):
        assert validator.poll(volume(number, 1000, quality=STALE)).readings[0].quality is STALE
    assert validator.poll(volume(10 * 72, 41_000)).readings[0].quality is GOOD


@pytest.mark.parametrize("unknown", [[719], [400], [719, 718, 717], range(1, 720)])
def test_usage_while_a_device_was_unreachable_and_once_missing_is_good(
    unknown: Iterable[int],
) -> None:
    """Counters come in a separate answer: without device data, a silent device is not detected."""
    validator = Validator()
    validator.poll(volume(0, 1000))
    for number in range(1, 720):
        state: dict[str, Any] = {"model": ""} if number in unknown else {"quality": STALE}
        validator.poll(volume(number, 1000, **state))
    assert validator.poll(volume(720, 41_000)).readings[0].quality is GOOD
    assert validator.event_kinds == []


def test_meter_without_device_data_is_judged_by_its_last_change() -> None:
    validator = Validator()
    assert validator.show([1000, 1000, 1010, 13_000], model="") == [GOOD, GOOD, GOOD, SUSPECT]


@pytest.mark.parametrize("silent", [{"quality": STALE}, {"model": ""}])
def test_device_lost_during_a_glitch_does_not_confirm_it(silent: dict[str, Any]) -> None:
    validator = Validator()
    validator.poll(volume(0, 1000))
    validator.poll(volume(1, 0))
    for number in range(2, 50):
        result = validator.poll(volume(number, 0, **silent))
        assert result.readings == (volume(number, 0, **silent | {"quality": SUSPECT}),)
    assert validator.poll(volume(50, 1000)).readings == (volume(50, 1000),)
    assert validator.event_kinds == [BEGAN, OVER]


def test_meter_replacement_is_accepted_with_a_wrong_device_clock() -> None:
    validator = Validator()
    assert validator.show([1000, 0, 0, 10, 20], quality=STALE)[-2:] == [SUSPECT, STALE]
    assert validator.event_kinds == [BEGAN, REPLACED]


def test_total_repeated_in_one_poll_is_no_confirmation() -> None:
    validator = Validator()
    validator.poll(volume(0, 1000))
    twice = validator.poll(*[volume(1, 0)] * 5)
    assert {reading.quality for reading in twice.readings} == {SUSPECT}


def test_total_repeated_in_one_poll_is_revoked_once() -> None:
    validator = Validator(rules=ValidationRules(confirmations=0))
    validator.poll(volume(0, 0))
    jump = 10**9
    validator.poll(volume(1, jump))
    validator.poll(*[volume(2, jump)] * 5)
    assert validator.poll(volume(3, 10)).redelivered == (
        volume(1, jump, quality=SUSPECT),
        volume(2, jump, quality=SUSPECT),
    )


def test_clock_set_back_does_not_disturb_validation() -> None:
    validator = Validator()
    validator.poll(volume(72, 1000))
    assert validator.poll(volume(0, 1010)).readings[0].quality is GOOD
    assert validator.poll(volume(1, 1020)).readings[0].quality is GOOD
    assert validator.poll(volume(2, 0)).readings[0].quality is SUSPECT


def test_first_reading_of_a_meter_is_good() -> None:
    for previous in (None, 0, 5, 319_880, -1):
        assert Validator(counter(previous_value_l=previous)).show([319_880]) == [GOOD]
    assert validate(ValidationState(), [volume(0, 5)], [], RULES).readings[0].quality is GOOD
    assert validate(ValidationState(), [volume(0, -5)], [], RULES).readings[0].quality is GOOD


def test_first_reading_below_the_previous_value_is_suspect() -> None:
    validator = Validator(counter(previous_value_l=319_880))
    assert validator.show([0, 319_890]) == [SUSPECT, GOOD]
    assert validator.event_kinds == [BEGAN, OVER]
    other = Validator(counter(previous_value_l=319_880))
    assert other.show([0, 0, 0]) == [SUSPECT, SUSPECT, GOOD]
    assert other.event_kinds == [BEGAN, REPLACED]
    rolled = Validator(counter(previous_value_l=99_999_990, max_value=99_999_999))
    assert rolled.show([10]) == [GOOD]


def test_wrong_first_reading_without_a_previous_value_is_accepted() -> None:
    validator = Validator()
    assert validator.show([50_000_000, 1000, 1010, 1020]) == [GOOD, SUSPECT, SUSPECT, GOOD]


def test_meters_are_validated_separately() -> None:
    validator = Validator()
    validator.poll(volume(0, 1000), volume(0, 90_000, point_id="4"), volume(0, 7, device_id=9))
    result = validator.poll(
        volume(1, 90_000), volume(1, 90_000, point_id="4"), volume(1, 7, house_id=8)
    )
    assert [reading.quality for reading in result.readings] == [SUSPECT, GOOD, GOOD]


def test_other_quantities_are_not_validated() -> None:
    others = [r for r in sample_readings() if r.quantity is not Quantity.VOLUME]
    result = validate(ValidationState(), others, [], RULES)
    assert result.readings == tuple(others)
    assert result.state == ValidationState()


@pytest.mark.parametrize(
    "wrong", [{"max_flow": 0}, {"max_flow": NOT_A_NUMBER}, {"confirmations": -1}]
)
def test_invalid_rules_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ValidationRules(**wrong)


QUALITIES = st.sampled_from([GOOD, STALE])
TOTALS = st.one_of(st.integers(0, 5000), st.integers(-(2**63), 2**63 - 1))
READINGS = st.builds(
    volume,
    st.integers(-5, 5),
    TOTALS,
    point_id=st.sampled_from(["3", "4"]),
    quality=QUALITIES,
    name=st.sampled_from([None, "Холодная", '"']),  # what JSON must carry
)
ODD = st.none() | st.integers(-(2**63), 2**63 - 1)
METERS = st.builds(
    counter,
    id=st.sampled_from([3, 4]),
    step_l=ODD,
    max_value=ODD,
    previous_value_l=ODD,
)


@given(st.lists(st.lists(READINGS, max_size=4), max_size=12), st.lists(METERS, max_size=2))
def test_validation_changes_only_the_quality_and_loses_nothing(
    polls: Sequence[Sequence[Reading]], meters: list[Counter]
) -> None:
    validator = Validator()
    validator.meters = meters
    given_readings: set[Reading] = set()
    for readings in polls:
        before, copy = validator.state, attrs.evolve(validator.state)
        result = validator.poll(*readings)
        assert before == copy
        assert len(result.readings) == len(readings)
        for given_, validated in zip(readings, result.readings, strict=True):
            assert validated.quality in (SUSPECT, given_.quality)
            assert attrs.evolve(validated, quality=given_.quality) == given_
        came_back = {GOOD: set[Reading](), SUSPECT: set[Reading]()}
        for reading in result.redelivered:
            came_back[reading.quality].add(reading)
        given_readings |= set(result.readings)
        assert {attrs.evolve(good, quality=SUSPECT) for good in came_back[GOOD]} <= given_readings
        given_readings |= came_back[GOOD]
        for wrong in came_back[SUSPECT]:
            assert {attrs.evolve(wrong, quality=was) for was in (GOOD, STALE)} & given_readings
        for event in result.events:
            assert Event.from_dict(json.loads(json.dumps(event.as_dict()))) == event


STEPS = st.lists(st.integers(0, 2500), min_size=1, max_size=8)


def running(start: int, steps: Sequence[int]) -> list[int]:
    totals = [start]
    for step in steps:
        totals.append(totals[-1] + step)
    return totals


@given(st.integers(0, 10**9), STEPS, st.integers(-(2**63), 2**63 - 1), st.data())
@example(0, [0, 0], 0, None)
def test_single_glitch_is_the_only_suspect_reading(
    start: int, steps: list[int], glitch: int, data: st.DataObject | None
) -> None:
    totals = running(start, steps)
    where = data.draw(st.integers(1, len(totals) - 1)) if data else 1
    told_from_water_that_has_run = not 0 <= glitch - totals[where - 1] <= 2510
    assume(told_from_water_that_has_run)
    qualities = Validator().show([*totals[:where], glitch, *totals[where:]][: len(totals)])
    assert [number for number, quality in enumerate(qualities) if quality is SUSPECT] == [where]


@given(
    st.lists(st.integers(0, 2500), min_size=1, max_size=5),
    st.sampled_from([0, 84_510, 50_000_000]),
    st.integers(1, 60),
    st.sampled_from([1, 5, 10, 20]),
)
def test_glitch_of_any_length_is_finally_suspect(
    steps: list[int], glitch: int, length: int, minutes: int
) -> None:
    """Up to a day; reported once at its start, once when accepted, and once at its end."""
    truth = running(319_880, [step * minutes // 20 for step in steps])
    validator = Validator()
    validator.show([truth[0], *[glitch] * length, *truth[1:]], timedelta(minutes=minutes))
    expected = [GOOD, *[SUSPECT] * length, *[GOOD] * len(steps)]
    assert [reading.quality for reading in validator.stored] == expected
    assert validator.event_kinds in ([BEGAN, OVER], [BEGAN, REPLACED, NOT_REPLACED])
    assert [reading.value for reading in validator.stored if reading.quality is GOOD] == truth


@given(
    st.lists(TOTALS, min_size=1, max_size=6),
    st.integers(0, 12_000) | st.integers(-(2**40), 2**40),
    st.lists(st.integers(0, 2500), min_size=2, max_size=6),
)
@example([1, 0, 0, 0], 7512, [0, 0])  # a jump that water since the former total could explain later
def test_lasting_new_total_is_accepted_after_two_confirmations(
    before: list[int], start: int, steps: list[int]
) -> None:
    """Whatever came before; suspect readings are redelivered unless the old total returns."""
    validator = Validator()
    validator.show(before)
    meter = validator.state.meters[1, 2, "3"]
    trusted = [meter.total, *([meter.former.total] if meter.former else [])]
    truth = [
        volume(len(before) + number, total) for number, total in enumerate(running(start, steps))
    ]
    validated = [validator.poll(reading).readings[0] for reading in truth]
    assert all(reading.quality is GOOD for reading in validated[2:])
    held = {reading for reading in validated if reading.quality is SUSPECT}
    came_back = {attrs.evolve(good, quality=SUSPECT) for good in validator.redelivered}
    assert held <= came_back or any(start < old <= truth[-1].value for old in trusted)
    ends = {REPLACED} if held <= came_back else {OVER, NOT_REPLACED}
    assert not held or validator.event_kinds[-1] in ends
    assert validator.state.meters[1, 2, "3"].candidates == ()


def test_unreadable_meter_in_a_state_does_not_affect_the_others() -> None:
    """A state may have been written by another version."""
    validator = Validator()
    validator.poll(volume(0, 1000), volume(0, 2000, point_id="4"), volume(0, 3000, point_id="5"))
    validator.poll(volume(1, 0), volume(1, 0, point_id="4"), volume(1, 0, point_id="5"))
    first, second, third = json.loads(validator.state.to_json())
    first["colour"] = "blue"
    del second["time"]
    third["candidates"][0]["quantity"] = "pressure"
    state = ValidationState.from_json(json.dumps([first, second, third]))
    meters = validator.state.meters
    assert state.meters == {
        (1, 2, "3"): meters[1, 2, "3"],
        (1, 2, "5"): attrs.evolve(meters[1, 2, "5"], candidates=()),
    }
    del first["candidates"]
    state = ValidationState.from_json(json.dumps([first]))
    assert state.meters[1, 2, "3"] == attrs.evolve(meters[1, 2, "3"], candidates=())


@given(st.data())
def test_damaged_state_keeps_its_intact_meters(data: st.DataObject) -> None:
    validator = Validator()
    validator.poll(*(volume(0, 1000, point_id=name) for name in "345"))
    validator.poll(*(volume(1, 0, point_id=name) for name in "345"))
    whole = json.loads(validator.state.to_json())
    state = ValidationState.from_json(json.dumps(data.draw(st.just(whole).flatmap(damaged))))
    intact = [meter for meter in state.meters.values() if meter in validator.state.meters.values()]
    assert len(intact) >= 2 or not state.meters
    assert ValidationState.from_json(state.to_json()) == state
    assert validate(state, [volume(2, 5)], [], RULES).readings


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["meter", "time", "total_l", "candidates", "x"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    ).map(json.dumps)
    | st.text(),
)
@example("[" * 100_000)
@example('[{"meter": [1, 2, "3"], "time": "2026-03-01T12:00:00Z", "total_l": 5}]')
@example(
    '[{"meter": [1, 2, "3"], "time": "9999-12-31T23:59:59-12:00", "total_l": 1, "candidates": []}]'
)
@example(
    '[{"meter": [1, 2, "3"], "time": "2026-03-01T12:00:00Z", "total_l": 1e999, "candidates": []}]'
)
def test_unreadable_state_is_replaced_by_a_fresh_one(text: str) -> None:
    state = ValidationState.from_json(text)
    result = validate(state, [volume(0, 5)], [counter()], RULES)
    assert [reading.key for reading in result.readings] == [volume(0, 5).key]
    assert state == ValidationState() or ValidationState.from_json(state.to_json()) == state
