"""Commands to devices: their limits, their outcome, and the safety rules of valves."""

from typing import Final

import attrs

from .errors import CommandError
from .models import Device, LeakModule, NeptunProW, NeptunSmart, Thermostat

MIN_TEMPERATURE: Final = 12
MAX_TEMPERATURE: Final = 45
"""Limits of the manual target in degrees Celsius, according to a public client of the API."""
MAX_BRIGHTNESS: Final = 9


@attrs.frozen
class CommandResult:
    """The outcome of a command that the cloud has accepted."""

    confirmed: bool | None
    """True: the device reports it. False: not within the limit. None: not waited for."""
    device: Device
    """The device as last read; with its new state if `confirmed`."""


def has_leak_alarm(module: Device, group: int | None) -> bool:
    """Whether there is a leak alarm in the valve group, or, for None, in any."""
    module = as_leak_module(module)
    groups = [g for g in module.valve_groups if group in (None, g.number)]
    alarms = [
        g.alarm for g in groups or module.valve_groups
    ]  # all of them, if the zones have been joined
    if any(alarms):
        return True
    is_unknown = not alarms or None in alarms
    return is_unknown and any(line.leak for line in module.lines)


def describe(device: Device) -> str:
    """A device's name and model, for messages."""
    return f"{device.name or device.id} ({device.model})"


def as_leak_module(device: Device) -> LeakModule:
    """The device as a leak module. Raises `CommandError` if it is none."""
    if not isinstance(device, NeptunProW | NeptunSmart):
        raise CommandError(f"{describe(device)} is not a leak module")
    return device


def as_thermostat(device: Device) -> Thermostat:
    """The device as a thermostat. Raises `CommandError` if it is none."""
    if not isinstance(device, Thermostat):
        raise CommandError(f"{describe(device)} is not a thermostat")
    return device
