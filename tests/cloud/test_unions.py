"""A value of several possible types is read as the first that fits."""

from typing import Any

import pytest

from sst_cloud import DeviceType
from sst_cloud.cloud.structuring import Structurer
from sst_cloud.models._base import Entity, model


@model
class NumberFirst(Entity):
    x: int | str


@model
class TextFirst(Entity):
    x: str | int


@model
class Optional(Entity):
    x: DeviceType | int | None = None


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        (NumberFirst, "5", 5),
        (TextFirst, "5", "5"),
        (NumberFirst, "five", "five"),
        (TextFirst, 5, 5),
        (Optional, 6, DeviceType(6)),
        (Optional, 999, 999),
        (Optional, "999", 999),
        (Optional, None, None),
        (Optional, "none", None),
    ],
)
def test_union_value_is_read_as_the_first_matching_type(
    type_: Any, value: object, expected: object
) -> None:
    structurer = Structurer()
    for _ in range(2):
        x = structurer.one({"x": value}, type_, "/x/").x
        assert x == expected
        assert type(x) is type(expected)
