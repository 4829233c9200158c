"""Carries out commands: sends once, reports refusals, waits for the new state."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs

from .clock import Clock
from .commands import Command, CommandResult
from .errors import PASSING, ApiError, CommandRejectedError, SSTCloudError
from .models import Device

_log = logging.getLogger(__name__)

_REJECTED: Final = frozenset({400, 404, 405, 409, 415, 422})
_FIRST_LOOK: Final = 2.0
_LAST_LOOK: Final = 10.0
"""Seconds between polls of a device, growing: a GET right after a write shows the old state."""

Send = Callable[[str, str, Any], Awaitable[Any]]
Look = Callable[[int, int], Awaitable[Device]]
Key = tuple[int, int]


@attrs.define
class _SetPoint:
    """A queued target; until it is sent, a newer one replaces it."""

    command: Command
    sent: "asyncio.Task[None] | None" = None
    confirmed: "asyncio.Task[CommandResult] | None" = None


@attrs.define
class Remote:
    """Sends commands through `send`, and polls devices through `look`."""

    _send: Send
    _look: Look
    _clock: Clock
    _waiting: dict[Key, _SetPoint] = attrs.field(factory=dict, init=False)
    _newest: dict[Key, _SetPoint] = attrs.field(factory=dict, init=False)
    _turns: dict[Key, asyncio.Lock] = attrs.field(factory=dict, init=False)

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

        All callers get its result. One superseded after it was sent stops waiting, unconfirmed.
        """
        key = (command.device.house_id, command.device.id)
        point = self._waiting.get(key)
        if point is None:
            point = self._waiting[key] = self._newest[key] = _SetPoint(command)
            point.sent = asyncio.create_task(self._take_turn(key, point))
        point.command = command
        if point.sent is not None:
            await asyncio.shield(point.sent)
        if not wait:
            return CommandResult(None, point.command.device)
        if point.confirmed is None:
            overtaken = lambda: self._newest.get(key) is not point  # noqa: E731
            point.confirmed = asyncio.create_task(self._confirm(point.command, limit, overtaken))
        return await asyncio.shield(point.confirmed)

    async def close(self) -> None:
        """Cancel pending commands."""
        points = [*self._waiting.values(), *self._newest.values()]
        tasks = [task for point in points for task in (point.sent, point.confirmed) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take_turn(self, key: Key, point: _SetPoint) -> None:
        await asyncio.sleep(0)  # merge calls made in the same turn of the event loop, too
        async with self._turns.setdefault(key, asyncio.Lock()):
            del self._waiting[key]
            await self._send_once(point.command)

    async def _send_once(self, command: Command) -> None:
        try:
            await self._send(command.method, command.path, dict(command.body))
        except ApiError as error:
            if error.status in _REJECTED:
                raise CommandRejectedError(f"the cloud refused the command: {error}") from error
            raise

    async def _confirm(
        self, command: Command, limit: float, overtaken: Callable[[], bool] = lambda: False
    ) -> CommandResult:
        waited, pause, device = 0.0, _FIRST_LOOK, command.device
        while True:
            pause = min(pause, max(limit - waited, 0.0))
            await self._clock.sleep(pause)
            waited += pause
            confirmed = False
            try:
                device = await self._look(command.device.house_id, command.device.id)
                confirmed = command.shows(device)
            except PASSING as error:  # raising would suggest that the command was not sent
                _log.warning("%s; polling the device again", error)
            except SSTCloudError as error:
                _log.warning("%s; cannot tell whether the command worked", error)
                return CommandResult(False, device)
            if confirmed or waited >= limit or overtaken():
                return CommandResult(confirmed, device)
            pause = min(pause * 1.5, _LAST_LOOK)
