"""The Wi-Fi networks of a house."""

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
