"""Parses stored state row by row: a row from another version does not invalidate the rest."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from sst_cloud.bounded_json import loads

T = TypeVar("T")

_UNREADABLE: Final = (ValueError, TypeError, LookupError, AttributeError, OverflowError)


def parse(text: str) -> Any:
    """Parse JSON; None if it is invalid."""
    try:
        return loads(text)
    except ValueError:
        return None


def parse_rows(read: Callable[[Any], T], rows: Any) -> Iterator[T]:
    """The rows that can be parsed."""
    for row in rows if isinstance(rows, list) else ():
        try:
            parsed = read(row)
        except _UNREADABLE:
            continue
        yield parsed


def parse_time(text: str | None) -> datetime | None:
    """A time written by `format_time`, or None."""
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
