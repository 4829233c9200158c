"""Groups of devices."""

from ._base import Entity, model


@model
class Group(Entity):
    """A group into which the owner has sorted devices."""

    id: int
    house_id: int
    name: str | None = None
