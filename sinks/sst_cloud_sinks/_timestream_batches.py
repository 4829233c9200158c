"""Batching readings for Timestream: full requests, common attributes sent once."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import attrs

from sst_cloud.readings import Reading

from ._timestream_records import Series, problem_of, series_of

Record = dict[str, Any]

BATCH: Final = 100
"""Maximum number of records per request."""

_identity = attrgetter(
    "quantity",
    "unit",
    "house_id",
    "house",
    "device_id",
    "device",
    "model",
    "point",
    "point_id",
    "name",
    "line",
    "water",
    "quality",
)


Entry = tuple[int, Series, str, str]
"""A reading to send: its index in the caller's sequence, its series, its time and value."""


@attrs.frozen
class Batch:
    """The contents of one request; attributes common to all records are sent once."""

    entries: Sequence[Entry]
    common: Record
    records: Sequence[Record]


@attrs.define
class Plan:
    """What to send now, what to send after that, and what not to send."""

    entries: list[Entry] = attrs.field(factory=list)
    twins: list[tuple[int, int]] = attrs.field(factory=list)
    """Duplicates of a reading that is sent: they share its outcome."""
    later: list[int] = attrs.field(factory=list)
    """Further values for the same series and time, to be sent later, in order."""
    problems: dict[int, str] = attrs.field(factory=dict)


def plan(readings: Sequence[Reading], indices: Sequence[int], location: str | None) -> Plan:
    """Sort readings by series, and check what can be checked before sending."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for index in indices:
        reading = readings[index]
        groups[_identity(reading), type(reading.value)].append(index)
    found = Plan()
    for members in groups.values():
        series = series_of(readings[members[0]], location)
        sent: dict[int, int] = {}
        for index in members:
            reading = readings[index]
            seconds = int(reading.time.timestamp())
            first = sent.setdefault(seconds, index)
            if first != index:
                if readings[first].value == reading.value:
                    found.twins.append((index, first))
                else:
                    found.later.append(index)
                continue
            text = repr(reading.value).lower()  # 12, 21.5, 1e-05, true
            if problem := problem_of(reading.value, series, seconds, text):
                found.problems[index] = problem
            else:
                found.entries.append((index, series, str(seconds), text))
    found.later.sort()
    return found


def batches(entries: Sequence[Entry], version: int | None) -> Iterator[Batch]:
    """Split entries into full requests."""
    for start in range(0, len(entries), BATCH):
        yield batch(entries[start : start + BATCH], version)


def batch(entries: Sequence[Entry], version: int | None) -> Batch:
    """One request, with its records' common attributes hoisted."""
    kinds = list({id(series): series for _, series, _, _ in entries}.values())
    parts = [_parts(series) for series in kinds]
    shared = dict(set(parts[0].items()).intersection(*(other.items() for other in parts[1:])))
    common: Record = _record(shared)
    common["TimeUnit"] = "SECONDS"
    if version is not None:
        common["Version"] = version
    times = {time for _, _, time, _ in entries}
    if len(times) == 1:
        common["Time"] = times.pop()
    own = {
        id(series): _record({name: value for name, value in part.items() if name not in shared})
        for series, part in zip(kinds, parts, strict=True)
    }
    records = [
        {**own[id(series)], "MeasureValue": value, "Time": time}
        for _, series, time, value in entries
    ]
    if "Time" in common:
        for record in records:
            del record["Time"]
    return Batch(entries, common, records)


def _parts(series: Series) -> dict[tuple[str, bool], str]:
    """The attributes of a series in every record: dimensions (True), and the rest (False)."""
    dimensions = {(name, True): value for name, value in series.dimensions.items()}
    measure = {("MeasureName", False): series.measure, ("MeasureValueType", False): series.type}
    return dimensions | measure


def _record(parts: Mapping[tuple[str, bool], str]) -> Record:
    record: Record = {name: value for (name, dimension), value in parts.items() if not dimension}
    dimensions = [
        {"Name": name, "Value": value} for (name, dimension), value in parts.items() if dimension
    ]
    if dimensions:
        record["Dimensions"] = dimensions
    return record
