"""Payload → models. The one place that knows the cloud's JSON.

Lenient by element and by field: a list loses only its unreadable elements, an object only its
unreadable optional fields. Both remain visible: elements as `Unreadable`, fields in `raw`.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from enum import Enum
from functools import cache
from threading import Lock
from types import UnionType
from typing import Any, Final, NamedTuple, TypeVar, cast, get_args, get_origin

import attrs
import cattrs

from . import frame, shapes
from ._json import whole_number
from .errors import PayloadError
from .models import (
    Counter,
    Device,
    Entity,
    Group,
    Listing,
    Network,
    News,
    Profile,
    TimeSetting,
    Unreadable,
    User,
    Workdays,
)

_log = logging.getLogger(__name__)

E = TypeVar("E", bound=Entity)

_KEYS: Final[Mapping[type, Mapping[str, str]]] = {
    User: {"id": "pk"},
    Profile: {"user_id": "user"},
    Workdays: {"house_id": "house"},
    Device: {"house_id": "house", "group_id": "group", "active_network_id": "active_network"},
    TimeSetting: {"device_id": "device"},
    Network: {"house_id": "house", "device_ids": "devices"},
    Group: {"house_id": "house"},
    News: {"published_at": "pub_date"},
    Counter: {
        "device_id": "device",
        "value_l": "value",
        "step_l": "step",
        "previous_value_l": "prev_value",
        "previous_step_l": "prev_step",
    },
}
"""Field name → the cloud's key, where they differ; subclasses included."""

_INT64: Final = 2**63
_MOST_UNREADABLE: Final = 1_000
"""Elements of one list that each get an `Unreadable` of their own."""
_MOST_LOGGED: Final = 1_000


class _Field(NamedTuple):
    name: str
    key: str
    """Its name in the payload."""
    type: Any


class _Plan(NamedTuple):
    """How a model is filled from a payload."""

    required: Sequence[_Field]
    optional: Mapping[str, _Field]
    """By key."""
    names: frozenset[str]


@cache
def _plan(type_: Any) -> _Plan:
    keys = next((_KEYS[base] for base in type_.__mro__ if base in _KEYS), {})
    required, optional = [], {}
    for field in attrs.fields(type_):
        known = _Field(field.name, keys.get(field.name, field.name), field.type)
        if field.default is attrs.NOTHING:
            required.append(known)
        elif field.name != "raw":
            optional[known.key] = known
    names = frozenset(known.name for known in (*required, *optional.values()))
    return _Plan(required, optional, names)


class _UnreadableValueError(ValueError):
    """A value that its field cannot hold. The message never contains the value."""


def _integer(value: Any, _: object) -> int:
    number = whole_number(value)
    if number is None:
        raise _UnreadableValueError("not a whole number")
    if not -_INT64 <= number < _INT64:
        raise _UnreadableValueError("number out of range")
    return number


def _number(value: Any, _: object) -> float:
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            number = float(value)
            if math.isfinite(number):
                return number
    except (ValueError, OverflowError):
        pass
    raise _UnreadableValueError("not a number")


def _boolean(value: Any, _: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise _UnreadableValueError("neither true nor false")


def _text(value: Any, _: object) -> str:
    if not isinstance(value, str):
        raise _UnreadableValueError("not text")
    return value.encode("utf-8", "replace").decode()


def _moment(value: Any, _: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise _UnreadableValueError("not an ISO 8601 time") from None


def _time_of_day(value: Any, _: object) -> time:
    try:
        return time.fromisoformat(value)
    except (TypeError, ValueError):
        raise _UnreadableValueError("not a time of day") from None


def _mapping(value: Any, _: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _UnreadableValueError("not an object")
    return value


def _is_mapping(type_: Any) -> bool:
    return get_origin(type_) is Mapping


def _is_tuple(type_: Any) -> bool:
    return get_origin(type_) is tuple


def _is_union(type_: Any) -> bool:
    return get_origin(type_) is UnionType


@cache
def _arms(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[type[Enum], ...], bool]:
    """A union's plain types, its enums, and whether it allows None; called for every value.

    Cached by its arms in order, not by the union: `int | str` equals `str | int`.
    """
    arms = [arm for arm in args if arm is not type(None)]
    enums = tuple(arm for arm in arms if issubclass(arm, Enum))
    return tuple(arm for arm in arms if arm not in enums), enums, type(None) in args


def _frame(value: Any, _: object) -> frame.Frame:
    try:
        return frame.decode(value)
    except ValueError as error:
        raise _UnreadableValueError(f"not a valid frame: {error}") from None


class Structurer:
    """Turns payloads into models, in any thread; logs each surprise only once."""

    def __init__(self) -> None:
        self._logged: set[tuple[str, str]] = set()
        self._lock = Lock()
        self._converter = converter = cattrs.Converter(detailed_validation=False)
        converter.register_structure_hook(int, _integer)
        converter.register_structure_hook(float, _number)
        converter.register_structure_hook(bool, _boolean)
        converter.register_structure_hook(str, _text)
        converter.register_structure_hook(datetime, _moment)
        converter.register_structure_hook(time, _time_of_day)
        converter.register_structure_hook(frame.Frame, _frame)
        converter.register_structure_hook_func(_is_mapping, _mapping)
        converter.register_structure_hook_func(_is_tuple, self._tuple)
        converter.register_structure_hook_func(_is_union, self._union)
        converter.register_structure_hook_func(
            lambda type_: isinstance(type_, type) and issubclass(type_, Entity), self._entity
        )

    def one(self, payload: Any, type_: type[E], path: str, **given: Any) -> E:
        """Parse one object; `given` are fields known from the request. Raises `PayloadError`."""
        try:
            return self._object(payload, type_, given)
        except _UnreadableValueError as error:
            raise PayloadError(str(error), path) from None

    def listing(
        self,
        payload: Any,
        type_: type[E],
        path: str,
        *,
        each: Sequence[Mapping[str, Any]] | None = None,
        **given: Any,
    ) -> Listing[E]:
        """Parse a list element by element; `each` holds fields given for each of them.

        Of a list of any length 50 000 elements are read, and 1 000 unreadable ones listed; one
        more `Unreadable` each has the number of the rest. Raises `PayloadError` only if it is not
        a list.
        """
        if not isinstance(payload, list):
            raise PayloadError("the response is not a list", path)
        kind = type_.__name__.lower()
        items: list[E] = []
        unreadable: list[Unreadable] = []
        beyond = 0
        elements = payload[: shapes.LONGEST]
        for element, own in zip(elements, each or ({},) * len(elements), strict=True):
            try:
                items.append(self._object(element, type_, {**given, **own}))
            except _UnreadableValueError as error:
                if len(unreadable) == _MOST_UNREADABLE:
                    beyond += 1
                    continue
                bad = Unreadable(kind=kind, id=_id(element), reason=str(error), raw=element)
                unreadable.append(bad)
                self._once(path, str(error), "%s %s cannot be read: %s", kind, bad.id, error)
        if beyond:
            reason = f"{beyond} more elements cannot be read"
            unreadable.append(Unreadable(kind=kind, id=None, reason=reason))
        if len(payload) > shapes.LONGEST:
            reason = f"only {shapes.LONGEST} of {len(payload)} elements were read"
            unreadable.append(Unreadable(kind=kind, id=None, reason=reason))
        return Listing(items, unreadable)

    def _object(self, payload: Any, type_: type[E], given: Mapping[str, Any]) -> E:
        if not isinstance(payload, Mapping):
            raise _UnreadableValueError("not an object")
        if issubclass(type_, Device):
            type_ = cast(type[E], shapes.device_class(payload.get("type")))
        required, optional, names = _plan(cast(Any, type_))
        values: dict[str, Any] = {"raw": payload}
        for name, key, as_type in required:  # first: most of what is unreadable lacks one of them
            if name in given:
                continue
            value = payload.get(key)
            if value is None:
                raise _UnreadableValueError(f"`{key}` is missing")
            try:
                values[name] = self._converter.structure(value, as_type)
            except _UnreadableValueError as error:
                raise _UnreadableValueError(f"`{key}` is {error}") from None
        values |= shapes.fields(payload, type_, self._lenient(type_))
        values |= {name: given[name] for name in given if name in names}
        for key, value in payload.items():
            if value is None or (field := optional.get(key)) is None or field.name in values:
                continue
            try:
                values[field.name] = self._converter.structure(value, field.type)
            except _UnreadableValueError as error:
                name = type_.__name__
                self._once(name, key, "%s.%s is %s; ignored, see raw", name, key, error)
        return type_(**values)

    def _lenient(self, type_: type) -> shapes.Read:
        def read(value: Any, as_type: Any) -> Any:
            if value is None:
                return None
            try:
                return self._converter.structure(value, as_type)
            except _UnreadableValueError as error:
                name = getattr(as_type, "__name__", str(as_type))
                self._once(type_.__name__, f"{name} {error}", "%s: %s", type_.__name__, error)
                return None

        return read

    def _entity(self, value: Any, type_: type[Entity]) -> Entity:
        return self._object(value, type_, {})

    def _tuple(self, value: Any, type_: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _UnreadableValueError("not a list")
        arms = get_args(type_)
        if arms[-1] is Ellipsis:
            return tuple(self._converter.structure(item, arms[0]) for item in value)
        if len(arms) != len(value):
            raise _UnreadableValueError(f"not a list of {len(arms)}")
        return tuple(map(self._converter.structure, value, arms))

    def _union(self, value: Any, type_: UnionType) -> Any:
        plain_types, enums, optional = _arms(type_.__args__)
        if value is None:
            if optional:
                return None
            raise _UnreadableValueError("null")
        if type(value) in enums:
            return value
        error = _UnreadableValueError("empty union")
        for arm in plain_types:
            try:
                plain = self._converter.structure(value, arm)
            except _UnreadableValueError as unreadable:
                error = unreadable
            else:
                return self._known(plain, enums)
        raise error

    def _known(self, value: Any, enums: tuple[type[Enum], ...]) -> Any:
        """The enum's member if there is one; otherwise the value as it is, logged once."""
        for enum in enums:
            try:
                return enum(value)
            except ValueError:
                text = str(value)[:40]
                self._once(
                    enum.__name__, text, "unknown %s: %r; kept as it is", enum.__name__, text
                )
        return value

    def _once(self, where: str, what: str, message: str, *args: object) -> None:
        with self._lock:
            if (where, what) in self._logged or len(self._logged) == _MOST_LOGGED:
                return
            self._logged.add((where, what))
        _log.info(message, *args)


def _id(payload: Any) -> int | None:
    try:
        return _integer(payload.get("id"), int)
    except (AttributeError, _UnreadableValueError):
        return None
