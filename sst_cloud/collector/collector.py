"""The collector: poll, validate, detect alarms, commit, deliver."""

import asyncio
import logging
import random as random_module
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import attrs

from sst_cloud.clock import Clock, SystemClock
from sst_cloud.combined_sources import LOGIN_PAUSE, FirstAnswering
from sst_cloud.errors import (
    TRANSIENT,
    AuthenticationError,
    OutboxError,
    SinkClosedError,
    SSTCloudError,
)
from sst_cloud.models import Snapshot
from sst_cloud.monitoring.alarms import AlarmState, detect_alarms
from sst_cloud.monitoring.events import Event
from sst_cloud.monitoring.rules import AlarmRules, ValidationRules
from sst_cloud.monitoring.validation import ValidationState, validate
from sst_cloud.outbox.consumer import Consumer
from sst_cloud.outbox.dead_letters import DeadLetters
from sst_cloud.outbox.delivery import Delivery
from sst_cloud.outbox.entries import Limits, Start
from sst_cloud.outbox.outbox import Outbox
from sst_cloud.outbox.state_folder import houses_note
from sst_cloud.outbox.status import SourceStatus, Status, Stream, sources_from, sources_note
from sst_cloud.polling import read_source
from sst_cloud.readings import Reading, format_time
from sst_cloud.sink import Sink
from sst_cloud.source import (
    DEFAULT_REFRESH,
    Source,
    name_of,
    reason_of,
)

from .commit_buffer import CommitBuffer
from .schedule import EVERY, wait_for_poll

_log = logging.getLogger(__name__)

GRACE: Final = 3.0
"""Seconds that writes in progress get to finish on shutdown."""
_CLOSE_TIMEOUT: Final = 1.0
"""Seconds that sinks get to close on shutdown."""


@attrs.frozen
class Poll:
    """One poll and its results."""

    time: datetime
    readings: Sequence[Reading] = ()
    """Validated."""
    redelivered_count: int = 0
    """How many earlier readings are delivered again, as good or as suspect."""
    events: Sequence[Event] = ()
    error: SSTCloudError | None = None
    """Why the poll failed."""
    committed: bool = True
    """Whether it is on disk; if not, it is held in memory until it can be written."""


class Collector:
    """Polls an open source and delivers its readings to sinks, without losing any.

    An async context manager; inside it, `run` polls. Readings are first committed to the outbox in
    `folder`, then delivered to each sink and event handler at its own pace.
    """

    def __init__(  # noqa: PLR0913  each is an option with a good default
        self,
        source: Source,
        sinks: Mapping[str, Sink],
        folder: Path,
        *,
        handlers: Mapping[str, Consumer] | None = None,
        every: timedelta = EVERY,
        start: Start = Start.NOW,
        limits: Limits | None = None,
        validation_rules: ValidationRules | None = None,
        alarm_rules: AlarmRules | None = None,
        clock: Clock | None = None,
        random: Callable[[], float] = random_module.random,
        on_poll: Callable[[Poll], None] = lambda _: None,
    ) -> None:
        """Open nothing yet. The outbox recognises sinks by name after a restart."""
        self._source = source
        self._source_name = name_of(source)
        self._every = every
        self._start = start
        self._validation_rules = validation_rules or ValidationRules()
        self._alarm_rules = alarm_rules or AlarmRules()
        self._clock = clock or SystemClock()
        self._random = random
        self._on_poll = on_poll
        self._outbox = Outbox(folder, limits=limits, clock=self._clock)
        dead_letters = DeadLetters(folder)
        self._deliveries = [
            Delivery(
                name,
                consumer,
                self._outbox,
                stream=stream,
                dead_letters=dead_letters,
                clock=self._clock,
                random=random,
                on_failure=self._stop_if_all_sinks_are_closed,
            )
            for stream, consumers in ((Stream.READINGS, sinks), (Stream.EVENTS, handlers or {}))
            for name, consumer in consumers.items()
        ]
        self._commit_buffer = CommitBuffer(self._outbox, self._deliveries)
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = asyncio.Event()
        self._closed: SinkClosedError | None = None
        """Why no sink takes readings any more."""
        self._poll_now = asyncio.Event()
        self._notes: dict[str, str] = {}
        self._validation = ValidationState()
        self._alarms = AlarmState()
        self._zones: Mapping[int, tzinfo] = {}
        self._source_error: SSTCloudError | None = None
        self._refresh = DEFAULT_REFRESH
        self._wait_until: datetime | None = None
        self._logged_missing: set[str] = set()
        """The messages of the last poll about what is unreadable or missing."""
        self.polls_done: int = 0
        """How many polls have been completed."""
        self.latest: Sequence[Reading] = ()
        """The readings of the last successful poll."""

    async def __aenter__(self) -> Self:
        """Open the outbox and start delivering. Raises `OutboxError` if it is in use."""
        await self._outbox.__aenter__()
        try:
            for delivery in self._deliveries:
                await self._outbox.register(delivery.name, delivery.stream, self._start)
            self._notes = await self._outbox.notes()
        except BaseException:
            await self._outbox.__aexit__(None, None, None)
            raise
        self._validation = ValidationState.from_json(self._notes.get("validation", ""))
        self._alarms = AlarmState.from_json(self._notes.get("alarms", ""))
        self._tasks = [asyncio.create_task(delivery.run()) for delivery in self._deliveries]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give writes in progress a few seconds; what remains undelivered is kept.

        Raises `OutboxError` if readings or events that are not on disk yet cannot be written.
        """
        save_task = asyncio.create_task(self._commit_buffer.save(self._notes))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE):
                    await asyncio.gather(*(delivery.end() for delivery in self._deliveries))
            await save_task
            await self._commit_buffer.end()
        except OutboxError as loss:
            if isinstance(exc, Exception) and not isinstance(exc, OutboxError):
                unexpected = None if isinstance(exc, SSTCloudError) else exc
                _log.error("ended by an error: %s", exc, exc_info=unexpected)
            raise loss from exc
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=_CLOSE_TIMEOUT)
            await self._outbox.__aexit__(None, None, None)

    async def run(self, polls: int | None = None) -> None:
        """Poll now, then at multiples of `every`, until stopped or after this many `polls`.

        Temporary errors are retried forever. If no poll has ever succeeded, the first one raises
        errors that need fixing, such as wrong credentials. With `polls`, it returns when everything
        is delivered or a sink has failed. Raises `SinkClosedError` once all sinks are closed.
        """
        for number in count(1):
            last = number == polls
            await self._run_unless_stopped(self._poll(last=last))
            self.polls_done += 1
            if last:
                await self._run_unless_stopped(self._wait_idle())
            if not last:
                await wait_for_poll(
                    self._clock, self._every, self._random, self._stopped, self._poll_now
                )
                self._poll_now.clear()
            if self._closed is not None:
                raise self._closed
            if last or self._stopped.is_set():
                return

    def stop(self) -> None:
        """Make `run` return soon; safe to call from a signal handler of the event loop."""
        self._stopped.set()

    def retry_now(self) -> None:
        """Poll now, and retry paused and failing sinks now."""
        self._wait_until = None
        if isinstance(self._source, FirstAnswering):
            self._source.retry_now()
        self._poll_now.set()
        for delivery in self._deliveries:
            delivery.retry_now()

    async def status(self) -> Status:
        """The collector's status. Raises `OutboxError`."""
        return await self._outbox.status()

    @property
    def errors(self) -> Mapping[str, SSTCloudError]:
        """The last error of each sink or handler, by name."""
        return {
            delivery.name: delivery.error
            for delivery in self._deliveries
            if delivery.error is not None
        }

    @property
    def loss(self) -> OutboxError | None:
        """What would be lost if the program ended now; None if everything is on disk."""
        return self._commit_buffer.loss

    @property
    def _has_never_succeeded(self) -> bool:
        return "last_success" not in self._notes

    async def _poll(self, *, last: bool) -> None:
        if self._wait_until is not None:
            remaining = self._wait_until - self._clock.now()
            if (
                timedelta(0) < remaining <= LOGIN_PAUSE
            ):  # otherwise the pause is over, or the clock has been set back
                if self._commit_buffer.error is not None:
                    await self._commit_buffer.commit((), (), self._notes)
                return
        self._wait_until = None
        time = self._clock.now()
        try:
            snapshot, readings = await read_source(self._source)
        except SSTCloudError as error:
            await self._handle_failure(time, error, last=last)
        except Exception as error:
            if last or self._has_never_succeeded:
                raise
            _log.exception("unexpected error while polling")
            unexpected = SSTCloudError(f"{type(error).__name__}: {error}")
            await self._handle_failure(time, unexpected, last=False)
        else:
            await self._handle_snapshot(snapshot, readings)

    async def _handle_snapshot(self, snapshot: Snapshot, readings: Sequence[Reading]) -> None:
        if self._source_error is not None:
            _log.warning("%s is responding again", snapshot.source)
            self._source_error = None
        self._log_missing(snapshot)
        # The last total may be from another source, and older than this one would hide it.
        refresh = DEFAULT_REFRESH if snapshot.refresh is None else snapshot.refresh
        longest = max(refresh, self._refresh)
        self._refresh = refresh
        result = validate(
            self._validation, readings, snapshot.counters, self._validation_rules, longest
        )
        local_zone = self._clock.now().astimezone().tzinfo or UTC
        self._zones = {house.id: house.zone or local_zone for house in snapshot.houses}
        self._validation = result.state
        self.latest = result.readings
        if snapshot.houses:
            self._notes["houses"] = houses_note(snapshot.houses)
        self._notes |= {
            "last_success": format_time(snapshot.time),
            "source_error": "",
            "source_error_since": "",
        }
        self._note_sources(snapshot.time, None)
        poll = Poll(snapshot.time, result.readings, len(result.redelivered), result.events)
        await self._finish(poll, [*result.redelivered, *result.readings], longest)

    async def _handle_failure(self, time: datetime, error: SSTCloudError, *, last: bool) -> None:
        if last or (self._has_never_succeeded and not isinstance(error, TRANSIENT)):
            raise error
        name, reason = self._source_name, reason_of(error)
        if self._source_error is None:
            _log.warning("cannot read %s: %s; retrying at every poll", name, reason)
            self._notes["source_error_since"] = format_time(time)
        elif type(error) is not type(self._source_error):
            _log.info("still cannot read %s: %s", name, reason)
        self._source_error = error
        if isinstance(error, AuthenticationError):
            self._wait_until = time + LOGIN_PAUSE
        failed_polls = 1 + int(self._notes.get("failed_polls", 0))
        self._notes |= {"source_error": reason, "failed_polls": str(failed_polls)}
        self._note_sources(time, error)
        await self._finish(Poll(time, error=error), (), self._refresh)

    def _note_sources(self, time: datetime, error: SSTCloudError | None) -> None:
        """Note the outcome of a poll for each source that was asked."""
        source = self._source
        outcomes: Mapping[str, SSTCloudError | None] = {self._source_name: error}
        names: Sequence[str] = [self._source_name]
        if isinstance(source, FirstAnswering):
            outcomes, names = source.outcomes, source.names
        earlier = {status.name: status for status in sources_from(self._notes)}
        statuses = {name: earlier.get(name, SourceStatus(name=name)) for name in names}
        for name, outcome in outcomes.items():
            reason = None if outcome is None else reason_of(outcome)
            statuses[name] = statuses[name].after_poll(time, reason)
        self._notes["sources"] = sources_note(statuses.values())

    async def _finish(self, poll: Poll, readings: Sequence[Reading], refresh: timedelta) -> None:
        """Detect alarms, commit, and report the poll."""
        alarms, self._alarms = detect_alarms(
            self._alarms,
            poll.readings,
            poll.time,
            zones=self._zones,
            rules=self._alarm_rules,
            source=self._source_name,
            refresh=refresh,
        )
        events = (*poll.events, *alarms)
        for event in events:
            _log.warning("%s", event.message, extra={"event": event.as_dict()})
        self._notes |= {
            "polls": str(1 + int(self._notes.get("polls", 0))),
            "last_poll": format_time(poll.time),
            "validation": self._validation.to_json(),
            "alarms": self._alarms.to_json(),
        }
        committed = await self._commit_buffer.commit(readings, events, self._notes)
        self._on_poll(attrs.evolve(poll, events=events, committed=committed))

    def _log_missing(self, snapshot: Snapshot) -> None:
        """Log what is unreadable or missing once, not at every poll."""
        messages = set(snapshot.problems)
        messages |= {
            f"the time zone of house {house.id} is not known; using this machine's time zone for "
            "its nights"
            for house in snapshot.houses
            if house.zone is None
        }
        for message in sorted(messages - self._logged_missing):
            _log.warning("%s", message)
        self._logged_missing = messages

    def _stop_if_all_sinks_are_closed(self, error: SSTCloudError) -> None:
        sinks = [each for each in self._deliveries if each.stream is Stream.READINGS]
        are_closed = all(isinstance(sink.error, SinkClosedError) for sink in sinks)
        if isinstance(error, SinkClosedError) and are_closed:
            self._closed = error
            self.stop()

    async def _wait_idle(self) -> None:
        """Wait until every sink has received everything, or has failed."""
        if self._commit_buffer.error is not None:
            raise self._commit_buffer.error
        await asyncio.gather(*(delivery.wait_idle() for delivery in self._deliveries))

    async def _run_unless_stopped(self, work: Coroutine[None, None, None]) -> None:
        """Run to completion, or until `stop` is called."""
        work_task = asyncio.create_task(work)
        stop_task = asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait({work_task, stop_task}, return_when=asyncio.FIRST_COMPLETED)
            if work_task.done():
                work_task.result()
        finally:
            for task in (work_task, stop_task):
                task.cancel()
            await asyncio.gather(work_task, stop_task, return_exceptions=True)
