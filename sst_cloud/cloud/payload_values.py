"""Values in payloads of any device, read leniently: what cannot be read is None or empty."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sst_cloud.bounded_json import loads
from sst_cloud.enums import (
    LineKind,
)
from sst_cloud.models import (
    WiredLine,
)

Read = Callable[[Any, Any], Any]
"""Reads a value as a type: (value, type) → the value as that type, or None."""
_FLAGS: Final = {
    **dict.fromkeys(("yes", "on", "true", "selected", "blocked"), True),
    **dict.fromkeys(("no", "off", "false", "unselected", "unblocked"), False),
}
MAX_ELEMENTS: Final = 50_000
"""Elements of one list that are read: a thousand times as many as any house has."""


def flag(value: Any) -> bool | None:
    """Parse the cloud's many words for yes and no."""
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    return _FLAGS.get(value.lower()) if isinstance(value, str) else None


def parse_embedded_json(value: Any) -> Mapping[str, Any]:
    """Parse JSON that the cloud keeps in a string. If empty or malformed, an empty mapping."""
    if isinstance(value, str):
        try:
            value = loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}


def mapping_or_empty(value: Any) -> Mapping[str, Any]:
    """The value if it is a JSON object, otherwise an empty mapping."""
    return value if isinstance(value, Mapping) else {}


def wired_lines(
    payload: Mapping[str, Any], statuses: Any, kinds: Any, read: Read
) -> tuple[WiredLine, ...]:
    """Lines in the order of their JSON; names are matched by position, as far as they go."""
    names = payload.get("line_names")
    names = names if isinstance(names, list) else []
    kinds, statuses = mapping_or_empty(kinds), mapping_or_empty(statuses)
    point_ids = unique_names([read(key, str) or "" for key in statuses])
    lines = []
    for number, ((key, status), point_id) in enumerate(
        zip(statuses.items(), point_ids, strict=True), start=1
    ):
        kind = read(kinds.get(key), LineKind | str)
        line = WiredLine(
            point_id=point_id,
            number=number,
            name=read(names[number - 1], str) or None if number <= len(names) else None,
            leak=None if kind is LineKind.COUNTER else flag(status),
            kind=kind,
        )
        lines.append(line)
    return tuple(lines)


def unique_names(names: Sequence[str]) -> list[str]:
    """The names, with `#2`, `#3` … added to duplicates unless that name is taken."""
    used_names, last_numbers = set(names), dict[str, int]()
    result = []
    for name in names:
        number, candidate = last_numbers.get(name, 0) + 1, name
        while number > 1 and (candidate := f"{name}#{number}") in used_names:
            number += 1
        last_numbers[name] = number  # all numbers up to here are taken: none is tried twice
        used_names.add(candidate)
        result.append(candidate)
    return result


def id_text(value: Any) -> str:
    """A line or a name as part of an id; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    text = str(value)[:100] if isinstance(value, str) or abs(value) < 2**63 else ""
    return text.encode("utf-8", "replace").decode()
