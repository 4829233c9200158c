"""What each command sends to which device, what it refuses, and how to tell that it worked."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from sst_cloud.controls import (
    MAX_BRIGHTNESS,
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    as_leak_module,
    as_thermostat,
    describe,
)
from sst_cloud.enums import Grouping, ThermostatMode, ValveState
from sst_cloud.errors import CommandError
from sst_cloud.models import Device, NeptunSmart

from .device_types import DeviceType, product_name


@attrs.frozen
class Command:
    """One request, and how to tell that the device has carried it out."""

    device: Device
    method: str
    page: str
    body: Mapping[str, Any]
    is_in_effect: Callable[[Device], bool]
    opens_valves: bool = False
    """Whether water may flow afterwards."""

    @property
    def path(self) -> str:
        """The path of the request."""
        return f"/houses/{self.device.house_id:d}/devices/{self.device.id:d}/{self.page}/"


def _on_off(on: bool) -> str:  # noqa: FBT001
    if not isinstance(on, bool):  # "off" would be taken for on
        raise CommandError(f"a switch must be True or False, not {on!r}")
    return "on" if on else "off"


def set_valves(module: Device, state: ValveState, group: int | None) -> Command:
    """Open or close the valves of one zone, or of all."""
    module = as_leak_module(module)
    if state not in tuple(ValveState):
        raise CommandError(f"valves can be set to opened or closed, not {state!r}")
    state = ValveState(state)
    if group not in (None, 1, 2):
        raise CommandError(f"there is no valve group {group}: use 1 or 2, or omit it for all")
    groups: tuple[int, ...] = (1,)
    method, page = "POST", "valve_settings"
    body: Mapping[str, Any] = {"valve_settings": state.value}
    if isinstance(module, NeptunSmart):
        groups = _groups_to_set(module, group)
        names = {1: "first_group_valves_state", 2: "second_group_valves_state"}
        method, page = "PATCH", "module_settings"
        body = {"module_config": {names[number]: state.value for number in groups}}
    elif group == 2:
        raise CommandError(f"{describe(module)} has only one zone: omit the group")

    def is_in_effect(device: Device) -> bool:
        states = {g.number: g.state for g in getattr(device, "valve_groups", ())}
        return all(states.get(number, state) == state for number in groups) and bool(states)

    return Command(
        module, method, page, body, is_in_effect, opens_valves=state is ValveState.OPENED
    )


def _groups_to_set(module: NeptunSmart, group: int | None) -> tuple[int, ...]:
    """With joined zones, a Neptun Smart ignores the command unless both groups are sent."""
    if group is None:
        return (1, 2)
    if module.grouping is Grouping.TWO_GROUPS:
        return (group,)
    if module.grouping is Grouping.ONE_GROUP and group == 1:
        return (1, 2)
    raise CommandError(f"the zones of {describe(module)} are joined: omit the group")


def set_floor_washing(module: Device, *, on: bool) -> Command:
    """Switch the mode in which a wet floor closes no valves."""
    module = as_leak_module(module)
    smart = isinstance(module, NeptunSmart)

    def is_in_effect(device: Device) -> bool:
        return getattr(device, "floor_washing", None) is on

    if smart:
        return Command(
            module, "PATCH", "module_settings", {"washing_floors_mode": _on_off(on)}, is_in_effect
        )
    return Command(module, "POST", "dry_flag", {"dry_flag": _on_off(on)}, is_in_effect)


def set_power(thermostat: Device, *, on: bool) -> Command:
    """Switch on or off."""
    thermostat = as_thermostat(thermostat)
    body = {"status": _on_off(on)}
    return Command(thermostat, "POST", "status", body, lambda d: getattr(d, "is_on", None) is on)


def set_mode(thermostat: Device, mode: ThermostatMode) -> Command:
    """Manual, or by schedule."""
    thermostat = as_thermostat(thermostat)
    try:
        mode = ThermostatMode(mode)
    except ValueError:
        raise CommandError(f"a thermostat's mode must be manual or chart, not {mode!r}") from None
    body = {"mode": mode.value}
    return Command(thermostat, "POST", "mode", body, lambda d: getattr(d, "mode", None) is mode)


def set_target_temperature(thermostat: Device, celsius: float) -> Command:
    """Set the target of manual mode."""
    thermostat = as_thermostat(thermostat)
    if isinstance(celsius, bool) or not float(celsius).is_integer():
        raise CommandError(f"a target temperature must be in whole degrees Celsius, not {celsius}")
    if not MIN_TEMPERATURE <= celsius <= MAX_TEMPERATURE:
        raise CommandError(
            f"a target temperature must be {MIN_TEMPERATURE} to {MAX_TEMPERATURE} degrees Celsius, "
            f"not {celsius:g}"
        )
    target = int(celsius)
    return Command(
        thermostat,
        "POST",
        "temperature",
        {"temperature_manual": target},
        lambda device: getattr(device, "manual_temperature", None) == target,
    )


def set_brightness(thermostat: Device, level: int) -> Command:
    """Set the brightness of the display."""
    if thermostat.model != product_name(DeviceType.ECOSMART_25):
        raise CommandError(
            f"{describe(thermostat)} has no brightness setting; only EcoSmart 25 has one"
        )
    if type(level) is not int or level not in range(MAX_BRIGHTNESS + 1):
        raise CommandError(
            f"brightness must be a whole number from 0 to {MAX_BRIGHTNESS}, not {level}"
        )
    return Command(
        thermostat,
        "POST",
        "bright",
        {"bright": level},
        lambda device: getattr(device, "brightness", None) == level,
    )
