"""The owner of an account."""

from ._base import Entity, model


@model
class Profile(Entity):
    """Personal data of a user."""

    id: int | None = None
    user_id: int | None = None
    phone: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    language: str | None = None
    """`ru` or `en`."""


@model
class User(Entity):
    """The account that is logged in."""

    id: int
    username: str | None = None
    email: str | None = None
    profile: Profile | None = None
