"""Carries out commands: sends once, reports refusals, waits for the new state."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs

from sst_cloud.clock import Clock
from sst_cloud.controls import CommandResult
from sst_cloud.errors import TRANSIENT, ApiError, CommandRejectedError, SSTCloudError
from sst_cloud.models import Device

from .requests import Command

_log = logging.getLogger(__name__)

_REJECTED: Final = frozenset({400, 404, 405, 409, 415, 422})
_FIRST_PAUSE: Final = 2.0
_LONGEST_PAUSE: Final = 10.0
"""Seconds between polls of a device, growing: a GET right after a write shows the old state."""

SendRequest = Callable[[str, str, Any], Awaitable[Any]]
ReadDevice = Callable[[int, int], Awaitable[Device]]
DeviceKey = tuple[int, int]


@attrs.define
class _Target:
    """A target temperature to set; until it is sent, a newer one replaces it."""

    command: Command
    sending: "asyncio.Task[None] | None" = None
    confirmation: "asyncio.Task[CommandResult] | None" = None


@attrs.define
class CommandRunner:
    """Sends commands through `send_request`, and polls devices through `read_device`."""

    _send_request: SendRequest
    _read_device: ReadDevice
    _clock: Clock
    _queued: dict[DeviceKey, _Target] = attrs.field(factory=dict, init=False)
    _latest: dict[DeviceKey, _Target] = attrs.field(factory=dict, init=False)
    _locks: dict[DeviceKey, asyncio.Lock] = attrs.field(factory=dict, init=False)

    async def carry_out(self, command: Command, *, wait: bool, limit: float) -> CommandResult:
        """Send once; then, with `wait`, poll until the device shows it or `limit` seconds pass.

        Raises `CommandRejectedError` if the cloud refuses.
        """
        await self._send_once(command)
        if not wait:
            return CommandResult(None, command.device)
        return await self._confirm(command, limit)

    async def merge(self, command: Command, *, wait: bool, limit: float) -> CommandResult:
        """Like `carry_out`, but of the commands in the queue only the last is sent.

        All callers get its result. A target superseded after it was sent is no longer waited for:
        it is unconfirmed.
        """
        key = (command.device.house_id, command.device.id)
        target = self._queued.get(key)
        if target is None:
            target = self._queued[key] = self._latest[key] = _Target(command)
            target.sending = asyncio.create_task(self._send_in_turn(key, target))
        target.command = command
        if target.sending is not None:
            await asyncio.shield(target.sending)
        if not wait:
            return CommandResult(None, target.command.device)
        if target.confirmation is None:
            is_superseded = lambda: self._latest.get(key) is not target  # noqa: E731
            target.confirmation = asyncio.create_task(
                self._confirm(target.command, limit, is_superseded)
            )
        return await asyncio.shield(target.confirmation)

    async def close(self) -> None:
        """Cancel pending commands."""
        targets = [*self._queued.values(), *self._latest.values()]
        tasks = [
            task for target in targets for task in (target.sending, target.confirmation) if task
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_in_turn(self, key: DeviceKey, target: _Target) -> None:
        await asyncio.sleep(0)  # so that calls in the same turn of the event loop are merged, too
        async with self._locks.setdefault(key, asyncio.Lock()):
            del self._queued[key]
            await self._send_once(target.command)

    async def _send_once(self, command: Command) -> None:
        try:
            await self._send_request(command.method, command.path, dict(command.body))
        except ApiError as error:
            if error.status in _REJECTED:
                raise CommandRejectedError(f"the cloud refused the command: {error}") from error
            raise

    async def _confirm(
        self, command: Command, limit: float, is_superseded: Callable[[], bool] = lambda: False
    ) -> CommandResult:
        waited, pause, device = 0.0, _FIRST_PAUSE, command.device
        while True:
            pause = min(pause, max(limit - waited, 0.0))
            await self._clock.sleep(pause)
            waited += pause
            confirmed = False
            try:
                device = await self._read_device(command.device.house_id, command.device.id)
                confirmed = command.is_in_effect(device)
            except TRANSIENT as error:  # raising would suggest that the command was not sent
                _log.warning("%s; polling the device again", error)
            except SSTCloudError as error:
                _log.warning("%s; cannot tell whether the command worked", error)
                return CommandResult(False, device)
            if confirmed or waited >= limit or is_superseded():
                return CommandResult(confirmed, device)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
