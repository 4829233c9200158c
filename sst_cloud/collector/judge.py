"""Whether to believe a meter's total. A pure function with explicit state.

Modules may report 0, tens of thousands of cubic metres or another meter's total for a poll or two.
A total that no pipe can deliver is suspect, until later polls continue from it: then the meter has
been replaced.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from sst_cloud.enums import Quality, Quantity
from sst_cloud.flow import REFRESH, litres_between
from sst_cloud.models import Counter
from sst_cloud.readings import Reading, format_time
from sst_cloud.totals import only_repeats

from .events import Event, EventKind, point_in_words
from .remembered import opened, readable
from .rules import JudgeRules

__all__ = ["JudgeRules", "JudgeState", "Meter", "MeterId", "Verdict", "judge"]

MeterId = tuple[int, int, str]
"""House, device, counter id."""

_FORMER: Final = timedelta(days=1)
"""How long after it was last seen a former total may still turn out to be the true one."""


@attrs.frozen
class Former:
    """What was believed before a meter's new total, which may be a long glitch."""

    time: datetime
    total: int
    since: tuple[Reading, ...] = ()
    """What has been believed since, as reported."""

    def later(self, *readings: Reading) -> "Former | None":
        """With newly believed readings added; None if it is too long ago."""
        if not self.holds(readings[-1]):
            return None
        again = bool(self.since) and self.since[-1].key == readings[0].key
        since = self.since[:-1] if again else self.since  # of one poll, the last counts
        return attrs.evolve(self, since=(*since, *readings))

    def holds(self, reading: Reading) -> bool:
        """Whether it may still turn out to be the true one."""
        return abs(reading.time - self.time) <= _FORMER


@attrs.frozen
class Meter:
    """What is believed of a meter, and what is still in doubt."""

    time: datetime
    total: int
    """The last trusted total in litres, and its time."""
    candidates: tuple[Reading, ...] = ()
    """Suspect readings that agree with each other, oldest first, as reported."""
    former: Former | None = None


@attrs.frozen
class JudgeState:
    """All meters, after the last poll."""

    meters: Mapping[MeterId, Meter] = attrs.field(factory=dict, hash=False)

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
    def from_json(cls, text: str) -> "JudgeState":
        """The state from its `to_json`, as far as it can be read."""
        return cls(dict(readable(_row, opened(text))))


@attrs.frozen(kw_only=True)
class Verdict:
    """The outcome of judging a poll."""

    readings: tuple[Reading, ...]
    """The poll's own readings, in order; only their quality may have changed."""
    redelivered: tuple[Reading, ...] = ()
    """Earlier readings, at their own times: good if they were suspect and are now confirmed,
    suspect if they were believed and turned out to be a glitch."""
    events: tuple[Event, ...] = ()
    state: JudgeState


def judge(
    state: JudgeState, readings: Sequence[Reading], counters: Iterable[Counter], rules: JudgeRules
) -> Verdict:
    """Judge a poll's readings by what is known of their meters. `counters` are the poll's, too."""
    known = {(c.house_id, c.device_id, str(c.id)): c for c in counters}
    meters = dict(state.meters)
    judged: list[Reading] = []
    redelivered: list[Reading] = []
    events: list[Event] = []
    for reading in readings:
        if reading.quantity is not Quantity.VOLUME:
            judged.append(reading)
            continue
        meter_id = (reading.house_id, reading.device_id, reading.point_id)
        found = _weigh(meters.get(meter_id), reading, known.get(meter_id), rules)
        meters[meter_id] = found.meter
        judged.append(found.reading)
        redelivered += found.redelivered
        if found.event:
            events.append(found.event)
    return Verdict(
        readings=tuple(judged),
        redelivered=tuple(redelivered),
        events=tuple(events),
        state=JudgeState(meters),
    )


@attrs.frozen(kw_only=True)
class _Finding:
    meter: Meter
    reading: Reading
    redelivered: tuple[Reading, ...] = ()
    event: Event | None = None


def _weigh(
    meter: Meter | None, reading: Reading, counter: Counter | None, rules: JudgeRules
) -> _Finding:
    total = int(reading.value)
    pipe = _Pipe.of(counter, rules)
    meter = meter or _first_sight(reading, counter)
    row = meter.candidates
    continued = bool(row) and pipe.explains(row[-1].time, int(row[-1].value), reading)
    # After a while even a jump is within reach of the old total; it is still a jump.
    risen = continued and meter.total <= row[0].value
    if not risen and pipe.explains(meter.time, meter.total, reading):
        heard = bool(reading.model) and reading.quality is not Quality.STALE
        seen_anew = heard or total != meter.total
        former = meter.former and meter.former.later(reading)
        trusted = Meter(reading.time if seen_anew else meter.time, total, former=former)
        event = _goes_on(meter, reading) if row else None
        return _Finding(meter=trusted, reading=reading, event=event)

    former = meter.former
    if former and former.holds(reading) and pipe.explains(former.time, former.total, reading):
        return _Finding(
            meter=Meter(reading.time, total),
            reading=reading,
            redelivered=_as(Quality.SUSPECT, former.since),
            event=_not_replaced(former, reading),
        )
    suspect = attrs.evolve(reading, quality=Quality.SUSPECT)
    if row and _repeats(row[-1], reading):
        return _Finding(meter=meter, reading=suspect)
    row = (*row, reading) if continued else (reading,)
    lasted = abs(reading.time - row[0].time)
    if len(row) > rules.confirmations and lasted >= rules.confirmations * REFRESH:
        return _Finding(
            meter=Meter(reading.time, total, former=_former_of(meter, row, pipe)),
            reading=reading,
            redelivered=_as(Quality.GOOD, row[:-1]),
            event=_replaced(meter, row),
        )
    event = None if meter.candidates else _begins(meter, suspect)
    return _Finding(meter=attrs.evolve(meter, candidates=row), reading=suspect, event=event)


@attrs.frozen
class _Pipe:
    """What a meter's pipe can deliver."""

    max_flow: float
    step: int | None = None
    limits: tuple[int, ...] = ()

    @classmethod
    def of(cls, counter: Counter | None, rules: JudgeRules) -> "_Pipe":
        """The pipe of a counter. Values that are not positive count as unknown."""
        step = counter.step_l if counter else None
        limit = counter.max_value if counter else None
        return cls(
            rules.max_flow,
            step if step and step > 0 else None,
            (limit,) if limit and limit > 0 else (),
        )

    def explains(self, time: datetime, total: int, reading: Reading) -> bool:
        """Whether a total can have grown into that of a reading."""
        return self.delivers(total, int(reading.value), reading.time - time)

    def delivers(self, before: int, after: int, lasted: timedelta) -> bool:
        """Whether one total can grow into another in this time."""
        litres = litres_between(
            before,
            after,
            lasted,
            max_flow=self.max_flow,
            step=self.step,
            limits=self.limits,
        )
        return litres is not None


def _former_of(meter: Meter, row: tuple[Reading, ...], pipe: _Pipe) -> Former | None:
    """What was believed before, unless normal use could also lead to the new total within a day."""
    if pipe.delivers(meter.total, int(row[-1].value), _FORMER):
        return None
    return Former(meter.time, meter.total).later(*row)


def _first_sight(reading: Reading, counter: Counter | None) -> Meter:
    """A meter's first total is believed, unless the cloud itself has reported a higher one."""
    total = int(reading.value)
    previous = (counter.previous_value_l if counter else None) or total
    return Meter(reading.time, max(previous, total))


def _repeats(last: Reading, reading: Reading) -> bool:
    """Whether a reading confirms nothing."""
    return reading.key == last.key or only_repeats(last, reading)


def _as(quality: Quality, readings: Iterable[Reading]) -> tuple[Reading, ...]:
    return tuple(attrs.evolve(reading, quality=quality) for reading in readings)


def _begins(meter: Meter, reading: Reading) -> Event:
    return Event.at_point(
        reading,
        EventKind.COUNTER_SUSPECT,
        f"{point_in_words(reading)} shows {_m3(reading.value)} after {_m3(meter.total)}, "
        f"more than a pipe can deliver{_perhaps(meter, reading)}",
        before_l=meter.total,
        after_l=int(reading.value),
    )


def _goes_on(meter: Meter, reading: Reading) -> Event:
    return Event.at_point(
        reading,
        EventKind.COUNTER_SUSPECT,
        f"{point_in_words(reading)} continues from {_m3(meter.total)}: it was a glitch",
        over=True,
        before_l=meter.total,
        after_l=int(reading.value),
    )


def _not_replaced(former: Former, reading: Reading) -> Event:
    return Event.at_point(
        reading,
        EventKind.COUNTER_REPLACED,
        f"{point_in_words(reading)} continues from {_m3(former.total)}: it was a glitch after all",
        over=True,
        before_l=former.total,
        after_l=int(reading.value),
    )


def _replaced(meter: Meter, row: tuple[Reading, ...]) -> Event:
    first = row[0]
    how = "has been replaced: it fell" if first.value < meter.total else "has jumped"
    return Event.at_point(
        row[-1],
        EventKind.COUNTER_REPLACED,
        f"{point_in_words(first)} {how} from {_m3(meter.total)} to {_m3(first.value)}"
        f"{_perhaps(meter, first)}",
        before_l=meter.total,
        after_l=int(first.value),
    )


def _perhaps(meter: Meter, reading: Reading) -> str:
    """Another possible reason for such a fast rise."""
    risen = reading.value > meter.total
    return "; this could also be a burst pipe, or --max-flow is too low" if risen else ""


def _m3(litres: float) -> str:
    return f"{litres / 1000:.3f} m³"


def _row(row: Any) -> tuple[MeterId, Meter]:
    house_id, device_id, point_id = row["meter"]
    held = tuple(readable(Reading.from_dict, row.get("candidates")))
    former = next(readable(_former, [row.get("former")]), None)
    return (int(house_id), int(device_id), str(point_id)), Meter(*_shown(row), held, former)


def _former(row: Any) -> Former:
    return Former(*_shown(row), tuple(readable(Reading.from_dict, row.get("since"))))


def _shown(row: Any) -> tuple[datetime, int]:
    """A time and a total."""
    return datetime.fromisoformat(row["time"]).astimezone(UTC), int(row["total_l"])
