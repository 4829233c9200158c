"""What all models share: frozen, slotted, keyword-only, with the raw payload."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, dataclass_transform

import attrs

from sst_cloud.redaction import MASK, is_sensitive

from ._notebook import NotebookView

T = TypeVar("T")


def _masked_repr(value: object) -> str:
    return repr(MASK if value else value)


def _mask_sensitive(
    _cls: type, fields: "list[attrs.Attribute[Any]]"
) -> "list[attrs.Attribute[Any]]":
    return [
        field.evolve(repr=_masked_repr) if field.repr and is_sensitive(field.name) else field
        for field in fields
    ]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(attrs.field,))
def model(cls: type[T]) -> type[T]:
    """Make a class a model. Sensitive fields are masked in its repr."""
    freeze: Callable[[type[T]], type[T]] = attrs.frozen(
        kw_only=True, field_transformer=_mask_sensitive
    )
    return freeze(cls)


def changed(item: T, **fields: Any) -> T:
    """A copy with some fields changed."""
    copy: T = attrs.evolve(item, **fields)  # type: ignore[misc]  # `model` hides attrs
    return copy


@model
class Entity(NotebookView):
    """An object of a source; `raw` is its original payload, including unknown fields."""

    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, eq=False)
