"""Values in payloads of any device, read leniently: what cannot be read is None or empty."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sst_cloud.bounded_json import loads

Read = Callable[[Any, Any], Any]
"""Reads a value as a type: (value, type) → the value as that type, or None."""
_FLAGS: Final = {
    **dict.fromkeys(("yes", "on", "true", "selected", "blocked"), True),
    **dict.fromkeys(("no", "off", "false", "unselected", "unblocked"), False),
}
_WHOLE: Final = re.compile(r"\s*[+-]?\d{1,19}\s*")
MAX_ELEMENTS: Final = 50_000
"""Elements of one list that are read: a thousand times as many as any house has."""


def whole_number(value: Any) -> int | None:
    """A whole number, however it is written: 3, 3.0, "3". None for anything else."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


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
