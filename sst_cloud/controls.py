"""The port for commands: sent once, confirmed by looking, and no valve opened over a leak."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Container
from functools import cached_property
from types import TracebackType
from typing import Any, Final, Self, final

import attrs

from .clock import Clock, SystemClock
from .commands import (
    Command,
    SetBrightness,
    SetFloorWashing,
    SetMode,
    SetPower,
    SetTargetTemperature,
    SetValves,
    as_leak_module,
    describe,
)
from .enums import AccessStatus, Grouping, ThermostatMode, ValveState
from .errors import TRANSIENT, AlarmActiveError, CommandError, SSTCloudError
from .models import Device, LeakModule, NeptunSmart, Thermostat
from .redaction import redact_text

_log = logging.getLogger(__name__)

_SHORTEST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 10.0
"""Seconds between looks at a device; pauses grow from the first to the second."""

DeviceKey = tuple[int, int]


@attrs.frozen
class CommandResult:
    """The outcome of a command that was accepted."""

    confirmed: bool | None
    """True: the device reports it. False: not within the limit. None: not waited for."""
    device: Device
    """The device as last read; with its new state if `confirmed`."""


class _Target:
    """A target temperature to set; until it is sent, a newer one replaces it."""

    def __init__(self, command: SetTargetTemperature) -> None:
        self.command = command
        self.sending: asyncio.Task[None] | None = None
        self.confirmation: asyncio.Task[CommandResult] | None = None


class _Targets:
    """The target temperatures of a source's thermostats."""

    def __init__(self) -> None:
        self.queued: dict[DeviceKey, _Target] = {}
        self.latest: dict[DeviceKey, _Target] = {}
        self.locks: dict[DeviceKey, asyncio.Lock] = {}


class Controls(ABC):
    """Base class of a source that carries out commands.

    A source says how to send a command, in `_send`, and how to read a device, in `device`. It
    inherits the commands and cannot override them, so that their safety rules hold for every
    source.
    """

    _clock: Clock = SystemClock()
    """For pauses; a source may set its own."""
    _first_pause: float = 2.0
    """Seconds from a command to the first look. A source that shows changes sooner sets less."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, member in vars(Controls).items():
            if getattr(member, "__final__", False) and getattr(cls, name) is not member:
                raise TypeError(
                    f"{cls.__name__} must not override {name}, in which safety rules are kept: "
                    "implement _send and device instead"
                )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Cancel pending commands. A source that has more to close extends this."""
        targets = [*self.__targets.queued.values(), *self.__targets.latest.values()]
        tasks = [
            task for target in targets for task in (target.sending, target.confirmation) if task
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @abstractmethod
    async def _send(self, command: Command) -> None:
        """Send a command, once; the methods below call this, and nothing else may.

        Raises `CommandError` for a command that the source does not have, before anything is
        sent, and `CommandRejectedError` if it is refused.
        """

    @abstractmethod
    async def device(self, house_id: int, device_id: int) -> Device:
        """One device, read now. Raises `SSTCloudError`."""

    @final
    async def set_valves(  # noqa: PLR0913  the last three are options
        self,
        module: LeakModule,
        state: ValveState,
        group: int | None = None,
        *,
        despite_alarm: bool = False,
        wait: bool = True,
        limit: float = 60.0,
    ) -> CommandResult:
        """Open or close the valves of a leak module: one `group` (1 or 2) or all.

        **Opening lets the water flow.** The module is read again first; during a leak alarm, or if
        the module is out of reach, `AlarmActiveError` is raised unless `despite_alarm` is set.

        All commands are sent only once. With `wait`, the device is read until it shows the new
        state, for at most `limit` seconds; the result says whether it did. A device that does not
        support a command raises `CommandError` before anything is sent; a refusal raises
        `CommandRejectedError`.
        """
        command = SetValves(module, state, group)
        if command.state is ValveState.CLOSED or despite_alarm:
            return await self.__carry_out(command, wait=wait, limit=limit)
        current = as_leak_module(await self.__look(module))
        if has_leak(current, command.groups if group is None else (group,)):
            raise _alarm(f"{_name(module)} reports a leak, so its valves were not opened")
        if _is_out_of_reach(current):
            raise _alarm(f"{_name(module)} is out of reach, so its valves were not opened")
        command = SetValves(current, state, group)  # its zones may have been joined or separated
        return await self.__carry_out(command, wait=wait, limit=limit)

    @final
    async def set_floor_washing(
        self,
        module: LeakModule,
        on: bool,  # noqa: FBT001  the command's object
        *,
        wait: bool = True,
        limit: float = 60.0,
    ) -> CommandResult:
        """Switch the floor-washing mode of a leak module: while on, a leak closes no valves."""
        return await self.__carry_out(SetFloorWashing(module, on), wait=wait, limit=limit)

    @final
    async def set_power(
        self,
        thermostat: Thermostat,
        on: bool,  # noqa: FBT001  the command's object
        *,
        wait: bool = True,
        limit: float = 60.0,
    ) -> CommandResult:
        """Switch a thermostat on or off."""
        return await self.__carry_out(SetPower(thermostat, on), wait=wait, limit=limit)

    @final
    async def set_mode(
        self,
        thermostat: Thermostat,
        mode: ThermostatMode,
        *,
        wait: bool = True,
        limit: float = 60.0,
    ) -> CommandResult:
        """Have a thermostat follow its manual target or its schedule."""
        return await self.__carry_out(SetMode(thermostat, mode), wait=wait, limit=limit)

    @final
    async def set_target_temperature(
        self, thermostat: Thermostat, celsius: float, *, wait: bool = True, limit: float = 60.0
    ) -> CommandResult:
        """Set the target of manual mode: 12 to 45 whole degrees Celsius.

        If several targets are queued for one thermostat, only the last is sent, and all callers
        get its result. A target superseded after it was sent is no longer waited for: it is
        unconfirmed.
        """
        command = SetTargetTemperature(thermostat, celsius)
        key = (thermostat.house_id, thermostat.id)
        queued, latest = self.__targets.queued, self.__targets.latest
        target = queued.get(key)
        if target is None or (target.sending is not None and target.sending.done()):
            target = queued[key] = latest[key] = _Target(command)
            target.sending = asyncio.create_task(self.__send_in_turn(key, target))
        target.command = command
        if target.sending is not None:
            await asyncio.shield(target.sending)
        if not wait:
            return CommandResult(None, target.command.device)
        if target.confirmation is None:
            target.confirmation = asyncio.create_task(
                self.__confirm(target.command, limit, lambda: latest.get(key) is not target)
            )
        return await asyncio.shield(target.confirmation)

    @final
    async def set_brightness(
        self, thermostat: Thermostat, level: int, *, wait: bool = True, limit: float = 60.0
    ) -> CommandResult:
        """Set the brightness of a thermostat's display, 0 to 9, if it can be set."""
        return await self.__carry_out(SetBrightness(thermostat, level), wait=wait, limit=limit)

    # Two underscores keep what follows apart from a source's own names. Its state is created when
    # it is first used, as a source may forget to call `super().__init__()`.

    @final
    @cached_property
    def __targets(self) -> _Targets:
        return _Targets()

    @final
    async def __send_in_turn(self, key: DeviceKey, target: _Target) -> None:
        await asyncio.sleep(0)  # so that calls in the same turn of the event loop are merged, too
        async with self.__targets.locks.setdefault(key, asyncio.Lock()):
            del self.__targets.queued[key]
            await self._send(target.command)

    @final
    async def __carry_out(self, command: Command, *, wait: bool, limit: float) -> CommandResult:
        await self._send(command)
        if not wait:
            return CommandResult(None, command.device)
        return await self.__confirm(command, limit)

    @final
    async def __confirm(
        self, command: Command, limit: float, is_superseded: Callable[[], bool] = lambda: False
    ) -> CommandResult:
        waited, pause, device = 0.0, self._first_pause, command.device
        while True:
            pause = min(pause, max(limit - waited, 0.0))
            await self._clock.sleep(pause)
            waited += pause
            confirmed = False
            try:
                device = await self.__look(device)
                confirmed = command.is_in_effect(device)
            except Exception as error:  # noqa: BLE001  raising would suggest it was not sent
                reason = redact_text(str(error)) or type(error).__name__
                if isinstance(error, SSTCloudError) and not isinstance(error, TRANSIENT):
                    _log.warning("%s; cannot tell whether the command worked", reason)
                    return CommandResult(False, device)
                _log.warning("%s; reading the device again", reason)
            if confirmed or waited >= limit or is_superseded():
                return CommandResult(confirmed, device)
            pause = min(max(pause, _SHORTEST_PAUSE) * 1.5, _LONGEST_PAUSE)

    @final
    async def __look(self, device: Device) -> Device:
        current = await self.device(device.house_id, device.id)
        if (current.house_id, current.id) != (device.house_id, device.id):
            raise CommandError(f"{describe(current)} was read instead of {describe(device)}")
        return current


def require_controls(source: object) -> Controls:
    """The source as one that carries out commands. Raises `CommandError` if it does not."""
    if not isinstance(source, Controls):
        raise CommandError(f"{getattr(source, 'name', type(source).__name__)} takes no commands")
    return source


def has_leak(module: LeakModule, groups: Container[int]) -> bool:
    """Whether there is a leak in one of these valve groups, or in any if the zones are joined."""
    are_joined = isinstance(module, NeptunSmart) and module.grouping is not Grouping.TWO_GROUPS
    valve_groups = [
        valves for valves in module.valve_groups if valves.number in groups and not are_joined
    ] or module.valve_groups
    alarms = [valves.alarm for valves in valve_groups]
    if any(alarms):
        return True
    # A wet line does not say which group it belongs to. While floors are washed, it is no leak.
    are_all = len(valve_groups) == len(module.valve_groups) and not module.floor_washing
    is_unknown = not alarms or None in alarms
    return (are_all or is_unknown) and any(line.leak for line in module.lines)


def _name(device: Device) -> str:
    return device.name or str(device.id)


def _is_out_of_reach(device: Device) -> bool:
    """Whether what was read is only the last known state: a leak may have begun since."""
    return device.is_connected is False or (
        device.access_status not in (None, AccessStatus.AVAILABLE)
    )


def _alarm(reason: str) -> AlarmActiveError:
    error = AlarmActiveError(reason)
    error.add_note("To open them anyway, pass despite_alarm=True.")
    return error
