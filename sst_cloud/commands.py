"""What each command sends to which device, what it refuses, and how to tell that it worked."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from .enums import DeviceType, Grouping, ThermostatMode, ValveState
from .errors import CommandError
from .models import Device, LeakModule, NeptunProW, NeptunSmart, Thermostat

MIN_TEMPERATURE: Final = 12
MAX_TEMPERATURE: Final = 45
"""Limits of the manual target in degrees Celsius, according to a public client of the API."""
MAX_BRIGHTNESS: Final = 9


@attrs.frozen
class Command:
    """One request, and how to tell that the device has carried it out."""

    device: Device
    method: str
    page: str
    body: Mapping[str, Any]
    shows: Callable[[Device], bool]
    opens: bool = False
    """Whether it lets water flow."""

    @property
    def path(self) -> str:
        """The path of the request."""
        return f"/houses/{self.device.house_id:d}/devices/{self.device.id:d}/{self.page}/"


@attrs.frozen
class CommandResult:
    """The outcome of a command that the cloud has accepted."""

    confirmed: bool | None
    """True: the device shows it. False: it did not within the limit. None: not waited for."""
    device: Device
    """The device as last read; after waiting, with its new state if it was seen."""


def _on_off(on: bool) -> str:  # noqa: FBT001
    if not isinstance(on, bool):  # "off" would be taken for on
        raise CommandError(f"a switch must be True or False, not {on!r}")
    return "on" if on else "off"


def set_valves(module: Device, state: ValveState, group: int | None) -> Command:
    """Valves of one zone, or of all."""
    module = _leak_module(module)
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
        raise CommandError(f"{_named(module)} has only one zone: omit the group")

    def shows(device: Device) -> bool:
        states = {g.number: g.state for g in getattr(device, "valve_groups", ())}
        return all(states.get(number, state) == state for number in groups) and bool(states)

    return Command(module, method, page, body, shows, opens=state is ValveState.OPENED)


def _groups_to_set(module: NeptunSmart, group: int | None) -> tuple[int, ...]:
    """With joined zones, a Neptun Smart ignores the command unless both groups are sent."""
    if group is None:
        return (1, 2)
    if module.grouping is Grouping.TWO_GROUPS:
        return (group,)
    if module.grouping is Grouping.ONE_GROUP and group == 1:
        return (1, 2)
    raise CommandError(f"the zones of {_named(module)} are joined: omit the group")


def alarmed(module: Device, group: int | None) -> bool:
    """Whether there is a leak alarm where valves are to be opened."""
    module = _leak_module(module)
    groups = [g for g in module.valve_groups if group in (None, g.number)]
    alarms = [
        g.alarm for g in groups or module.valve_groups
    ]  # all of them, if the zones have been joined
    if any(alarms):
        return True
    unsure = not alarms or None in alarms
    return unsure and any(line.leak for line in module.lines)


def set_floor_washing(module: Device, *, on: bool) -> Command:
    """The mode in which a wet floor closes no valves."""
    module = _leak_module(module)
    smart = isinstance(module, NeptunSmart)

    def shows(device: Device) -> bool:
        return getattr(device, "floor_washing", None) is on

    if smart:
        return Command(
            module, "PATCH", "module_settings", {"washing_floors_mode": _on_off(on)}, shows
        )
    return Command(module, "POST", "dry_flag", {"dry_flag": _on_off(on)}, shows)


def set_power(thermostat: Device, *, on: bool) -> Command:
    """On or off."""
    thermostat = _thermostat(thermostat)
    body = {"status": _on_off(on)}
    return Command(thermostat, "POST", "status", body, lambda d: getattr(d, "is_on", None) is on)


def set_mode(thermostat: Device, mode: ThermostatMode) -> Command:
    """By hand or by schedule."""
    thermostat = _thermostat(thermostat)
    try:
        mode = ThermostatMode(mode)
    except ValueError:
        raise CommandError(f"a thermostat's mode must be manual or chart, not {mode!r}") from None
    body = {"mode": mode.value}
    return Command(thermostat, "POST", "mode", body, lambda d: getattr(d, "mode", None) is mode)


def set_target_temperature(thermostat: Device, celsius: float) -> Command:
    """The target of manual mode."""
    thermostat = _thermostat(thermostat)
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
    """Brightness of the display."""
    if thermostat.type != DeviceType.ECOSMART_25:
        raise CommandError(
            f"{_named(thermostat)} has no brightness setting; only EcoSmart 25 has one"
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


def _named(device: Device) -> str:
    return f"{device.name or device.id} ({device.model})"


def _leak_module(device: Device) -> LeakModule:
    if not isinstance(device, NeptunProW | NeptunSmart):
        raise CommandError(f"{_named(device)} is not a leak module")
    return device


def _thermostat(device: Device) -> Thermostat:
    if not isinstance(device, Thermostat):
        raise CommandError(f"{_named(device)} is not a thermostat")
    return device
