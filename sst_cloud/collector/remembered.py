"""What is remembered as JSON is read row by row: one that another version wrote costs no other."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

T = TypeVar("T")

_UNREADABLE: Final = (ValueError, TypeError, LookupError, AttributeError, OverflowError)


def opened(text: str) -> Any:
    """The JSON of a text; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def readable(read: Callable[[Any], T], rows: Any) -> Iterator[T]:
    """What can be read of some rows."""
    for row in rows if isinstance(rows, list) else ():
        try:
            found = read(row)
        except _UNREADABLE:
            continue
        yield found


def moment(text: str | None) -> datetime | None:
    """A time as `format_time` wrote it, or None."""
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
