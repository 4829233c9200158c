"""Readings as a pandas or polars data frame. Neither is imported until a frame is made."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from sst_cloud.enums import Point, Quality, Water
from sst_cloud.extraction import readings_from
from sst_cloud.extras import require
from sst_cloud.models import Snapshot
from sst_cloud.quantities import Quantity
from sst_cloud.readings import FIELDS, Reading, plain_fields

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Library = Literal["pandas", "polars"]

_LIBRARIES: Final = ("pandas", "polars")
"""In order of preference."""
_ENUMS: Final[Mapping[str, type[StrEnum]]] = {
    "quantity": Quantity,
    "point": Point,
    "water": Water,
    "quality": Quality,
}
_EMPTY: Final[Mapping[str, Sequence[Any]]] = dict.fromkeys(FIELDS, ())
_INTEGER_FIELDS: Final = frozenset({"house_id", "device_id"})


@overload
def readings_frame(
    readings: Snapshot | Iterable[Reading], *, library: Literal["pandas"]
) -> "pd.DataFrame": ...
@overload
def readings_frame(
    readings: Snapshot | Iterable[Reading], *, library: Literal["polars"]
) -> "pl.DataFrame": ...
@overload
def readings_frame(readings: Snapshot | Iterable[Reading], *, library: None = None) -> Any: ...


def readings_frame(
    readings: Snapshot | Iterable[Reading], *, library: Library | None = None
) -> Any:
    """A data frame with a row for each reading and a column for each of its keys, in order.

    The readings may be those of a snapshot. Uses pandas if it is installed, otherwise polars,
    unless `library` names one of them.

    * `time` is in UTC; `quantity`, `point`, `water` and `quality` are categoricals with all their
      possible values; ids are integers, and so is `line`, which may be missing.
    * `value` is boolean if all values are, an integer if all are whole, otherwise a float. With
      mixed quantities, True becomes 1 and False 0: filter by `quantity` first.

    Raises ModuleNotFoundError, with what to install, if the library is missing.
    """
    names, make_frame = _import_library(library)
    if isinstance(readings, Snapshot):
        readings = readings_from(readings)
    rows = list(map(plain_fields, readings))
    columns = dict(zip(FIELDS, zip(*rows, strict=True), strict=True)) if rows else _EMPTY
    return make_frame(names, columns)


def _import_library(
    library: str | None,
) -> tuple[Any, Callable[[Any, Mapping[str, Sequence[Any]]], Any]]:
    """The named library, or the first one installed, and the function that makes its frames."""
    if library is not None and library not in _LIBRARIES:
        raise ValueError(f"library must be 'pandas' or 'polars', not {library!r}")
    name = library or next(filter(find_spec, _LIBRARIES), _LIBRARIES[0])
    require("a data frame", name, extra="notebook" if name == "pandas" else "")
    return import_module(name), _pandas if name == "pandas" else _polars


def _value_type(values: Sequence[Any]) -> str:
    """The narrowest type that holds all the values."""
    types = set(map(type, values))
    if types == {bool}:
        return "bool"
    return "int64" if types and types <= {int, bool} else "float64"


def _pandas(pd: Any, columns: Mapping[str, Sequence[Any]]) -> Any:
    def series(field: str, values: Sequence[Any]) -> Any:
        if field == "time":  # not nanoseconds, which run out in 2262
            return pd.Series(pd.DatetimeIndex(values, dtype="datetime64[us, UTC]"))
        if field in _ENUMS:
            return pd.Series(pd.Categorical(values, categories=[str(e) for e in _ENUMS[field]]))
        if field == "value":
            return pd.Series(values, dtype=_value_type(values))
        dtype = "int64" if field in _INTEGER_FIELDS else "Int64" if field == "line" else "string"
        return pd.Series(values, dtype=dtype)

    return pd.DataFrame({field: series(field, values) for field, values in columns.items()})


def _polars(pl: Any, columns: Mapping[str, Sequence[Any]]) -> Any:
    numbers = {"bool": pl.Boolean, "int64": pl.Int64, "float64": pl.Float64}

    def series(field: str, values: Sequence[Any]) -> Any:
        if field == "time":
            return pl.Series(field, values, dtype=pl.Datetime("us", "UTC"))
        if field in _ENUMS:
            return pl.Series(field, values, dtype=pl.Enum([str(e) for e in _ENUMS[field]]))
        if field == "value":
            dtype = numbers[_value_type(values)]
            return pl.Series(field, values, dtype=dtype, strict=False)
        dtype = pl.Int64 if field in _INTEGER_FIELDS or field == "line" else pl.String
        return pl.Series(field, values, dtype=dtype)

    return pl.DataFrame([series(field, values) for field, values in columns.items()])
