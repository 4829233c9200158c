"""The port for whatever gives snapshots: an SST Cloud account, modules at home, several as one."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import ClassVar, Final, Protocol, Self, runtime_checkable

from .clock import Clock, SystemClock
from .errors import TRANSIENT, AuthenticationError, SourceError, SSTCloudError
from .models import Device, House, Listing, Snapshot
from .models._base import changed
from .plugin_url import Option, SourceURL, choice
from .redaction import redact_text

__all__ = [
    "DEFAULT_REFRESH",
    "DEFAULT_SOURCE",
    "LOGIN_PAUSE",
    "FirstAnswering",
    "HouseSource",
    "Option",
    "SelectedHouses",
    "Source",
    "SourceType",
    "SourceURL",
    "choice",
    "read_devices",
    "read_houses",
    "read_snapshot",
]

_log = logging.getLogger(__name__)

DEFAULT_SOURCE: Final = "cloud:"
"""The source if none is named."""
DEFAULT_REFRESH: Final = timedelta(minutes=10)
"""For data whose source is not known, such as readings in a store: that of SST Cloud."""
LOGIN_PAUSE: Final = timedelta(hours=1)
"""How long not to ask a source after a failed login: more of them might lock the account."""


class Source(Protocol):
    """Gives snapshots; an async context manager. One that also takes commands is a `Controls`."""

    @property
    def name(self) -> str:
        """What messages, status and metrics call it; without secrets."""
        ...

    @property
    def refresh(self) -> timedelta:
        """How often it can know something new, and so how old a total may be when read."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None: ...

    async def snapshot(self) -> Snapshot:
        """Read everything. Raises `SSTCloudError`; one of `errors.TRANSIENT` to be asked again."""
        ...


@runtime_checkable
class HouseSource(Protocol):
    """A source that can be asked for its houses first, and then for a part of them."""

    async def houses(self) -> Listing[House]:
        """All houses."""
        ...

    async def devices(self, house_id: int) -> Listing[Device]:
        """The devices of a house."""
        ...

    async def snapshot(
        self,
        *,
        houses: Listing[House] | None = None,
        house_ids: Collection[int] | None = None,
        counters_only: bool = False,
    ) -> Snapshot:
        """Read some houses, or only their meters; `houses` is an earlier list of all of them."""
        ...


class SourceType(Protocol):
    """What an entry point of the group refers to; usually the source's class.

    It may also have `secrets`, a sequence of the names that its sources look up in
    `SourceURL.secrets`: commands that the collector runs do not get them.
    """

    target: ClassVar[str]
    """What follows the colon, for display: `HOST[:PORT]`, or empty."""
    options: ClassVar[Sequence[Option]]

    @classmethod
    def from_url(cls, url: SourceURL) -> Source:
        """Create a source from its URL, without opening anything. Raises `SourceOptionsError`."""
        ...


async def read_snapshot(source: Source) -> Snapshot:
    """A snapshot that knows where it comes from. Raises `SSTCloudError`."""
    snapshot = await source.snapshot()
    return changed(
        snapshot,
        source=redact_text(snapshot.source or source.name),
        refresh=source.refresh if snapshot.refresh is None else snapshot.refresh,
    )


async def read_houses(source: Source) -> Snapshot:
    """A snapshot with the houses; nothing else is read if possible. Raises `SSTCloudError`."""
    if not isinstance(source, HouseSource):
        return await read_snapshot(source)
    houses = await source.houses()
    nothing_else = await source.snapshot(houses=houses, house_ids=())
    return changed(nothing_else, houses=tuple(houses))


async def read_devices(
    source: Source, house_names: Collection[str] = ()
) -> tuple[Sequence[House], list[Device]]:
    """The houses and their devices, limited to some houses; nothing else is read if possible.

    Raises `SourceError` for an unknown house.
    """
    if not isinstance(source, HouseSource):
        snapshot = await source.snapshot()
        houses: Sequence[House] = snapshot.houses
        chosen = _chosen_ids(source, houses, house_names)
        return houses, [d for d in snapshot.devices if chosen is None or d.house_id in chosen]
    houses = await source.houses()
    chosen = _chosen_ids(source, houses, house_names)
    ids = dict.fromkeys(house.id for house in houses if chosen is None or house.id in chosen)
    listings = await asyncio.gather(*map(source.devices, ids))
    return houses, [device for listing in listings for device in listing]


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
        return self._source.name

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
        if not isinstance(self._source, HouseSource):
            return self._part_of(await self._source.snapshot())
        if self._houses is None or self._clock.now() - self._houses_time >= self._remember:
            self._houses_time = self._clock.now()
            self._houses = await self._source.houses()
        houses, self._houses = self._houses, None  # forgotten if anything fails
        snapshot = await self._source.snapshot(
            houses=houses,
            house_ids=_chosen_ids(self._source, houses, self._house_names),
            counters_only=self._counters_only,
        )
        if not any(item.error or item.kind == "house" for item in snapshot.unreadable):
            self._houses = houses or None
        return snapshot

    def _part_of(self, snapshot: Snapshot) -> Snapshot:
        chosen = _chosen_ids(self._source, snapshot.houses, self._house_names)
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


def _chosen_ids(
    source: Source, houses: Sequence[House], house_names: Iterable[str]
) -> set[int] | None:
    """The ids of the named houses, None for all. Raises `SourceError` for an unknown one."""
    unreadable = getattr(houses, "unreadable", ())
    chosen: set[int] = set()
    for name in house_names:
        ids = {house.id for house in houses if name in (house.name, str(house.id))}
        ids |= {item.id for item in unreadable if name == str(item.id)}
        if not ids:
            listing = ", ".join(f"{house.name} ({house.id})" for house in houses) or "none"
            raise SourceError(f"there is no house {name!r}; {source.name} has: {listing}")
        chosen |= ids
    return chosen or None


class FirstAnswering:
    """Several sources as one: each snapshot comes from the first that answers.

    A source is opened when it is first asked, and again if that failed. After a failed login, it
    is left out for an hour.
    """

    def __init__(self, sources: Sequence[Source], *, clock: Clock | None = None) -> None:
        self._sources = _by_name(sources)
        self._clock = clock or SystemClock()
        self._opened = AsyncExitStack()
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
        """From the first source that answers. Raises an error only if none does."""
        self.outcomes = {}
        for name, source in self._sources.items():
            if self._is_left_out(name):
                continue
            try:
                snapshot = await self._read(name, source)
            except SSTCloudError as error:
                self._note_failure(name, error)
            except Exception as error:  # noqa: BLE001  a third party's may raise anything
                _log.exception("unexpected error of %s", name)
                self._note_failure(
                    name, SSTCloudError(redact_text(f"{type(error).__name__}: {error}"))
                )
            else:
                if self._errors.pop(name, None) is not None:
                    _log.warning("%s is responding again", name)
                self.outcomes[name], self.answering = None, source
                return snapshot
        errors = list(self._errors.values())
        raise next((error for error in errors if isinstance(error, TRANSIENT)), errors[0])

    async def _read(self, name: str, source: Source) -> Snapshot:
        if name not in self._open_names:
            await self._opened.enter_async_context(source)
            self._open_names.add(name)
        return changed(await read_snapshot(source), source=name)

    def _note_failure(self, name: str, error: SSTCloudError) -> None:
        if name not in self._errors:
            _log.warning("cannot read %s: %s; asking the next source, if any", name, error)
        self.outcomes[name] = self._errors[name] = error
        if isinstance(error, AuthenticationError):
            self._left_out_until[name] = self._clock.now() + LOGIN_PAUSE

    def _is_left_out(self, name: str) -> bool:
        until = self._left_out_until.get(name)
        return until is not None and timedelta(0) < until - self._clock.now() <= LOGIN_PAUSE


def _by_name(sources: Iterable[Source]) -> Mapping[str, Source]:
    """Sources by their names, which are numbered if they are the same."""
    named: dict[str, Source] = {}
    for source in sources:
        name = first = redact_text(source.name)
        number = 1
        while name in named:
            number += 1
            name = f"{first} {number}"
        named[name] = source
    return named
