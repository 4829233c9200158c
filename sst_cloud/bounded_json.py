"""Reading JSON from outside: nesting is bounded, NaN and the infinities read as null."""

import json
from typing import Any, Final

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
