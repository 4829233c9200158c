"""Event handlers: the counterpart of sinks for events."""

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self

import attrs

from sst_cloud.clock import Clock, SystemClock
from sst_cloud.errors import SinkRefusedError, SinkUnavailableError
from sst_cloud.monitoring.events import Event

_log = logging.getLogger(__name__)

TIMEOUT: Final = 30.0
"""Timeout for one event, in seconds."""
MAX_AGE: Final = timedelta(days=1)
"""An alarm older than this is no longer useful."""


class EventRejectedError(SinkRefusedError):
    """The receiver will never accept this event, but may accept others."""


class CommandFailedError(SinkUnavailableError):
    """The command ran and failed: it may still succeed for another event."""


@attrs.frozen
class EventRejection:
    """An event that will not be delivered, and why."""

    event: Event
    reason: str


@attrs.frozen
class EventReport:
    """The outcome of one write of events."""

    accepted: int = 0
    rejected: tuple[EventRejection, ...] = ()


class Handler(ABC):
    """Takes events as a sink takes readings; an async context manager.

    Events about the same thing (a leak, a battery) are delivered in order; a failure does not hold
    up events about other things.
    """

    name: str
    """For display, and to recognise the handler after a restart; contains no secrets."""

    def __init__(self, clock: Clock | None = None, limit: float = TIMEOUT) -> None:
        self._clock = clock or SystemClock()
        self._limit = limit
        # Settled by a write that then failed: the retry skips these.
        self._delivered: list[Event] = []
        self._rejected: list[EventRejection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:  # noqa: B027  a command has nothing to close
        """Close what is open."""

    @abstractmethod
    async def check(self) -> None:
        """Check whether it can work, as far as possible without an event."""

    @abstractmethod
    async def send(self, content: Mapping[str, Any]) -> None:
        """Deliver one JSON object.

        Raises `SinkUnavailableError` (retry), `EventRejectedError` (never retry this one) or
        `SinkRefusedError` (something has to be fixed first).
        """

    async def write(self, events: Sequence[Event]) -> EventReport:
        """Deliver events one by one. Raises as `send` does, after trying the others."""
        blocked: set[object] = set()
        failure: CommandFailedError | None = None
        settled = [*self._delivered, *(rejection.event for rejection in self._rejected)]
        for event in events:
            subject = (event.kind, event.house_id, event.device_id, event.point, event.point_id)
            if subject in blocked or event in settled:
                continue
            try:
                await self._deliver(event)
            except EventRejectedError as error:
                self._rejected.append(EventRejection(event, str(error)))
            except CommandFailedError as error:
                failure = failure or error
                blocked.add(subject)
            else:
                self._delivered.append(event)
        if failure is not None:
            raise failure
        rejected = tuple(rejection for rejection in self._rejected if rejection.event in events)
        # The retry after a failure has fewer events: what was settled of the others stays settled.
        self._delivered = [event for event in self._delivered if event not in events]
        self._rejected = [rejection for rejection in self._rejected if rejection not in rejected]
        return EventReport(len(events) - len(rejected), rejected)

    async def _deliver(self, event: Event) -> None:
        if self._clock.now() - event.time > MAX_AGE:
            _log.warning("%s: dropped, as it is too old: %s", self.name, event.message)
            raise EventRejectedError("it was more than a day old when it could be delivered")
        await self.send(event.as_dict())


def as_json(content: Mapping[str, Any]) -> bytes:
    """The bytes sent to a receiver."""
    return json.dumps(content, ensure_ascii=False).encode()
