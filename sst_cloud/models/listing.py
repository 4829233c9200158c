"""Lists that also keep track of what could not be read."""

from collections.abc import Iterable
from itertools import chain
from typing import Any, Generic, TypeVar

import attrs

from ._base import model
from ._notebook import NotebookView

T = TypeVar("T")


@model
class Unreadable:
    """Something that could not be read, with the reason."""

    kind: str
    """`house`, `device`, `counter`, or the plural if a whole list is missing."""
    id: int | None
    """Its id; if a whole list is missing, the id of what the list belongs to. None if it has none,
    and for the rest of a long list."""
    reason: str
    error: Exception | None = attrs.field(default=None, repr=False, eq=False)
    """The error, if the request failed."""
    raw: Any = attrs.field(default=None, repr=False, eq=False)


class Listing(NotebookView, list[T], Generic[T]):
    """A list of what could be read; `unreadable` has the rest."""

    unreadable: tuple[Unreadable, ...]

    def __init__(self, items: Iterable[T] = (), unreadable: Iterable[Unreadable] = ()) -> None:
        super().__init__(items)
        self.unreadable = tuple(unreadable)

    @classmethod
    def joined(cls, listings: "Iterable[Listing[T]]") -> "Listing[T]":
        """Concatenate several lists."""
        parts = list(listings)
        unreadable = chain.from_iterable(listing.unreadable for listing in parts)
        return cls(chain.from_iterable(parts), unreadable)
