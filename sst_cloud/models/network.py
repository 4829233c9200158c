"""Networks, groups and news: what an account has besides devices."""

from datetime import datetime

from ._base import Entity, model


@model
class Network(Entity):
    """A Wi-Fi network of a house."""

    id: int
    house_id: int
    name: str | None = None
    device_ids: tuple[int, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None


@model
class Group(Entity):
    """A group into which the owner has sorted devices."""

    id: int
    house_id: int
    name: str | None = None


@model
class News(Entity):
    """An announcement by the vendor."""

    id: int
    title: str | None = None
    body: str | None = None
    published_at: datetime | None = None
