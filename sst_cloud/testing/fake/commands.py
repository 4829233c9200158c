"""The commands that the fake cloud accepts: for which devices, with which fields and values.

How the real cloud responds to an invalid value is not recorded; the bodies here are those that
Django REST framework sends for such fields. Unknown fields are ignored.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol, cast

import attrs

from sst_cloud.cloud.device_types import DeviceType

from .device import PROW, THERMOSTATS, Change, State
from .leak_module import FakeModule
from .thermostat import FakeThermostat

Body = Mapping[str, Any]
_SMART: Final = frozenset({DeviceType.NEPTUN_SMART})
_ECOSMART: Final = frozenset({DeviceType.ECOSMART_25})


class InvalidError(Exception):
    """A value that the cloud does not accept; the argument is the body of the 400."""


class Field(Protocol):
    """Parses a field. Raises `InvalidError` with the messages."""

    def __call__(self, value: Any) -> Any:
        """The value."""
        ...


@attrs.frozen
class Choice:
    """One of a set of words."""

    choices: tuple[str, ...]

    def __call__(self, value: Any) -> str:
        """The word."""
        if value not in self.choices:
            raise InvalidError([f'"{value}" is not a valid choice.'])
        return cast(str, value)


@attrs.frozen
class Whole:
    """A whole number within limits, also as text or as a number ending in `.0`."""

    minimum: int
    maximum: int

    def __call__(self, value: Any) -> int:
        """The number."""
        text = re.sub(r"\.0*\s*$", "", str(value))
        if isinstance(value, bool) or not re.fullmatch(r"\s*[+-]?[0-9]{1,9}", text):
            raise InvalidError(["A valid integer is required."])
        number = int(text)
        if number < self.minimum:
            raise InvalidError([f"Ensure this value is greater than or equal to {self.minimum}."])
        if number > self.maximum:
            raise InvalidError([f"Ensure this value is less than or equal to {self.maximum}."])
        return number


@attrs.frozen
class Fields:
    """An object with some of these fields, including all required ones."""

    fields: Mapping[str, Field]
    required: bool = False

    def __call__(self, value: Any) -> dict[str, Any]:
        """The values of the known fields."""
        if not isinstance(value, Mapping):
            kind = type(value).__name__
            message = f"Invalid data. Expected a dictionary, but got {kind}."
            raise InvalidError({"non_field_errors": [message]})
        values: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for name, field in self.fields.items():
            try:
                if name in value:
                    values[name] = _parse_not_null(field, value[name])
            except InvalidError as error:
                errors[name] = error.args[0]
            if self.required and name not in value:
                errors[name] = ["This field is required."]
        if errors:
            raise InvalidError(errors)
        if not values:
            names = ", ".join(self.fields)
            raise InvalidError({"non_field_errors": [f"None of these fields is given: {names}."]})
        return values


def _parse_not_null(field: Field, value: Any) -> Any:
    if value is None:
        raise InvalidError(["This field may not be null."])
    return field(value)


@attrs.frozen
class Command:
    """A command: its method, the device types that support it, its fields and its effect."""

    method: str
    types: frozenset[int]
    fields: Fields
    apply: Callable[[Any, dict[str, Any]], None]
    """Changes the state of a module or thermostat."""

    def read(self, body: Body) -> tuple[dict[str, Any], Change]:
        """The values and the change they make. Raises `InvalidError`."""
        values = self.fields(body)
        return values, partial(self._change, values)

    def _change(self, values: dict[str, Any], state: State) -> None:
        self.apply(state, values)


def _set_prow_valves(module: FakeModule, values: dict[str, Any]) -> None:
    module.set_valves(1, opened=values["valve_settings"] == "opened")


def _set_washing(module: FakeModule, values: dict[str, Any]) -> None:
    module.washing = values["dry_flag"] == "on"


def _set_module(module: FakeModule, values: dict[str, Any]) -> None:
    """As the module does: with one group, valves are ignored unless both groups are sent."""
    if "washing_floors_mode" in values:
        module.washing = values["washing_floors_mode"] == "on"
    config = values.get("module_config", {})
    valves = {
        group: config[key] == "opened"
        for group, key in ((1, "first_group_valves_state"), (2, "second_group_valves_state"))
        if key in config
    }
    if module.two_groups or len(valves) == 2:
        module.opened.update(valves)


def _set_thermostat(thermostat: FakeThermostat, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if name == "status":
            thermostat.on = value == "on"
        else:
            setattr(thermostat, _THERMOSTAT_ATTRIBUTES[name], value)


_THERMOSTAT_ATTRIBUTES: Final = {
    "mode": "mode",
    "bright": "bright",
    "temperature_manual": "manual",
    "temperature_air": "air_limit",
    "temperature_correction_air": "correction",
    "temperature_vacation": "vacation",
    "temperature_love": "love",
    "curr_temperature": "curr",
}
_VALVE_STATE: Final = Choice(("opened", "closed"))
_SWITCH: Final = Choice(("on", "off"))
_TARGET: Final = Whole(12, 45)
"""The limits used by a client for the vendor's thermostats."""

COMMANDS: Final = {
    "valve_settings": Command(
        "POST", PROW, Fields({"valve_settings": _VALVE_STATE}, required=True), _set_prow_valves
    ),
    "dry_flag": Command("POST", PROW, Fields({"dry_flag": _SWITCH}, required=True), _set_washing),
    "module_settings": Command(
        "PATCH",
        _SMART,
        Fields(
            {
                "module_config": Fields(
                    {
                        "first_group_valves_state": _VALVE_STATE,
                        "second_group_valves_state": _VALVE_STATE,
                    }
                ),
                "washing_floors_mode": _SWITCH,
            }
        ),
        _set_module,
    ),
    "temperature": Command(
        "POST",
        THERMOSTATS,
        Fields(
            {
                "temperature_manual": _TARGET,
                "temperature_air": Whole(5, 60),
                "temperature_correction_air": Whole(-10, 10),
                "temperature_vacation": Whole(5, 45),
                "temperature_love": _TARGET,
                "curr_temperature": Whole(5, 60),
            }
        ),
        _set_thermostat,
    ),
    "status": Command(
        "POST", THERMOSTATS, Fields({"status": _SWITCH}, required=True), _set_thermostat
    ),
    "mode": Command(
        "POST",
        THERMOSTATS,
        Fields({"mode": Choice(("manual", "chart"))}, required=True),
        _set_thermostat,
    ),
    "bright": Command(
        "POST", _ECOSMART, Fields({"bright": Whole(0, 9)}, required=True), _set_thermostat
    ),
}
"""Last part of the path → command. For other device types each one is a 404."""


def nested_fields(form: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a form, in which dots stand for nested objects."""
    body: dict[str, Any] = {}
    for name, value in form.items():
        outer, dot, inner = name.partition(".")
        if dot:
            body.setdefault(outer, {})[inner] = value
        else:
            body[name] = value
    return body
