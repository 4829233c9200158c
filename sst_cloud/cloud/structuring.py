"""Payload → models, by a table of the cloud's keys; `payloads` has what needs more than a key.

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

from sst_cloud import tlv_frame
from sst_cloud.errors import PayloadError
from sst_cloud.models import (
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

from . import payloads
from .device_types import DeviceType, product_name
from .payload_values import MAX_ELEMENTS, Read, whole_number

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

_NOT_FROM_KEYS: Final = frozenset({"raw", "point_id"})
"""Fields that no key of a payload fills, even one of the same name."""
_INT64: Final = 2**63
_MAX_UNREADABLE: Final = 1_000
"""Elements of one list that each get an `Unreadable` of their own."""
_MAX_LOGGED: Final = 1_000


class _Field(NamedTuple):
    name: str
    key: str
    """Its name in the payload."""
    type: Any


class _ModelFields(NamedTuple):
    """The fields of a model that a payload fills."""

    required: Sequence[_Field]
    optional: Mapping[str, _Field]
    """By key."""
    names: frozenset[str]


@cache
def _model_fields(type_: Any) -> _ModelFields:
    keys = next((_KEYS[base] for base in type_.__mro__ if base in _KEYS), {})
    required, optional = [], {}
    for field in attrs.fields(type_):
        model_field = _Field(field.name, keys.get(field.name, field.name), field.type)
        if field.default is attrs.NOTHING:
            required.append(model_field)
        elif field.name not in _NOT_FROM_KEYS:
            optional[model_field.key] = model_field
    names = frozenset(model_field.name for model_field in (*required, *optional.values()))
    return _ModelFields(required, optional, names)


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


def _is_tuple(type_: Any) -> bool:
    return get_origin(type_) is tuple


def _is_union(type_: Any) -> bool:
    return get_origin(type_) is UnionType


@cache
def _union_members(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[type[Enum], ...], bool]:
    """A union's plain types, its enums, and whether it allows None; called for every value.

    Cached by its arms in order, not by the union: `int | str` equals `str | int`.
    """
    members = [member for member in args if member is not type(None)]
    enums = tuple(member for member in members if issubclass(member, Enum))
    return tuple(member for member in members if member not in enums), enums, type(None) in args


def _frame(value: Any, _: object) -> tlv_frame.Frame:
    try:
        return tlv_frame.decode(value)
    except ValueError as error:
        raise _UnreadableValueError(f"not a valid frame: {error}") from None


class Structurer:
    """Turns payloads into models, in any thread; logs an unreadable or unknown value only once."""

    def __init__(self) -> None:
        self._logged: set[tuple[str, str]] = set()
        self._lock = Lock()
        self._converter = converter = cattrs.BaseConverter(detailed_validation=False)
        converter.register_structure_hook(int, _integer)
        converter.register_structure_hook(float, _number)
        converter.register_structure_hook(bool, _boolean)
        converter.register_structure_hook(str, _text)
        converter.register_structure_hook(datetime, _moment)
        converter.register_structure_hook(time, _time_of_day)
        converter.register_structure_hook(tlv_frame.Frame, _frame)
        converter.register_structure_hook_func(_is_tuple, self._tuple)
        converter.register_structure_hook_func(_is_union, self._union)
        converter.register_structure_hook_func(
            lambda type_: isinstance(type_, type) and issubclass(type_, Entity), self._nested_entity
        )

    def one(self, payload: Any, type_: type[E], path: str, **known_fields: Any) -> E:
        """Parse one object; `known_fields` come from the request. Raises `PayloadError`."""
        try:
            return self._object(payload, type_, known_fields)
        except _UnreadableValueError as error:
            raise PayloadError(str(error), path) from None

    def listing(
        self,
        payload: Any,
        type_: type[E],
        path: str,
        *,
        element_fields: Sequence[Mapping[str, Any]] | None = None,
        **known_fields: Any,
    ) -> Listing[E]:
        """Parse a list element by element; `element_fields` holds further fields of each of them.

        Of a list of any length 50 000 elements are read, and 1 000 unreadable ones listed; one
        more `Unreadable` each counts the rest. Raises `PayloadError` only if it is not
        a list.
        """
        if not isinstance(payload, list):
            raise PayloadError("the response is not a list", path)
        kind = type_.__name__.lower()
        items: list[E] = []
        unreadable: list[Unreadable] = []
        more_unreadable = 0
        elements = payload[:MAX_ELEMENTS]
        for element, own_fields in zip(
            elements, element_fields or ({},) * len(elements), strict=True
        ):
            try:
                items.append(self._object(element, type_, {**known_fields, **own_fields}))
            except _UnreadableValueError as error:
                if len(unreadable) == _MAX_UNREADABLE:
                    more_unreadable += 1
                    continue
                entry = Unreadable(kind=kind, id=_id(element), reason=str(error), raw=element)
                unreadable.append(entry)
                self._log_once(path, str(error), "%s %s cannot be read: %s", kind, entry.id, error)
        if more_unreadable:
            reason = f"{more_unreadable} more elements cannot be read"
            unreadable.append(Unreadable(kind=kind, id=None, reason=reason))
        if len(payload) > MAX_ELEMENTS:
            reason = f"only {MAX_ELEMENTS} of {len(payload)} elements were read"
            unreadable.append(Unreadable(kind=kind, id=None, reason=reason))
        return Listing(items, unreadable)

    def _object(self, payload: Any, type_: type[E], known_fields: Mapping[str, Any]) -> E:
        if not isinstance(payload, Mapping):
            raise _UnreadableValueError("not an object")
        if issubclass(type_, Device):
            number = self._required(payload, "type", DeviceType | int)
            type_ = cast(type[E], payloads.device_class(number))
            known_fields = {**known_fields, "model": product_name(number)}
        required, optional, names = _model_fields(cast(Any, type_))
        values: dict[str, Any] = {"raw": payload}
        for name, key, as_type in required:  # first: most of what is unreadable lacks one of them
            if name not in known_fields:
                values[name] = self._required(payload, key, as_type)
        values |= payloads.model_fields(payload, type_, self._lenient_reader(type_))
        values |= {name: known_fields[name] for name in known_fields if name in names}
        for key, value in payload.items():
            if value is None or (field := optional.get(key)) is None or field.name in values:
                continue
            try:
                values[field.name] = self._converter.structure(value, field.type)
            except _UnreadableValueError as error:
                name = type_.__name__
                self._log_once(name, key, "%s.%s is %s; ignored, see raw", name, key, error)
        return type_(**values)

    def _required(self, payload: Mapping[str, Any], key: str, as_type: Any) -> Any:
        value = payload.get(key)
        if value is None:
            raise _UnreadableValueError(f"`{key}` is missing")
        try:
            return self._converter.structure(value, as_type)
        except _UnreadableValueError as error:
            raise _UnreadableValueError(f"`{key}` is {error}") from None

    def _lenient_reader(self, type_: type) -> Read:
        def read(value: Any, as_type: Any) -> Any:
            if value is None:
                return None
            try:
                return self._converter.structure(value, as_type)
            except _UnreadableValueError as error:
                name = getattr(as_type, "__name__", str(as_type))
                self._log_once(type_.__name__, f"{name} {error}", "%s: %s", type_.__name__, error)
                return None

        return read

    def _nested_entity(self, value: Any, type_: type[Entity]) -> Entity:
        return self._object(value, type_, {})

    def _tuple(self, value: Any, type_: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _UnreadableValueError("not a list")
        members = get_args(type_)
        if members[-1] is Ellipsis:
            return tuple(self._converter.structure(item, members[0]) for item in value)
        if len(members) != len(value):
            raise _UnreadableValueError(f"not a list of {len(members)}")
        return tuple(map(self._converter.structure, value, members))

    def _union(self, value: Any, type_: UnionType) -> Any:
        plain_types, enums, optional = _union_members(type_.__args__)
        if value is None:
            if optional:
                return None
            raise _UnreadableValueError("null")
        if type(value) in enums:
            return value
        error = _UnreadableValueError("empty union")
        for member in plain_types:
            try:
                plain = self._converter.structure(value, member)
            except _UnreadableValueError as unreadable:
                error = unreadable
            else:
                return self._as_enum(plain, enums)
        raise error

    def _as_enum(self, value: Any, enums: tuple[type[Enum], ...]) -> Any:
        """The enum's member if there is one; otherwise the value as it is, logged once."""
        for enum in enums:
            try:
                return enum(value)
            except ValueError:
                text = str(value)[:40]
                self._log_once(
                    enum.__name__, text, "unknown %s: %r; kept as it is", enum.__name__, text
                )
        return value

    def _log_once(self, owner: str, problem: str, message: str, *args: object) -> None:
        with self._lock:
            if (owner, problem) in self._logged or len(self._logged) == _MAX_LOGGED:
                return
            self._logged.add((owner, problem))
        _log.info(message, *args)


@cache
def shared_structurer() -> Structurer:
    """That of all clients in this process: for many accounts, too, what is odd is logged once."""
    return Structurer()


def _id(payload: Any) -> int | None:
    try:
        return _integer(payload.get("id"), int)
    except (AttributeError, _UnreadableValueError):
        return None
