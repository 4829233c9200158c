"""Networks, groups and news: what the account holds besides devices."""

from datetime import datetime

from ._base import Entity, model


@model
class Network(Entity):
    """A WiFi network that devices of a house are in."""

    id: int
    house_id: int
    name: str | None = None
    device_ids: tuple[int, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None


@model
class Group(Entity):
    """A group that the owner has put devices in."""

    id: int
    house_id: int
    name: str | None = None


@model
class News(Entity):
    """Something the vendor has to say."""

    id: int
    title: str | None = None
    body: str | None = None
    published_at: datetime | None = None
