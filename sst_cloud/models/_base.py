"""What all models share: frozen, slotted, keyword-only, with the raw payload."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, dataclass_transform

import attrs

from sst_cloud.redaction import MASK, is_sensitive

from ._notebook import NotebookView

T = TypeVar("T")


def _repr(self: Any) -> str:
    """As attrs writes it, but with sensitive fields masked."""
    values = {f.name: getattr(self, f.name) for f in attrs.fields(type(self)) if f.repr}
    parts = (
        f"{name}={MASK if value and is_sensitive(name) else value!r}"
        for name, value in values.items()
    )
    return f"{type(self).__name__}({', '.join(parts)})"


def _compared(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, field.name) for field in attrs.fields(type(self)) if field.eq)


def _eq(self: Any, other: object) -> bool:
    return type(other) is type(self) and _compared(self) == _compared(other)


def _hash(self: Any) -> int:
    return hash(_compared(self))


_SHARED: Final = {"__repr__": _repr, "__eq__": _eq, "__hash__": _hash}
"""attrs would compile them for every class: a third of the time of importing the models."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(attrs.field,))
def model(cls: type[T]) -> type[T]:
    """Make a class a model. Sensitive fields are masked in its repr."""
    for name, method in _SHARED.items():
        setattr(cls, name, method)
    freeze: Callable[[type[T]], type[T]] = attrs.frozen(kw_only=True, repr=False, eq=False)
    return freeze(cls)


def changed(item: T, **fields: Any) -> T:
    """A copy with some fields changed."""
    copy: T = attrs.evolve(item, **fields)  # type: ignore[misc]  # `model` hides attrs
    return copy


@model
class Entity(NotebookView):
    """An object of a source; `raw` is its original payload, including unknown fields."""

    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, eq=False)
