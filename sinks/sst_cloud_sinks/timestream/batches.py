"""Batching readings for Timestream: full requests, common attributes sent once."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import attrs

from sst_cloud.readings import Reading

from .records import Series, problem_of, series_of

Record = dict[str, Any]

BATCH_SIZE: Final = 100
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


@attrs.define
class Plan:
    """Which readings to send now, which later, and which not at all."""

    entries: list[Entry] = attrs.field(factory=list)
    duplicates: list[tuple[int, int]] = attrs.field(factory=list)
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
    result = Plan()
    for members in groups.values():
        series = series_of(readings[members[0]], location)
        first_by_second: dict[int, int] = {}
        for index in members:
            reading = readings[index]
            seconds = int(reading.time.timestamp())
            first = first_by_second.setdefault(seconds, index)
            if first != index:
                if readings[first].value == reading.value:
                    result.duplicates.append((index, first))
                else:
                    result.later.append(index)
                continue
            text = repr(reading.value).lower()  # 12, 21.5, 1e-05, true
            if problem := problem_of(reading.value, series, seconds, text):
                result.problems[index] = problem
            else:
                result.entries.append((index, series, str(seconds), text))
    result.later.sort()
    return result


def request_for(entries: Sequence[Entry], version: int | None) -> dict[str, Any]:
    """The contents of one request; attributes common to all records are sent once."""
    all_series = list({id(series): series for _, series, _, _ in entries}.values())
    attributes = [_attributes(series) for series in all_series]
    shared = dict(
        set(attributes[0].items()).intersection(*(other.items() for other in attributes[1:]))
    )
    common: Record = _record(shared)
    common["TimeUnit"] = "SECONDS"
    if version is not None:
        common["Version"] = version
    times = {time for _, _, time, _ in entries}
    if len(times) == 1:
        common["Time"] = times.pop()
    own_attributes = {
        id(series): _record(
            {name: value for name, value in series_attributes.items() if name not in shared}
        )
        for series, series_attributes in zip(all_series, attributes, strict=True)
    }
    records = [
        {**own_attributes[id(series)], "MeasureValue": value, "Time": time}
        for _, series, time, value in entries
    ]
    if "Time" in common:
        for record in records:
            del record["Time"]
    return {"CommonAttributes": common, "Records": records}


def _attributes(series: Series) -> dict[tuple[str, bool], str]:
    """The attributes of a series in every record: dimensions (True), and the rest (False)."""
    dimensions = {(name, True): value for name, value in series.dimensions.items()}
    measure = {("MeasureName", False): series.measure, ("MeasureValueType", False): series.type}
    return dimensions | measure


def _record(attributes: Mapping[tuple[str, bool], str]) -> Record:
    record: Record = {
        name: value for (name, dimension), value in attributes.items() if not dimension
    }
    dimensions = [
        {"Name": name, "Value": value}
        for (name, dimension), value in attributes.items()
        if dimension
    ]
    if dimensions:
        record["Dimensions"] = dimensions
    return record
