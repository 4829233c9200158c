"""How houses, devices, lists and snapshots are shown in a notebook.

Everything from a source is escaped, secrets are masked, and nothing depends on colour: text takes
its colour from the page, so it is readable in light and dark notebooks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, time
from enum import Enum
from html import escape
from itertools import groupby
from typing import Any, Final

import attrs

from sst_cloud.enums import Water
from sst_cloud.extraction import is_stale, readings_from
from sst_cloud.models import (
    Counter,
    Device,
    House,
    LeakModule,
    Listing,
    Schedule,
    Snapshot,
    Unreadable,
)
from sst_cloud.models.thermostat import MINUTES_A_DAY
from sst_cloud.readings import Quality, Reading
from sst_cloud.redaction import MASK, is_sensitive, redact_text
from sst_cloud.wording import count, label_of, point_of, problem_of, value_of

from .grouping import DeviceReadings, by_house, by_point

_LINE: Final = "border:0;border-bottom:1px solid rgba(128,128,128,.28)"
_CELL: Final = f"{_LINE};padding:.2em 1.2em .2em 0;text-align:left;vertical-align:top"
_NUMBER: Final = _CELL.replace("left", "right") + ";font-variant-numeric:tabular-nums"
_PALE: Final = "opacity:.65;font-weight:normal"
_LABEL: Final = f"{_CELL};{_PALE};white-space:nowrap"
_TABLE: Final = "border-collapse:collapse;margin:.1em 0 .6em;font-size:inherit"
_ALARM: Final = "background:#c62828;color:#fff;border-radius:.7em;padding:0 .55em;font-weight:600"
_DOTS: Final[Mapping[Water, str]] = {Water.COLD: "#3d8fd1", Water.HOT: "#e2604f"}

_ALARM_FIELDS: Final = frozenset(
    {"alarm", "leak", "lost", "battery_low", "sensors_lost", "sensors_battery_low"}
)
"""Fields that are shown as an alarm when true."""
_MAX_UNFOLDED: Final = 6
"""If there are more devices, only those with a problem are unfolded."""
_COLUMNS: Final[Mapping[type, Sequence[str]]] = {
    Counter: ("id", "name", "water", "value_l", "step_l", "line", "device_id"),
    House: ("id", "name", "timezone", "in_home", "report_date"),
    Device: ("id", "name", "model", "is_connected", "signal_level", "firmware", "reported_at"),
}
"""The fields shown in lists; other models show all of theirs."""
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def html(item: Any) -> str:
    """A model, a list of models or a snapshot as an HTML fragment."""
    if isinstance(item, Snapshot):
        content = _snapshot(item)
    elif isinstance(item, Listing):
        content = _listing(item)
    else:
        content = _card(item)
    return f'<div style="overflow-x:auto;line-height:1.5">{content}</div>'


def _snapshot(snapshot: Snapshot) -> str:
    is_crowded = len(snapshot.devices) > _MAX_UNFOLDED
    houses = []
    for house, devices in by_house(snapshot, readings_from(snapshot)):
        title = f"{_strong(house.name or f'house {house.id}')} {_pale(house.timezone or '')}"
        content = "".join(
            _device(device_readings, snapshot, is_crowded) for device_readings in devices
        )
        houses.append(_fold(title, content, unfolded=True))
    counts = (
        count(len(snapshot.houses), "house"),
        count(len(snapshot.devices), "device"),
        count(len(snapshot.counters), "meter"),
        count(len(snapshot.wireless_sensors), "radio sensor"),
    )
    head = f"{_strong(_in_words(snapshot.time))} {_pale(' · '.join(counts))}"
    return f"<div>{head}</div>{''.join(houses)}{_unreadable(snapshot.unreadable)}"


def _device(device_readings: DeviceReadings, snapshot: Snapshot, is_crowded: bool) -> str:  # noqa: FBT001
    device, readings = device_readings.device, device_readings.readings
    if device is None:
        return _fold(_strong(f"device {device_readings.id}"), _points(readings), unfolded=True)
    has_problem = any(problem_of(reading) for reading in readings)
    badges = [_alarm("leak")] if isinstance(device, LeakModule) and device.alarm else []
    badges += [_alarm("silent")] * is_stale(device, snapshot.time, snapshot.refresh)
    title = " ".join((_strong(device.name or str(device.id)), _pale(device.model), *badges))
    return _fold(title, _points(readings), unfolded=has_problem or not is_crowded)


def _points(readings: Iterable[Reading]) -> str:
    rows = [
        f'<tr><th scope="row" style="{_CELL};font-weight:normal">'
        f'{_escaped(point_of(point[0]))}</th><td style="{_CELL}">{_readings(point)}</td></tr>'
        for point in by_point(readings)
    ]
    return _table("".join(rows)) if rows else _pale("nothing to report")


def _readings(point: Sequence[Reading]) -> str:
    """The readings of one part of a device; stale or suspect ones are marked as such."""
    parts = []
    for quality in Quality:
        label = [] if quality is Quality.GOOD else [_pale(f"{quality}:")]
        html_readings = [_reading(reading) for reading in point if reading.quality is quality]
        parts += label + html_readings if html_readings else []
    return " &ensp; ".join(parts)


def _reading(reading: Reading) -> str:
    if problem := problem_of(reading):
        return _alarm(problem)
    dot = f'<span style="color:{_DOTS[reading.water]}">●</span> ' if reading.water else ""
    return _on_one_line(f"{dot}{_pale(label_of(reading))} {_escaped(value_of(reading))}")


def _listing(listing: Listing[Any]) -> str:
    table = _rows(listing) if listing else _pale("nothing in this list")
    return table + _unreadable(listing.unreadable)


def _card(model: Any) -> str:
    """A model's name and kind, then a row for each field that is known."""
    name = getattr(model, "name", None)
    kind = getattr(model, "model", "") or type(model).__name__
    number = f" · {model.id}" if hasattr(model, "id") else ""
    head = f"{_strong(name)} {_pale(kind + number)}" if name else _strong(kind + number)
    head += f" {_alarm('leak')}" if isinstance(model, LeakModule) and model.alarm else ""
    rows = [
        f'<tr><th scope="row" style="{_LABEL}">{_escaped(_label(field))}</th>'
        f'<td style="{_CELL}">{_value(field, value)}</td></tr>'
        for field, value in _fields(model)
        if field not in ("id", "name", "model")
    ]
    return f"<div>{head}</div>{_table(''.join(rows))}"


def _fields(model: Any) -> Iterable[tuple[str, Any]]:
    """A model's known fields: those of its own class first, inherited ones last."""
    for class_ in filter(attrs.has, type(model).__mro__):
        for field in attrs.fields(class_):
            value = getattr(model, field.name)
            if field.repr and not field.inherited and _has_value(value):
                yield field.name, value


def _has_value(value: Any) -> bool:
    if isinstance(value, str | tuple):
        return any(part is not None for part in value)
    return value is not None


def _value(field: str, value: Any) -> str:
    """A field's value, which may be a model or several."""
    if is_sensitive(field):
        return MASK
    if value is True and field in _ALARM_FIELDS:
        return _alarm("yes")
    if isinstance(value, Schedule):
        return "<br>".join(map(_escaped, _week(value)))
    if attrs.has(type(value)):
        return " &ensp; ".join(
            _on_one_line(f"{_pale(_label(name))} {_value(name, part)}")
            for name, part in _fields(value)
        )
    if isinstance(value, tuple) and value and attrs.has(type(value[0])):
        return _rows(value)
    return _escaped(_in_words(value))


def _rows(items: Sequence[Any]) -> str:
    """A table with a row for each item, and only those columns in which any has a value."""
    if not attrs.has(type(items[0])):
        return "<br>".join(_escaped(_in_words(item)) for item in items)
    styles = {column: _style(items, column) for column in _columns(items)}
    head = "".join(
        f'<th scope="col" style="{style};{_PALE}">{_escaped(_label(column))}</th>'
        for column, style in styles.items()
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{style}">{_cell_content(item, column)}</td>'
            for column, style in styles.items()
        )
        + "</tr>"
        for item in items
    )
    return _table(f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>")


def _columns(items: Sequence[Any]) -> list[str]:
    columns = next((c for type_, c in _COLUMNS.items() if isinstance(items[0], type_)), None)
    if columns is None:
        names = dict.fromkeys(name for item in items for name, _ in _fields(item))
        return list(names)
    return [name for name in columns if any(getattr(i, name, None) is not None for i in items)]


def _cell_content(item: Any, column: str) -> str:
    value = getattr(item, column, None)
    return _value(column, value) if _has_value(value) else ""


def _style(items: Sequence[Any], column: str) -> str:
    values = [getattr(item, column, None) for item in items]
    numbers = all(isinstance(v, int | float | None) and not isinstance(v, bool) for v in values)
    return _NUMBER if numbers and not column.endswith("id") else _CELL


def _week(schedule: Schedule) -> Iterable[str]:
    """A line for each run of identical days."""
    days: list[list[str]] = [[] for _ in _DAYS]
    for entry in schedule.entries:
        day, minute = divmod(entry.minute, MINUTES_A_DAY)
        days[day].append(f"{minute // 60:02}:{minute % 60:02} {entry.temperature} °C")
    for times, same_days in groupby(
        zip(_DAYS, map(", ".join, days), strict=True), lambda day: day[1]
    ):
        names = [name for name, _ in same_days]
        span = names[0] if len(names) == 1 else f"{names[0]}\N{EN DASH}{names[-1]}"
        yield f"{span}: {times or 'as before'}"


def _unreadable(unreadable: Sequence[Unreadable]) -> str:
    return "".join(
        f"<div>{_alarm('unreadable')} {_escaped(item.kind)}"
        f"{'' if item.id is None else f' {item.id}'}: {_escaped(item.reason)}</div>"
        for item in unreadable
    )


def _in_words(value: Any) -> str:
    """A value other than a model, in words."""
    for type_, format_value in _FORMATTERS.items():
        if isinstance(value, type_):
            return format_value(value)
    return "" if value is None else str(value)


def _join(values: Sequence[Any]) -> str:
    separator = "\N{EN DASH}" if values and isinstance(values[0], time) else ", "
    return separator.join(map(_in_words, values))


_FORMATTERS: Final[Mapping[type, Callable[[Any], str]]] = {
    bool: lambda value: "yes" if value else "no",
    Enum: lambda value: str(value.value),
    datetime: lambda value: f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
    time: lambda value: f"{value:%H:%M}",
    tuple: _join,
}


def _label(name: str) -> str:
    label = name.replace("_", " ")
    return f"{label.removesuffix(' l')}, L" if label.endswith(" l") else label


def _escaped(text: str) -> str:
    return escape(redact_text(text))


def _strong(text: str) -> str:
    return f"<b>{_escaped(text)}</b>"


def _pale(text: str) -> str:
    return f'<span style="{_PALE}">{_escaped(text)}</span>'


def _on_one_line(content: str) -> str:
    """Keep on one line."""
    return f'<span style="white-space:nowrap">{content}</span>'


def _alarm(text: str) -> str:
    return f'<span style="{_ALARM}">{_escaped(text)}</span>'


def _table(rows: str) -> str:
    return f'<table style="{_TABLE}">{rows}</table>'


def _fold(title: str, content: str, *, unfolded: bool) -> str:
    return (
        f'<details{" open" if unfolded else ""} style="margin:.2em 0 .2em .2em">'
        f'<summary style="cursor:pointer">{title}</summary>'
        f'<div style="margin-left:1.3em">{content}</div></details>'
    )
