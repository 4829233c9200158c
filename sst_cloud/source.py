"""The port for whatever gives snapshots: an SST Cloud account, modules at home, several as one."""

import asyncio
import logging
import sys
import traceback as tracebacks
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import ClassVar, Final, Protocol, Self, TypeVar, runtime_checkable

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
    "errors_of",
    "name_of",
    "opened",
    "read_devices",
    "read_houses",
    "read_snapshot",
    "reason_of",
    "refresh_of",
]

_log = logging.getLogger(__name__)

DEFAULT_SOURCE: Final = "cloud:"
"""The source if none is named."""
DEFAULT_REFRESH: Final = timedelta(minutes=10)
"""For data whose source is not known, such as readings in a store: that of SST Cloud."""
LOGIN_PAUSE: Final = timedelta(hours=1)
"""How long not to ask a source after a failed login: more of them might lock the account."""

_LONGEST_REFRESH: Final = timedelta(days=366)
_NAME_LENGTH: Final = 100
_REASON_LENGTH: Final = 1000
_TRACEBACK_FRAMES: Final = 20
_EXCERPT_LENGTH: Final = 10_000
"""Characters that are searched for secrets: only the first are shown."""


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


S = TypeVar("S", bound=Source)


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


def name_of(source: object) -> str:
    """The name of a source on one line, short, and without secrets, whatever it says itself."""
    try:
        name = _one_line(source.name)  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001  a third party's may raise anything, or be no text
        name = ""
    return name or type(source).__name__


def _one_line(text: str) -> str:
    text = "".join(c if c.isprintable() else " " for c in text[:_EXCERPT_LENGTH])
    return redact_text(" ".join(text.split()))[:_NAME_LENGTH]


def refresh_of(source: Source) -> timedelta:
    """The refresh interval of a source. Raises `SourceError` for one that cannot be."""
    with errors_of(source):
        return _possible_refresh(source.refresh)


def _possible_refresh(refresh: object) -> timedelta:
    if isinstance(refresh, timedelta) and timedelta(0) <= refresh <= _LONGEST_REFRESH:
        return refresh
    raise SourceError(f"a refresh interval must be a timedelta of 0 to 366 days, not {refresh!r}")


def reason_of(error: Exception) -> str:
    """What an error of a source says, short and without secrets."""
    try:
        text = redact_text(str(error)[:_EXCERPT_LENGTH])
    except Exception:  # noqa: BLE001  its __str__ fails
        text = ""
    return text[:_REASON_LENGTH] or type(error).__name__


@contextmanager
def errors_of(source: object) -> Iterator[None]:
    """Within it, what a third party's source raises becomes a `SourceError`."""
    try:
        yield
    except SSTCloudError:
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise SourceError(f"{name_of(source)} cancelled its own work") from error
    except Exception as error:
        if _log.isEnabledFor(logging.DEBUG):
            text = "".join(tracebacks.format_exception(error, limit=-_TRACEBACK_FRAMES))
            _log.debug("%s raised:\n%s", name_of(source), redact_text(text[:_EXCERPT_LENGTH]))
        raise SourceError(f"{type(error).__name__}: {reason_of(error)}") from error


@asynccontextmanager
async def opened(source: S) -> AsyncIterator[S]:
    """Open a source, and close it, which cannot hide what was done. Raises `SSTCloudError`."""
    with errors_of(source):
        await source.__aenter__()
    try:
        yield source
    finally:
        try:
            with errors_of(source):
                await source.__aexit__(*sys.exc_info())
        except SSTCloudError as error:
            _log.warning("cannot close %s: %s", name_of(source), reason_of(error))


async def read_snapshot(source: Source) -> Snapshot:
    """A snapshot that knows where it comes from.

    Raises `SSTCloudError`, for anything that a third party's source does.
    """
    with errors_of(source):
        return _with_origin(await source.snapshot(), source)


def _with_origin(snapshot: object, source: Source) -> Snapshot:
    if not isinstance(snapshot, Snapshot):
        raise SourceError(f"{name_of(source)} gave no Snapshot, but {type(snapshot).__name__}")
    if snapshot.time.tzinfo is None:
        raise SourceError(f"a snapshot of {name_of(source)} has a time without a time zone")
    return changed(
        snapshot,
        source=_one_line(snapshot.source) or name_of(source),
        refresh=_possible_refresh(source.refresh if snapshot.refresh is None else snapshot.refresh),
    )


def _as_house_source(source: Source) -> HouseSource | None:
    """The source, if it has the methods: data of these names are something else."""
    if not isinstance(source, HouseSource):
        return None
    has_methods = all(callable(getattr(source, name)) for name in ("houses", "devices"))
    return source if has_methods else None


async def read_houses(source: Source) -> Snapshot:
    """A snapshot with the houses; nothing else is read if possible. Raises `SSTCloudError`."""
    house_source = _as_house_source(source)
    if house_source is None:
        return await read_snapshot(source)
    with errors_of(source):
        houses = await house_source.houses()
        nothing_else = await house_source.snapshot(houses=houses, house_ids=())
        return changed(_with_origin(nothing_else, source), houses=tuple(houses))


async def read_devices(
    source: Source, house_names: Collection[str] = ()
) -> tuple[Sequence[House], list[Device]]:
    """The houses and their devices, limited to some houses; nothing else is read if possible.

    Raises `SourceError` for an unknown house.
    """
    house_source = _as_house_source(source)
    if house_source is None:
        snapshot = await read_snapshot(source)
        houses: Sequence[House] = snapshot.houses
        chosen = _chosen_ids(source, houses, house_names)
        return houses, [d for d in snapshot.devices if chosen is None or d.house_id in chosen]
    with errors_of(source):
        houses = await house_source.houses()
        chosen = _chosen_ids(source, houses, house_names)
        ids = dict.fromkeys(house.id for house in houses if chosen is None or house.id in chosen)
        listings = await asyncio.gather(*map(house_source.devices, ids))
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
        house_source = _as_house_source(self._source)
        if house_source is None:
            return self._part_of(await read_snapshot(self._source))
        if self._houses is None or self._clock.now() - self._houses_time >= self._remember:
            self._houses_time = self._clock.now()
            self._houses = await house_source.houses()
        houses, self._houses = self._houses, None  # forgotten if anything fails
        snapshot = await house_source.snapshot(
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
            raise SourceError(f"there is no house {name!r}; {name_of(source)} has: {listing}")
        chosen |= ids
    return chosen or None


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
