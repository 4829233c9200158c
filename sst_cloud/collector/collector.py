"""The collector: poll, judge, watch, commit, deliver."""

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
from sst_cloud.errors import PASSING, AuthenticationError, OutboxError, SSTCloudError
from sst_cloud.measurements import readings_from
from sst_cloud.models import Snapshot
from sst_cloud.readings import Reading, format_time
from sst_cloud.redaction import redact_text
from sst_cloud.sink import Sink
from sst_cloud.source import Source
from sst_cloud.wording import NO_HOUSES

from .consumer import Consumer
from .courier import PAUSE, Courier
from .dead_letters import DeadLetters
from .entries import Limits, Start
from .events import Event
from .grid import EVERY, wait_for_turn
from .judge import JudgeState, judge
from .keeper import Keeper
from .looking import houses_note
from .outbox import Outbox
from .rules import JudgeRules, WatchRules
from .status import Status, Stream
from .watch import WatchState, watch

_log = logging.getLogger(__name__)

GRACE: Final = 3.0
"""Seconds that writes in progress get to finish on shutdown."""
_CLOSING: Final = 1.0
_PAUSE: Final = timedelta(seconds=PAUSE)


@attrs.frozen
class Poll:
    """One poll: the source's response, and what came of it."""

    time: datetime
    readings: Sequence[Reading] = ()
    """Judged."""
    redelivered: int = 0
    """Earlier readings that were suspect and are now good."""
    events: Sequence[Event] = ()
    error: SSTCloudError | None = None
    """Why the poll failed."""
    committed: bool = True
    """Whether it is on disk; if not, it is held in memory until it can be written."""


class Collector:
    """Polls a source and delivers its readings to sinks, without losing any.

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
        judge_rules: JudgeRules | None = None,
        watch_rules: WatchRules | None = None,
        clock: Clock | None = None,
        random: Callable[[], float] = random_module.random,
        on_poll: Callable[[Poll], None] = lambda _: None,
    ) -> None:
        """Open nothing yet. The outbox recognises sinks by name after a restart."""
        self._source = source
        self._every = every
        self._start = start
        self._judge_rules = judge_rules or JudgeRules()
        self._watch_rules = watch_rules or WatchRules()
        self._clock = clock or SystemClock()
        self._random = random
        self._on_poll = on_poll
        self._outbox = Outbox(folder, limits=limits, clock=self._clock)
        letters = DeadLetters(folder)
        self._couriers = [
            Courier(
                name,
                consumer,
                self._outbox,
                stream=stream,
                dead_letters=letters,
                clock=self._clock,
                random=random,
            )
            for stream, consumers in ((Stream.READINGS, sinks), (Stream.EVENTS, handlers or {}))
            for name, consumer in consumers.items()
        ]
        self._keeper = Keeper(self._outbox, self._couriers)
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = asyncio.Event()
        self._told = asyncio.Event()
        self._notes: dict[str, str] = {}
        self._judged = JudgeState()
        self._watched = WatchState()
        self._zones: Mapping[int, tzinfo] = {}
        self._away: SSTCloudError | None = None
        self._wait_until: datetime | None = None
        self._missing: set[str] = set()
        """What was last logged as missing."""
        self.turns: int = 0
        """How many polls have been completed."""
        self.latest: Sequence[Reading] = ()
        """The readings of the last successful poll."""

    async def __aenter__(self) -> Self:
        """Open the outbox and start delivering. Raises `OutboxError` if it is in use."""
        await self._outbox.__aenter__()
        try:
            for courier in self._couriers:
                await self._outbox.join(courier.name, courier.stream, self._start)
            self._notes = await self._outbox.notes()
        except BaseException:
            await self._outbox.__aexit__(None, None, None)
            raise
        self._judged = JudgeState.from_json(self._notes.get("judge", ""))
        self._watched = WatchState.from_json(self._notes.get("watch", ""))
        self._tasks = [asyncio.create_task(courier.run()) for courier in self._couriers]
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
        saving = asyncio.create_task(self._keeper.save(self._notes))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE):
                    await asyncio.gather(*(courier.end() for courier in self._couriers))
            await saving
            await self._keeper.end()
        except OutboxError as loss:
            if isinstance(exc, Exception) and not isinstance(exc, OutboxError):
                unexpected = None if isinstance(exc, SSTCloudError) else exc
                _log.error("ended by an error: %s", exc, exc_info=unexpected)
            raise loss from exc
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=_CLOSING)
            await self._outbox.__aexit__(None, None, None)

    async def run(self, polls: int | None = None) -> None:
        """Poll now, then at multiples of `every`, until stopped or after this many `polls`.

        Temporary errors are retried forever. If no poll has ever succeeded, the first one raises
        errors that need fixing, such as wrong credentials. With `polls`, it returns when everything
        is delivered or a sink has failed.
        """
        for number in count(1):
            last = number == polls
            await self._unless_stopped(self._turn(last=last))
            self.turns += 1
            if last:
                await self._unless_stopped(self._rest())
            if last or self._stopped.is_set():
                return
            await wait_for_turn(self._clock, self._every, self._random, self._stopped, self._told)
            self._told.clear()

    def stop(self) -> None:
        """Make `run` return soon; safe to call from a signal handler of the event loop."""
        self._stopped.set()

    def try_again(self) -> None:
        """Poll now, and retry paused and failing sinks now."""
        self._wait_until = None
        self._told.set()
        for courier in self._couriers:
            courier.try_again()

    async def status(self) -> Status:
        """The collector's status. Raises `OutboxError`."""
        return await self._outbox.status()

    @property
    def errors(self) -> Mapping[str, SSTCloudError]:
        """The last error of each sink or handler, by name."""
        return {c.name: c.error for c in self._couriers if c.error is not None}

    @property
    def loss(self) -> OutboxError | None:
        """What would be lost if the program ended now; None if everything is on disk."""
        return self._keeper.loss

    @property
    def _never_worked(self) -> bool:
        return "last_success" not in self._notes

    async def _turn(self, *, last: bool) -> None:
        if self._wait_until is not None:
            left = self._wait_until - self._clock.now()
            if (
                timedelta(0) < left <= _PAUSE
            ):  # otherwise it is over, or the clock has been set back
                if self._keeper.error is not None:
                    await self._keeper.keep((), (), self._notes)
                return
        self._wait_until = None
        asked = self._clock.now()
        try:
            snapshot = await self._source.snapshot()
            readings = readings_from(snapshot)
        except SSTCloudError as error:
            await self._no_answer(asked, error, last=last)
        except Exception as error:
            if last or self._never_worked:
                raise
            _log.exception("unexpected error while polling")
            strange = SSTCloudError(redact_text(f"{type(error).__name__}: {error}"))
            await self._no_answer(asked, strange, last=False)
        else:
            await self._answer(snapshot, readings)

    async def _answer(self, snapshot: Snapshot, readings: Sequence[Reading]) -> None:
        if self._away is not None:
            _log.warning("the cloud is responding again")
            self._away = None
        self._tell_missing(snapshot)
        verdict = judge(self._judged, readings, snapshot.counters, self._judge_rules)
        here = self._clock.now().astimezone().tzinfo or UTC
        self._zones = {house.id: house.zone or here for house in snapshot.houses}
        self._judged = verdict.state
        self.latest = verdict.readings
        if snapshot.houses:
            self._notes["houses"] = houses_note(snapshot.houses)
        self._notes |= {
            "last_success": format_time(snapshot.time),
            "source_error": "",
            "source_error_since": "",
        }
        done = Poll(snapshot.time, verdict.readings, len(verdict.redelivered), verdict.events)
        await self._finish(done, [*verdict.redelivered, *verdict.readings])

    async def _no_answer(self, asked: datetime, error: SSTCloudError, *, last: bool) -> None:
        if last or (self._never_worked and not isinstance(error, PASSING)):
            raise error
        if self._away is None:
            _log.warning("cannot read the cloud: %s; retrying at every poll", error)
            self._notes["source_error_since"] = format_time(asked)
        elif type(error) is not type(self._away):
            _log.info("still cannot read the cloud: %s", error)
        self._away = error
        if isinstance(error, AuthenticationError):  # repeated logins might lock the account
            self._wait_until = asked + _PAUSE
        failed = 1 + int(self._notes.get("failed_polls", 0))
        self._notes |= {"source_error": str(error), "failed_polls": str(failed)}
        await self._finish(Poll(asked, error=error), ())

    async def _finish(self, done: Poll, readings: Sequence[Reading]) -> None:
        """Watch, commit, report."""
        noticed, self._watched = watch(
            self._watched, done.readings, done.time, zones=self._zones, rules=self._watch_rules
        )
        events = (*done.events, *noticed)
        for event in events:
            _log.warning("%s", event.message, extra={"event": event.as_dict()})
        self._notes |= {
            "polls": str(1 + int(self._notes.get("polls", 0))),
            "last_poll": format_time(done.time),
            "judge": self._judged.to_json(),
            "watch": self._watched.to_json(),
        }
        committed = await self._keeper.keep(readings, events, self._notes)
        self._on_poll(attrs.evolve(done, events=events, committed=committed))

    def _tell_missing(self, snapshot: Snapshot) -> None:
        """Log what is unreadable or missing once, not at every poll."""
        now = {f"{bad.kind} {bad.id} cannot be read: {bad.reason}" for bad in snapshot.unreadable}
        if not (snapshot.houses or snapshot.unreadable):
            now.add(NO_HOUSES)
        now |= {
            f"the time zone of house {house.id} is not known; using this machine's time zone for "
            "its nights"
            for house in snapshot.houses
            if house.zone is None
        }
        for words in sorted(now - self._missing):
            _log.warning("%s", words)
        self._missing = now

    async def _rest(self) -> None:
        """Wait until every sink has received everything, or has failed."""
        if self._keeper.error is not None:
            raise self._keeper.error
        await asyncio.gather(*(courier.rest() for courier in self._couriers))

    async def _unless_stopped(self, work: Coroutine[None, None, None]) -> None:
        """Run to completion, or until `stop` is called."""
        doing = asyncio.create_task(work)
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                doing.result()
        finally:
            for task in (doing, stopped):
                task.cancel()
            await asyncio.gather(doing, stopped, return_exceptions=True)
