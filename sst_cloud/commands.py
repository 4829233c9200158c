"""Commands to devices, as data: what they ask for, and how to tell that a device has done it.

Creating a command that its device cannot carry out raises `CommandError`.
"""

from abc import ABC, abstractmethod
from typing import Final

import attrs

from .enums import Grouping, ThermostatMode, ValveState
from .errors import CommandError
from .models import Device, LeakModule, NeptunSmart, Thermostat

MIN_TEMPERATURE: Final = 12
MAX_TEMPERATURE: Final = 45
"""Limits of the manual target in degrees Celsius, according to a public client of the cloud."""
MAX_BRIGHTNESS: Final = 9


def describe(device: Device) -> str:
    """A device's name and model, for messages."""
    model = f" ({device.model})" if device.model else ""
    return f"{device.name or device.id}{model}"


def as_leak_module(device: Device) -> LeakModule:
    """The device as a leak module. Raises `CommandError` if it is none."""
    if not isinstance(device, LeakModule):
        raise CommandError(f"{describe(device)} is not a leak module")
    return device


def as_thermostat(device: Device) -> Thermostat:
    """The device as a thermostat. Raises `CommandError` if it is none."""
    if not isinstance(device, Thermostat):
        raise CommandError(f"{describe(device)} is not a thermostat")
    return device


def _as_switch(on: bool) -> bool:  # noqa: FBT001
    if not isinstance(on, bool):  # "off" would be taken for on
        raise CommandError(f"a switch must be True or False, not {on!r}")
    return on


def _as_valve_state(state: ValveState) -> ValveState:
    if state not in tuple(ValveState):
        raise CommandError(f"valves can be set to opened or closed, not {state!r}")
    return ValveState(state)


def _as_mode(mode: ThermostatMode) -> ThermostatMode:
    try:
        return ThermostatMode(mode)
    except ValueError:
        raise CommandError(f"a thermostat's mode must be manual or chart, not {mode!r}") from None


def _as_target(celsius: float) -> int:
    if isinstance(celsius, bool) or not float(celsius).is_integer():
        raise CommandError(f"a target temperature must be in whole degrees Celsius, not {celsius}")
    if not MIN_TEMPERATURE <= celsius <= MAX_TEMPERATURE:
        raise CommandError(
            f"a target temperature must be {MIN_TEMPERATURE} to {MAX_TEMPERATURE} degrees Celsius, "
            f"not {celsius:g}"
        )
    return int(celsius)


def _as_brightness(level: int) -> int:
    if type(level) is not int or level not in range(MAX_BRIGHTNESS + 1):
        raise CommandError(
            f"brightness must be a whole number from 0 to {MAX_BRIGHTNESS}, not {level}"
        )
    return level


@attrs.frozen
class Command(ABC):
    """What a device is asked to do."""

    device: Device

    @abstractmethod
    def is_in_effect(self, device: Device) -> bool:
        """Whether the device, read again, shows what was asked for."""


@attrs.frozen
class SetValves(Command):
    """Open or close the valves of one group, or of all."""

    device: LeakModule = attrs.field(converter=as_leak_module)
    state: ValveState = attrs.field(converter=_as_valve_state)
    group: int | None = None
    groups: tuple[int, ...] = attrs.field(init=False)
    """The groups to set: both, if the zones of a Neptun Smart are joined."""

    @groups.default
    def _groups_to_set(self) -> tuple[int, ...]:
        module, group = self.device, self.group
        if group not in (None, 1, 2):
            raise CommandError(f"there is no valve group {group}: use 1 or 2, or omit it for all")
        if not isinstance(module, NeptunSmart):
            groups = tuple(valves.number for valves in module.valve_groups) or (1,)
            if group not in (None, *groups):
                raise CommandError(f"{describe(module)} has only one zone: omit the group")
            return groups if group is None else (group,)
        # With joined zones, a Neptun Smart ignores the command unless both groups are sent.
        if group is None or (module.grouping is Grouping.ONE_GROUP and group == 1):
            return (1, 2)
        if module.grouping is Grouping.TWO_GROUPS:
            return (group,)
        raise CommandError(f"the zones of {describe(module)} are joined: omit the group")

    def is_in_effect(self, device: Device) -> bool:
        """Whether all valves that were to be set, as far as it reports them, are in the state."""
        valve_groups = getattr(device, "valve_groups", ())
        states = {valves.state for valves in valve_groups if valves.number in self.groups}
        return states == {self.state}


@attrs.frozen
class SetFloorWashing(Command):
    """Switch the mode in which a wet floor closes no valves."""

    device: LeakModule = attrs.field(converter=as_leak_module)
    on: bool = attrs.field(converter=_as_switch)

    def is_in_effect(self, device: Device) -> bool:
        """Whether the mode is on or off, as it should be."""
        return getattr(device, "floor_washing", None) is self.on


@attrs.frozen
class SetPower(Command):
    """Switch a thermostat on or off."""

    device: Thermostat = attrs.field(converter=as_thermostat)
    on: bool = attrs.field(converter=_as_switch)

    def is_in_effect(self, device: Device) -> bool:
        """Whether it is on or off, as it should be."""
        return getattr(device, "is_on", None) is self.on


@attrs.frozen
class SetMode(Command):
    """Have a thermostat follow its manual target or its schedule."""

    device: Thermostat = attrs.field(converter=as_thermostat)
    mode: ThermostatMode = attrs.field(converter=_as_mode)

    def is_in_effect(self, device: Device) -> bool:
        """Whether it is in the mode."""
        return getattr(device, "mode", None) is self.mode


@attrs.frozen
class SetTargetTemperature(Command):
    """Set the target of manual mode, in whole degrees Celsius."""

    device: Thermostat = attrs.field(converter=as_thermostat)
    celsius: int = attrs.field(converter=_as_target)

    def is_in_effect(self, device: Device) -> bool:
        """Whether it has the target."""
        return getattr(device, "manual_temperature", None) == self.celsius


@attrs.frozen
class SetBrightness(Command):
    """Set the brightness of a thermostat's display."""

    device: Thermostat = attrs.field(converter=as_thermostat)
    level: int = attrs.field(converter=_as_brightness)

    def is_in_effect(self, device: Device) -> bool:
        """Whether its display has the brightness."""
        return getattr(device, "brightness", None) == self.level
