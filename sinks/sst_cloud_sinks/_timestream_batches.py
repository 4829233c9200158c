"""Readings on their way to Timestream: what is sent when, in full requests, nothing said twice."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

import attrs

from sst_cloud.readings import Reading

from ._timestream_records import Series, problem_of, series_of, text_of

Record = dict[str, Any]

BATCH: Final = 100
"""Records a request may hold."""

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


@attrs.frozen
class Entry:
    """A reading on its way: where it stands in the caller's sequence, and its record's parts."""

    index: int
    series: Series
    time: str
    value: str


@attrs.frozen
class Batch:
    """The contents of one request; what all records share is said once."""

    entries: Sequence[Entry]
    common: Record
    records: Sequence[Record]


@attrs.define
class Plan:
    """What to send now, what to send once that is stored, and what not to send."""

    entries: list[Entry] = attrs.field(factory=list)
    twins: list[tuple[int, int]] = attrs.field(factory=list)
    """Readings that are equal to one that is sent: they share its fate."""
    later: list[int] = attrs.field(factory=list)
    """Other values for a moment that is sent already: what comes later is sent later."""
    problems: dict[int, str] = attrs.field(factory=dict)


def plan(readings: Sequence[Reading], indices: Sequence[int], location: str | None) -> Plan:
    """Sort readings by series, and check what can be checked before sending."""
    groups: dict[Any, list[int]] = {}
    for index in indices:
        reading = readings[index]
        groups.setdefault((_identity(reading), type(reading.value)), []).append(index)
    found = Plan()
    for members in groups.values():
        series = series_of(readings[members[0]], location)
        sent: dict[datetime, int] = {}
        for index in members:
            reading = readings[index]
            first = sent.setdefault(reading.time, index)
            if first != index:
                if readings[first].value == reading.value:
                    found.twins.append((index, first))
                else:
                    found.later.append(index)
                continue
            time, value = str(int(reading.time.timestamp())), text_of(reading.value)
            if problem := problem_of(reading, series, time, value):
                found.problems[index] = problem
            else:
                found.entries.append(Entry(index, series, time, value))
    found.later.sort()
    return found


def batches(entries: Sequence[Entry], version: int | None) -> Iterator[Batch]:
    """Full requests, as far as there are entries for them."""
    for start in range(0, len(entries), BATCH):
        yield batch(entries[start : start + BATCH], version)


def batch(entries: Sequence[Entry], version: int | None) -> Batch:
    """One request, with everything hoisted that its records share."""
    series = list({id(entry.series): entry.series for entry in entries}.values())
    parts = [_parts(each) for each in series]
    shared = dict(set(parts[0].items()).intersection(*(other.items() for other in parts[1:])))
    common: Record = _record(shared)
    common["TimeUnit"] = "SECONDS"
    if version is not None:
        common["Version"] = version
    times = {entry.time for entry in entries}
    if len(times) == 1:
        common["Time"] = entries[0].time
    own = {
        id(each): _record({name: value for name, value in part.items() if name not in shared})
        for each, part in zip(series, parts, strict=True)
    }
    records = []
    for entry in entries:
        record = {**own[id(entry.series)], "MeasureValue": entry.value}
        if len(times) > 1:
            record["Time"] = entry.time
        records.append(record)
    return Batch(entries, common, records)


def _parts(series: Series) -> dict[tuple[str, bool], str]:
    """What a series says in every record: its dimensions (True), and the rest (False)."""
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
