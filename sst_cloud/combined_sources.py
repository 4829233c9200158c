"""Sources made of other sources: limited to some houses, or several as one."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Self

from .clock import Clock, SystemClock
from .errors import TRANSIENT, AuthenticationError, SSTCloudError
from .models import House, Listing, Snapshot
from .models._base import changed
from .source import (
    Source,
    as_house_source,
    choose_houses,
    name_of,
    opened,
    read_snapshot,
    reason_of,
)

_log = logging.getLogger(__name__)

LOGIN_PAUSE: Final = timedelta(hours=1)
"""How long not to ask a source after a failed login: more of them might lock the account."""


class SelectedHouses:
    """A source limited to some houses by name or id, or to meters.

    It can `remember` the list of houses for a while: it rarely changes.
    """

    def __init__(
        self,
        source: Source,
        house_names: Collection[str] = (),
        *,
        counters_only: bool = False,
        remember: timedelta = timedelta(0),
        clock: Clock | None = None,
    ) -> None:
        self._source = source
        self._house_names = house_names
        self._counters_only = counters_only
        self._remember = remember
        self._clock = clock or SystemClock()
        self._houses: Listing[House] | None = None
        self._houses_time = datetime.min.replace(tzinfo=UTC)

    @property
    def name(self) -> str:
        """The name of the source."""
        return name_of(self._source)

    @property
    def refresh(self) -> timedelta:
        """The refresh interval of the source."""
        return self._source.refresh

    async def __aenter__(self) -> Self:
        await self._source.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._source.__aexit__(exc_type, exc, traceback)

    async def snapshot(self) -> Snapshot:
        """The current state of these houses. Raises `SourceError` for an unknown house."""
        house_source = as_house_source(self._source)
        if house_source is None:
            return self._part_of(await read_snapshot(self._source))
        if self._houses is None or self._clock.now() - self._houses_time >= self._remember:
            self._houses_time = self._clock.now()
            self._houses = await house_source.houses()
        houses, self._houses = self._houses, None  # forgotten if anything fails
        snapshot = await house_source.snapshot(
            houses=houses,
            house_ids=choose_houses(self._source, houses, self._house_names),
            counters_only=self._counters_only,
        )
        if not any(item.error or item.kind == "house" for item in snapshot.unreadable):
            self._houses = houses or None
        return snapshot

    def _part_of(self, snapshot: Snapshot) -> Snapshot:
        chosen = choose_houses(self._source, snapshot.houses, self._house_names)
        if self._counters_only:
            snapshot = changed(snapshot, devices=(), wireless_sensors=())
        if chosen is None:
            return snapshot
        return changed(
            snapshot,
            houses=tuple(house for house in snapshot.houses if house.id in chosen),
            devices=tuple(d for d in snapshot.devices if d.house_id in chosen),
            counters=tuple(c for c in snapshot.counters if c.house_id in chosen),
            wireless_sensors=tuple(s for s in snapshot.wireless_sensors if s.house_id in chosen),
        )


class FirstAnswering:
    """Several sources as one: each snapshot comes from the first that answers.

    A source is opened when it is first asked, and again if that failed. After a failed login, it
    is left out for an hour.
    """

    def __init__(self, sources: Sequence[Source], *, clock: Clock | None = None) -> None:
        """Open nothing yet. Raises ValueError if there is no source."""
        if not sources:
            raise ValueError("at least one source is needed")
        self._sources = _by_name(sources)
        self._clock = clock or SystemClock()
        self._opened = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._open_names: set[str] = set()
        self._left_out_until: dict[str, datetime] = {}
        self.answering: Source = sources[0]
        """The source of the last snapshot."""
        self.outcomes: dict[str, SSTCloudError | None] = {}
        """For the last snapshot, by name: why each source that was asked failed, or None."""
        self._errors: dict[str, SSTCloudError] = {}
        """Why each source last failed, by name, unless it has answered since."""

    @property
    def name(self) -> str:
        """The names of all sources."""
        return ", ".join(self._sources)

    @property
    def names(self) -> Sequence[str]:
        """The name of each source, in order."""
        return tuple(self._sources)

    @property
    def refresh(self) -> timedelta:
        """The refresh interval of the source of the last snapshot."""
        return self.answering.refresh

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._open_names.clear()
        return await self._opened.__aexit__(exc_type, exc, traceback)

    def retry_now(self) -> None:
        """Ask sources again that are left out after a failed login."""
        self._left_out_until.clear()

    async def snapshot(self) -> Snapshot:
        """From the first source that answers. Raises an error only if none does.

        It is that of a failed login only if there is no other: callers wait long after that.
        """
        self.outcomes = {}
        for name, source in self._sources.items():
            if self._is_left_out(name):
                continue
            try:
                snapshot = await self._read(name, source)
            except SSTCloudError as error:
                self._note_failure(name, error)
            else:
                if self._errors.pop(name, None) is not None:
                    _log.warning("%s is responding again", name)
                self._left_out_until.pop(name, None)
                self.outcomes[name], self.answering = None, source
                return snapshot
        raise min(self._errors.values(), key=_severity)

    async def _read(self, name: str, source: Source) -> Snapshot:
        async with self._opening:  # snapshots may be asked for at the same time
            if name not in self._open_names:
                await self._opened.enter_async_context(opened(source))
                self._open_names.add(name)
        return changed(await read_snapshot(source), source=name)

    def _note_failure(self, name: str, error: SSTCloudError) -> None:
        if name not in self._errors:
            reason = reason_of(error)
            _log.warning("cannot read %s: %s; asking the next source, if any", name, reason)
        self.outcomes[name] = self._errors[name] = error
        if isinstance(error, AuthenticationError):
            self._left_out_until[name] = self._clock.now() + LOGIN_PAUSE

    def _is_left_out(self, name: str) -> bool:
        until = self._left_out_until.get(name)
        return until is not None and timedelta(0) < until - self._clock.now() <= LOGIN_PAUSE


def _severity(error: SSTCloudError) -> int:
    """Errors that may go away by themselves come first, those of a login last."""
    return 0 if isinstance(error, TRANSIENT) else 1 + isinstance(error, AuthenticationError)


def _by_name(sources: Iterable[Source]) -> Mapping[str, Source]:
    """Sources by their names, which are numbered if they are the same."""
    named: dict[str, Source] = {}
    for source in sources:
        name = first = name_of(source)
        number = 1
        while name in named:
            number += 1
            name = f"{first} {number}"
        named[name] = source
    return named
