"""How houses, devices, lists and snapshots are shown in a notebook.

Everything from the cloud is escaped, secrets are masked, and nothing depends on colour: text takes
its colour from the page, so it is readable in light and dark notebooks.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, time
from enum import Enum
from html import escape
from itertools import groupby
from typing import Any, Final

import attrs

from .enums import MODELS, DeviceType, Water
from .measurements import is_stale, readings_from
from .models import (
    Counter,
    Device,
    House,
    LeakModule,
    Listing,
    Schedule,
    Snapshot,
    Unreadable,
)
from .models.thermostat import MINUTES_A_DAY
from .readings import Quality, Reading
from .redaction import MASK, is_sensitive, redact, redact_text
from .wording import Reported, by_house, by_point, count, point_of, trouble, value_of, what

_LINE: Final = "border:0;border-bottom:1px solid rgba(128,128,128,.28)"
_CELL: Final = f"{_LINE};padding:.2em 1.2em .2em 0;text-align:left;vertical-align:top"
_NUMBER: Final = _CELL.replace("left", "right") + ";font-variant-numeric:tabular-nums"
_PALE: Final = "opacity:.65;font-weight:normal"
_LABEL: Final = f"{_CELL};{_PALE};white-space:nowrap"
_TABLE: Final = "border-collapse:collapse;margin:.1em 0 .6em;font-size:inherit"
_ALARM: Final = "background:#c62828;color:#fff;border-radius:.7em;padding:0 .55em;font-weight:600"
_DOTS: Final[Mapping[Water, str]] = {Water.COLD: "#3d8fd1", Water.HOT: "#e2604f"}

_ALARMING: Final = frozenset(
    {"alarm", "leak", "lost", "battery_low", "sensors_lost", "sensors_battery_low"}
)
"""Fields that need the owner's attention when true."""
_OPEN: Final = 6
"""With more devices than this, only those with a problem are unfolded."""
_COLUMNS: Final[Mapping[type, Sequence[str]]] = {
    Counter: ("id", "name", "water", "value_l", "step_l", "line", "device_id"),
    House: ("id", "name", "timezone", "in_home", "report_date"),
    Device: ("id", "name", "model", "is_connected", "signal_level", "firmware", "reported_at"),
}
"""The fields shown in lists; other models show all of theirs."""
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def html(shown: Any) -> str:
    """A model, a list of models or a snapshot as an HTML fragment."""
    if isinstance(shown, Snapshot):
        inside = _snapshot(shown)
    elif isinstance(shown, Listing):
        inside = _listing(shown)
    else:
        inside = _card(shown)
    return f'<div style="overflow-x:auto;line-height:1.5">{inside}</div>'


def _snapshot(snapshot: Snapshot) -> str:
    crowded = len(snapshot.devices) > _OPEN
    houses = []
    for house, devices in by_house(snapshot, readings_from(snapshot)):
        title = f"{_strong(house.name or f'house {house.id}')} {_pale(house.timezone or '')}"
        shown = "".join(_device(reported, snapshot.time, crowded) for reported in devices)
        houses.append(_fold(title, shown, unfolded=True))
    counts = (
        count(len(snapshot.houses), "house"),
        count(len(snapshot.devices), "device"),
        count(len(snapshot.counters), "meter"),
        count(len(snapshot.wireless_sensors), "radio sensor"),
    )
    head = f"{_strong(_plain(snapshot.time))} {_pale(' · '.join(counts))}"
    return f"<div>{head}</div>{''.join(houses)}{_unreadable(snapshot.unreadable)}"


def _device(reported: Reported, now: datetime, crowded: bool) -> str:  # noqa: FBT001
    device, readings = reported.device, reported.readings
    if device is None:
        return _fold(_strong(f"device {reported.id}"), _points(readings), unfolded=True)
    troubled = any(trouble(reading) for reading in readings)
    signs = [_alarm("leak")] if isinstance(device, LeakModule) and device.alarm else []
    signs += [_alarm("silent")] if is_stale(device, now) else []
    title = " ".join((_strong(device.name or str(device.id)), _pale(device.model), *signs))
    return _fold(title, _points(readings), unfolded=troubled or not crowded)


def _points(readings: Iterable[Reading]) -> str:
    rows = [
        f'<tr><th scope="row" style="{_CELL};font-weight:normal">{_safe(point_of(found[0]))}</th>'
        f'<td style="{_CELL}">{_readings(found)}</td></tr>'
        for found in by_point(readings)
    ]
    return _table("".join(rows)) if rows else _pale("nothing to report")


def _readings(point: Sequence[Reading]) -> str:
    """The readings of one part of a device; stale or suspect ones are marked as such."""
    parts = []
    for quality in Quality:
        words = [] if quality is Quality.GOOD else [_pale(f"{quality}:")]
        found = [_reading(reading) for reading in point if reading.quality is quality]
        parts += words + found if found else []
    return " &ensp; ".join(parts)


def _reading(reading: Reading) -> str:
    if words := trouble(reading):
        return _alarm(words)
    dot = f'<span style="color:{_DOTS[reading.water]}">●</span> ' if reading.water else ""
    return _together(f"{dot}{_pale(what(reading))} {_safe(value_of(reading))}")


def _listing(listing: Listing[Any]) -> str:
    table = _rows(listing) if listing else _pale("nothing in this list")
    return table + _unreadable(listing.unreadable)


def _card(model: Any) -> str:
    """A model's name and kind, then a row for each field that is known."""
    name = getattr(model, "name", None)
    kind = model.model if isinstance(model, Device) else type(model).__name__
    number = f" · {model.id}" if hasattr(model, "id") else ""
    head = f"{_strong(name)} {_pale(kind + number)}" if name else _strong(kind + number)
    head += f" {_alarm('leak')}" if isinstance(model, LeakModule) and model.alarm else ""
    rows = [
        f'<tr><th scope="row" style="{_LABEL}">{_safe(_words(field))}</th>'
        f'<td style="{_CELL}">{_value(field, value)}</td></tr>'
        for field, value in _fields(model)
        if field not in ("id", "name")
    ]
    return f"<div>{head}</div>{_table(''.join(rows))}"


def _fields(model: Any) -> Iterable[tuple[str, Any]]:
    """A model's known fields: those of its own class first, inherited ones last."""
    for class_ in filter(attrs.has, type(model).__mro__):
        for field in attrs.fields(class_):
            value = getattr(model, field.name)
            if field.repr and not field.inherited and _is_told(value):
                yield field.name, value


def _is_told(value: Any) -> bool:
    if isinstance(value, str | tuple | Mapping):
        return any(part is not None for part in value)
    return value is not None


def _value(field: str, value: Any) -> str:
    """A field's value, which may be a model or several."""
    if is_sensitive(field):
        return MASK
    if value is True and field in _ALARMING:
        return _alarm("yes")
    if isinstance(value, Schedule):
        return "<br>".join(map(_safe, _week(value)))
    if attrs.has(type(value)):
        return " &ensp; ".join(
            _together(f"{_pale(_words(name))} {_value(name, part)}")
            for name, part in _fields(value)
        )
    if isinstance(value, tuple) and value and attrs.has(type(value[0])):
        return _rows(value)
    return _safe(_plain(value))


def _rows(items: Sequence[Any]) -> str:
    """A table with a row for each item, and only those columns in which any has a value."""
    if not attrs.has(type(items[0])):
        return "<br>".join(_safe(_plain(item)) for item in items)
    styles = {column: _style(items, column) for column in _columns(items)}
    head = "".join(
        f'<th scope="col" style="{style};{_PALE}">{_safe(_words(column))}</th>'
        for column, style in styles.items()
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{style}">{_cell(item, column)}</td>' for column, style in styles.items()
        )
        + "</tr>"
        for item in items
    )
    return _table(f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>")


def _columns(items: Sequence[Any]) -> list[str]:
    chosen = next((c for type_, c in _COLUMNS.items() if isinstance(items[0], type_)), None)
    if chosen is None:
        every = dict.fromkeys(name for item in items for name, _ in _fields(item))
        return list(every)
    return [name for name in chosen if any(getattr(i, name, None) is not None for i in items)]


def _cell(item: Any, column: str) -> str:
    value = getattr(item, column, None)
    return _value(column, value) if _is_told(value) else ""


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
    for plan, alike in groupby(zip(_DAYS, map(", ".join, days), strict=True), lambda day: day[1]):
        names = [name for name, _ in alike]
        span = names[0] if len(names) == 1 else f"{names[0]}\N{EN DASH}{names[-1]}"
        yield f"{span}: {plan or 'as before'}"


def _unreadable(unreadable: Sequence[Unreadable]) -> str:
    return "".join(
        f"<div>{_alarm('unreadable')} {_safe(bad.kind)}"
        f"{'' if bad.id is None else f' {bad.id}'}: {_safe(bad.reason)}</div>"
        for bad in unreadable
    )


def _plain(value: Any) -> str:
    """A value other than a model, in words."""
    for type_, words in _WORDS.items():
        if isinstance(value, type_):
            return words(value)
    return "" if value is None else str(value)


def _several(values: Sequence[Any]) -> str:
    between = "\N{EN DASH}" if values and isinstance(values[0], time) else ", "
    return between.join(map(_plain, values))


_WORDS: Final[Mapping[type, Callable[[Any], str]]] = {
    bool: lambda value: "yes" if value else "no",
    DeviceType: lambda value: f"{value.value}, {MODELS[value]}",
    Enum: lambda value: str(value.value),
    datetime: lambda value: f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
    time: lambda value: f"{value:%H:%M}",
    tuple: _several,
    Mapping: lambda value: json.dumps(redact(value), ensure_ascii=False, default=str),
}


def _words(name: str) -> str:
    words = name.replace("_", " ")
    return f"{words.removesuffix(' l')}, L" if words.endswith(" l") else words


def _safe(text: str) -> str:
    return escape(redact_text(text))


def _strong(text: str) -> str:
    return f"<b>{_safe(text)}</b>"


def _pale(text: str) -> str:
    return f'<span style="{_PALE}">{_safe(text)}</span>'


def _together(inside: str) -> str:
    """Keep on one line."""
    return f'<span style="white-space:nowrap">{inside}</span>'


def _alarm(text: str) -> str:
    return f'<span style="{_ALARM}">{_safe(text)}</span>'


def _table(rows: str) -> str:
    return f'<table style="{_TABLE}">{rows}</table>'


def _fold(title: str, inside: str, *, unfolded: bool) -> str:
    return (
        f'<details{" open" if unfolded else ""} style="margin:.2em 0 .2em .2em">'
        f'<summary style="cursor:pointer">{title}</summary>'
        f'<div style="margin-left:1.3em">{inside}</div></details>'
    )
