"""What events are handed to, as sinks are handed readings."""

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

from .events import Event

_log = logging.getLogger(__name__)

LIMIT: Final = 30.0
"""Seconds that one event may take."""
TOO_LATE: Final = timedelta(days=1)
"""An alarm older than this helps nobody any more."""


class NotWantedError(SinkRefusedError):
    """The receiver will never take this content; it may take other."""


class FailedError(SinkUnavailableError):
    """The command ran and failed: it may still succeed with another event."""


@attrs.frozen
class EventRejection:
    """An event that will not be handed over, and why."""

    event: Event
    reason: str


@attrs.frozen
class EventReport:
    """What became of the events of one write."""

    accepted: int = 0
    rejected: tuple[EventRejection, ...] = ()


class Handler(ABC):
    """Takes events as a sink takes readings; an async context manager.

    Events of one thing (this leak, that battery) arrive in their order; one that fails holds up
    no other thing's.
    """

    name: str
    """For people, and to tell handlers apart from one run to the next; holds no secret."""

    def __init__(self, clock: Clock | None = None, limit: float = LIMIT) -> None:
        self._clock = clock or SystemClock()
        self._limit = limit
        # What a write has settled before it failed: its next try leaves that out.
        self._handed: list[Event] = []
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

    async def close(self) -> None:  # noqa: B027  a command holds nothing open
        """Close what is open."""

    @abstractmethod
    async def check(self) -> None:
        """Ask whether it could work, as far as one can without an event."""

    @abstractmethod
    async def send(self, content: Mapping[str, Any]) -> None:
        """Hand over one JSON object.

        Raises `SinkUnavailableError` (try again), `NotWantedError` (never this one) or
        `SinkRefusedError` (somebody must mend something).
        """

    async def write(self, events: Sequence[Event]) -> EventReport:
        """Hand over events one by one. Raises as `send` does, after the others had their turn."""
        stuck: set[object] = set()
        failure: FailedError | None = None
        settled = [*self._handed, *(rejection.event for rejection in self._rejected)]
        for event in events:
            thing = (event.kind, event.house_id, event.device_id, event.point, event.point_id)
            if thing in stuck or event in settled:
                continue
            try:
                await self._hand_over(event)
            except NotWantedError as error:
                self._rejected.append(EventRejection(event, str(error)))
            except FailedError as error:
                failure = failure or error
                stuck.add(thing)
            else:
                self._handed.append(event)
        if failure is not None:
            raise failure
        rejected = tuple(rejection for rejection in self._rejected if rejection.event in events)
        # A try in vain is followed by one with fewer: what was settled of the others stays so.
        self._handed = [event for event in self._handed if event not in events]
        self._rejected = [rejection for rejection in self._rejected if rejection not in rejected]
        return EventReport(len(events) - len(rejected), rejected)

    async def _hand_over(self, event: Event) -> None:
        if self._clock.now() - event.time > TOO_LATE:
            _log.warning("%s: given up, too late by now: %s", self.name, event.message)
            raise NotWantedError("it was older than a day when its turn came")
        await self.send(event.as_dict())


def as_json(content: Mapping[str, Any]) -> bytes:
    """What a receiver gets."""
    return json.dumps(content, ensure_ascii=False).encode()
