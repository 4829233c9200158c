"""Reading JSON as this API sends it."""

import json
import re
from typing import Any, Final

_WHOLE: Final = re.compile(r"\s*[+-]?\d{1,19}\s*")
_MAX_DEPTH: Final = 100
"""Levels of nesting. Known payloads have at most ten; whoever walks one may use recursion."""


def loads(text: str | bytes) -> Any:
    """Read JSON; NaN and the infinities, which are not JSON, read as null.

    Raises ValueError, also for more than a hundred levels of nesting.
    """
    try:
        content = json.loads(text, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    if _is_deep(content):
        raise ValueError("the JSON is nested too deeply")
    return content


def _is_deep(content: Any) -> bool:
    """Whether there are more than `_MAX_DEPTH` levels; walks them one by one, not recursively."""
    level = [content]
    for _ in range(_MAX_DEPTH + 1):
        level = [item for item in level if isinstance(item, list | dict)]
        if not level:
            return False
        level = [
            child for item in level for child in (item.values() if isinstance(item, dict) else item)
        ]
    return True


def whole_number(value: Any) -> int | None:
    """A whole number, however it is written: 3, 3.0, "3". None for anything else."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
