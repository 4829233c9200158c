"""A source of somebody else: devices in memory, which obey commands at once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs

from sst_cloud import (
    Command,
    Controls,
    Device,
    ManualClock,
    NeptunProW,
    NeptunSmart,
    SetBrightness,
    SetFloorWashing,
    SetMode,
    SetPower,
    SetTargetTemperature,
    SetValves,
    Snapshot,
    Thermostat,
    ValveGroup,
    ValveState,
)

OPENED, CLOSED = ValveState.OPENED, ValveState.CLOSED


class Plant(Controls):
    """All that such a source needs; it does not even call `super().__init__()`."""

    name = "plant"
    refresh = timedelta(seconds=1)

    def __init__(self, *devices: Device) -> None:
        self._clock = self.clock = ManualClock()
        self.devices = {device.id: device for device in devices}
        self.sent: list[Command] = []
        self.looks = 0
        self.before_send: Callable[[], None] = lambda: None

    async def snapshot(self) -> Snapshot:
        return Snapshot(time=self._clock.now(), devices=tuple(self.devices.values()))

    async def device(self, house_id: int, device_id: int) -> Device:
        self.looks += 1
        return self.devices[device_id]

    async def _send(self, command: Command) -> None:
        self.before_send()
        self.sent.append(command)
        device = self.devices[command.device.id]
        self.change(device, **changes(device, command))

    def valves(self) -> list[tuple[ValveState, tuple[int, ...]]]:
        """The state and the groups of each valve command that was sent."""
        return [(c.state, c.groups) for c in self.sent if isinstance(c, SetValves)]

    def change(self, device: Device, **fields: Any) -> None:
        """What happens to a device by itself."""
        current: Any = self.devices[device.id]
        self.devices[device.id] = attrs.evolve(current, **fields)


def changes(device: Any, command: Command) -> dict[str, Any]:
    """The fields of a device that a command changes."""
    match command:
        case SetValves(state=state, groups=groups):
            valve_groups = (
                attrs.evolve(group, state=state if group.number in groups else group.state)
                for group in device.valve_groups
            )
            return {"valve_groups": tuple(valve_groups)}
        case SetFloorWashing(on=on):
            return {"floor_washing": on}
        case SetPower(on=on):
            return {"is_on": on}
        case SetMode(mode=mode):
            return {"mode": mode}
        case SetTargetTemperature(celsius=celsius):
            return {"manual_temperature": celsius}
        case SetBrightness(level=level):
            return {"brightness": level}
        case _:
            raise AssertionError(command)


def zone(number: int = 1, *, alarm: bool | None = False) -> ValveGroup:
    return ValveGroup(number=number, state=CLOSED, alarm=alarm)


def prow(*groups: ValveGroup, **fields: Any) -> NeptunProW:
    return NeptunProW(**ids(name="Bath", valve_groups=groups or (zone(),), **fields))


def smart(*groups: ValveGroup, **fields: Any) -> NeptunSmart:
    return NeptunSmart(**ids(name="Bath", valve_groups=groups, **fields))


def thermostat(**fields: Any) -> Thermostat:
    return Thermostat(**ids(id=2, name="Floor", **fields))


def ids(**fields: Any) -> dict[str, Any]:
    return {"id": 1, "house_id": 5} | fields
