"""Decides whether a meter's total is plausible. A pure function with explicit state.

Modules may report 0, tens of thousands of cubic metres or another meter's total for a poll or two.
A total that no pipe can deliver is suspect, until later polls continue from it: then the meter has
been replaced.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from sst_cloud.enums import Quality
from sst_cloud.metering.plausibility import litres_between
from sst_cloud.metering.totals import only_repeats
from sst_cloud.models import Counter
from sst_cloud.quantities import Quantity
from sst_cloud.readings import Reading, format_time
from sst_cloud.source import DEFAULT_REFRESH
from sst_cloud.wording import point_in_words

from .events import Event, EventKind
from .rules import ValidationRules
from .state_json import parse, parse_rows

MeterId = tuple[int, int, str]
"""House, device, counter id."""

_FORMER_LIFETIME: Final = timedelta(days=1)
"""How long after its last reading a former total may still turn out to be the true one."""


@attrs.frozen
class FormerTotal:
    """The total trusted before a meter's new one, which may be a long glitch."""

    time: datetime
    total: int
    since: tuple[Reading, ...] = ()
    """The readings trusted since, as reported."""

    def extended(self, *readings: Reading) -> "FormerTotal | None":
        """With newly trusted readings added; None if it is too long ago."""
        if not self.may_return(readings[-1]):
            return None
        repeated = bool(self.since) and self.since[-1].key == readings[0].key
        since = self.since[:-1] if repeated else self.since  # of one poll, the last counts
        return attrs.evolve(self, since=(*since, *readings))

    def may_return(self, reading: Reading) -> bool:
        """Whether it may still be the true one at the time of a reading."""
        return abs(reading.time - self.time) <= _FORMER_LIFETIME


@attrs.frozen
class MeterState:
    """A meter's trusted total, and the readings that are still in doubt."""

    time: datetime
    total: int
    """The last trusted total in litres, and its time."""
    candidates: tuple[Reading, ...] = ()
    """Suspect readings that agree with each other, oldest first, as reported."""
    former: FormerTotal | None = None


@attrs.frozen
class ValidationState:
    """All meters, after the last poll."""

    meters: Mapping[MeterId, MeterState] = attrs.field(factory=dict, hash=False)

    def to_json(self) -> str:
        """The state as text."""
        rows = [
            {
                "meter": meter_id,
                "time": format_time(meter.time),
                "total_l": meter.total,
                "candidates": [reading.as_dict() for reading in meter.candidates],
                "former": meter.former
                and {
                    "time": format_time(meter.former.time),
                    "total_l": meter.former.total,
                    "since": [reading.as_dict() for reading in meter.former.since],
                },
            }
            for meter_id, meter in self.meters.items()
        ]
        return json.dumps(rows, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "ValidationState":
        """The state from its `to_json`, as far as it can be read."""
        return cls(dict(parse_rows(_meter_row, parse(text))))


@attrs.frozen(kw_only=True)
class ValidationResult:
    """The result of validating a poll."""

    readings: tuple[Reading, ...]
    """The poll's own readings, in order; only their quality may have changed."""
    redelivered: tuple[Reading, ...] = ()
    """Earlier readings, at their own times: good if they were suspect and are now confirmed,
    suspect if they were trusted and turned out to be a glitch."""
    events: tuple[Event, ...] = ()
    state: ValidationState


def validate(
    state: ValidationState,
    readings: Sequence[Reading],
    counters: Iterable[Counter],
    rules: ValidationRules,
    refresh: timedelta = DEFAULT_REFRESH,
) -> ValidationResult:
    """Validate a poll's readings against their meters' state; `counters` are those of the poll.

    A total may be as old as the source's `refresh` interval.
    """
    counters_by_id = {(c.house_id, c.device_id, c.point_id): c for c in counters}
    meters = dict(state.meters)
    validated: list[Reading] = []
    redelivered: list[Reading] = []
    events: list[Event] = []
    for reading in readings:
        if reading.quantity is not Quantity.VOLUME:
            validated.append(reading)
            continue
        meter_id = (reading.house_id, reading.device_id, reading.point_id)
        counter = counters_by_id.get(meter_id)
        decision = _decide(meters.get(meter_id), reading, counter, rules, refresh)
        meters[meter_id] = decision.meter
        validated.append(decision.reading)
        redelivered += decision.redelivered
        if decision.event:
            events.append(decision.event)
    return ValidationResult(
        readings=tuple(validated),
        redelivered=tuple(redelivered),
        events=tuple(events),
        state=ValidationState(meters),
    )


@attrs.frozen(kw_only=True)
class _Decision:
    meter: MeterState
    reading: Reading
    redelivered: tuple[Reading, ...] = ()
    event: Event | None = None


def _decide(
    meter: MeterState | None,
    reading: Reading,
    counter: Counter | None,
    rules: ValidationRules,
    refresh: timedelta,
) -> _Decision:
    total = int(reading.value)
    flow_limits = _FlowLimits.of(counter, rules, refresh)
    meter = meter or _first_total(reading, counter)
    candidates = meter.candidates
    continues = bool(candidates) and flow_limits.can_explain(
        candidates[-1].time, int(candidates[-1].value), reading
    )
    # After some time, normal use could also explain a jump; it is still a jump.
    has_risen = continues and meter.total <= candidates[0].value
    if not has_risen and flow_limits.can_explain(meter.time, meter.total, reading):
        is_fresh = bool(reading.model) and reading.quality is not Quality.STALE
        confirmed_now = is_fresh or total != meter.total
        former = meter.former and meter.former.extended(reading)
        trusted = MeterState(reading.time if confirmed_now else meter.time, total, former=former)
        event = _glitch_over_event(meter, reading) if candidates else None
        return _Decision(meter=trusted, reading=reading, event=event)

    former = meter.former
    if (
        former
        and former.may_return(reading)
        and not (continues and former.total <= candidates[0].value)  # still a jump, too
        and flow_limits.can_explain(former.time, former.total, reading)
    ):
        return _Decision(
            meter=MeterState(reading.time, total),
            reading=reading,
            redelivered=_with_quality(Quality.SUSPECT, former.since),
            event=_replacement_undone_event(former, reading),
        )
    suspect = attrs.evolve(reading, quality=Quality.SUSPECT)
    if candidates and _confirms_nothing(candidates[-1], reading):
        return _Decision(meter=meter, reading=suspect)
    candidates = (*candidates, reading) if continues else (reading,)
    duration = abs(reading.time - candidates[0].time)
    if len(candidates) > rules.confirmations and duration >= rules.confirmations * refresh:
        return _Decision(
            meter=MeterState(
                reading.time, total, former=_former_of(meter, candidates, flow_limits)
            ),
            reading=reading,
            redelivered=_with_quality(Quality.GOOD, candidates[:-1]),
            event=_replaced_event(meter, candidates),
        )
    event = None if meter.candidates else _suspect_event(meter, suspect)
    return _Decision(meter=attrs.evolve(meter, candidates=candidates), reading=suspect, event=event)


@attrs.frozen
class _FlowLimits:
    """What a meter's pipe can deliver."""

    max_flow: float
    refresh: timedelta
    step: int | None = None
    rollovers: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, counter: Counter | None, rules: ValidationRules, refresh: timedelta
    ) -> "_FlowLimits":
        """The limits of a counter; values that are not positive count as unknown."""
        step = counter.step_l if counter else None
        limit = counter.max_value if counter else None
        return cls(
            rules.max_flow,
            refresh,
            step if step and step > 0 else None,
            (limit,) if limit and limit > 0 else (),
        )

    def can_explain(self, time: datetime, total: int, reading: Reading) -> bool:
        """Whether a total can have grown into that of a reading."""
        return self.can_deliver(total, int(reading.value), reading.time - time)

    def can_deliver(self, before: int, after: int, duration: timedelta) -> bool:
        """Whether one total can grow into another in this time."""
        litres = litres_between(
            before,
            after,
            duration,
            max_flow=self.max_flow,
            step=self.step,
            rollovers=self.rollovers,
            refresh=self.refresh,
        )
        return litres is not None


def _former_of(
    meter: MeterState, confirmed: tuple[Reading, ...], flow_limits: _FlowLimits
) -> FormerTotal | None:
    """The former total, unless normal use could also lead to the new total within a day."""
    if flow_limits.can_deliver(meter.total, int(confirmed[-1].value), _FORMER_LIFETIME):
        return None
    return FormerTotal(meter.time, meter.total).extended(*confirmed)


def _first_total(reading: Reading, counter: Counter | None) -> MeterState:
    """A meter's first total is trusted, unless the source itself has reported a higher one."""
    total = int(reading.value)
    previous = (counter.previous_value_l if counter else None) or total
    return MeterState(reading.time, max(previous, total))


def _confirms_nothing(last: Reading, reading: Reading) -> bool:
    """Whether a reading only repeats the last candidate, so that it is no evidence."""
    return reading.key == last.key or only_repeats(last, reading)


def _with_quality(quality: Quality, readings: Iterable[Reading]) -> tuple[Reading, ...]:
    return tuple(attrs.evolve(reading, quality=quality) for reading in readings)


def _suspect_event(meter: MeterState, reading: Reading) -> Event:
    return Event.at_point(
        reading,
        EventKind.COUNTER_SUSPECT,
        f"{point_in_words(reading)} shows {_m3(reading.value)} after {_m3(meter.total)}, "
        f"more than a pipe can deliver{_other_causes(meter, reading)}",
        before_l=meter.total,
        after_l=int(reading.value),
    )


def _glitch_over_event(meter: MeterState, reading: Reading) -> Event:
    return Event.at_point(
        reading,
        EventKind.COUNTER_SUSPECT,
        f"{point_in_words(reading)} continues from {_m3(meter.total)}: it was a glitch",
        over=True,
        before_l=meter.total,
        after_l=int(reading.value),
    )


def _replacement_undone_event(former: FormerTotal, reading: Reading) -> Event:
    return Event.at_point(
        reading,
        EventKind.COUNTER_REPLACED,
        f"{point_in_words(reading)} continues from {_m3(former.total)}: it was a glitch after all",
        over=True,
        before_l=former.total,
        after_l=int(reading.value),
    )


def _replaced_event(meter: MeterState, confirmed: tuple[Reading, ...]) -> Event:
    first = confirmed[0]
    change = "has been replaced: it fell" if first.value < meter.total else "has jumped"
    return Event.at_point(
        confirmed[-1],
        EventKind.COUNTER_REPLACED,
        f"{point_in_words(first)} {change} from {_m3(meter.total)} to {_m3(first.value)}"
        f"{_other_causes(meter, first)}",
        before_l=meter.total,
        after_l=int(first.value),
    )


def _other_causes(meter: MeterState, reading: Reading) -> str:
    """Another possible reason for such a fast rise."""
    risen = reading.value > meter.total
    return "; this could also be a burst pipe, or the flow limit is too low" if risen else ""


def _m3(litres: float) -> str:
    return f"{litres / 1000:.3f} m³"


def _meter_row(row: Any) -> tuple[MeterId, MeterState]:
    house_id, device_id, point_id = row["meter"]
    candidates = tuple(parse_rows(Reading.from_dict, row.get("candidates")))
    former = next(parse_rows(_former_row, [row.get("former")]), None)
    return (int(house_id), int(device_id), str(point_id)), MeterState(
        *_time_and_total(row), candidates, former
    )


def _former_row(row: Any) -> FormerTotal:
    return FormerTotal(
        *_time_and_total(row), tuple(parse_rows(Reading.from_dict, row.get("since")))
    )


def _time_and_total(row: Any) -> tuple[datetime, int]:
    """A time and a total."""
    return datetime.fromisoformat(row["time"]).astimezone(UTC), int(row["total_l"])
