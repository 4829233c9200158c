"""The vendor's news."""

from datetime import datetime

from ._base import Entity, model


@model
class News(Entity):
    """An announcement by the vendor."""

    id: int
    title: str | None = None
    body: str | None = None
    published_at: datetime | None = None
