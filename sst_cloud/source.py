"""The port for whatever gives snapshots: an SST Cloud account, modules at home."""

import asyncio
import logging
import sys
import traceback as tracebacks
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from types import TracebackType
from typing import ClassVar, Final, Protocol, Self, TypeVar, runtime_checkable

from .errors import SourceError, SSTCloudError
from .models import Device, House, Listing, Snapshot
from .models._base import changed
from .plugin_url import Option, SourceURL, choice
from .redaction import redact_text

__all__ = [
    "DEFAULT_REFRESH",
    "DEFAULT_SOURCE",
    "HouseSource",
    "Option",
    "Source",
    "SourceType",
    "SourceURL",
    "as_house_source",
    "choice",
    "choose_houses",
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


def as_house_source(source: Source) -> HouseSource | None:
    """The source, if it has the methods: data of these names are something else."""
    if not isinstance(source, HouseSource):
        return None
    has_methods = all(callable(getattr(source, name)) for name in ("houses", "devices"))
    return source if has_methods else None


async def read_houses(source: Source) -> Snapshot:
    """A snapshot with the houses; nothing else is read if possible. Raises `SSTCloudError`."""
    house_source = as_house_source(source)
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
    house_source = as_house_source(source)
    if house_source is None:
        snapshot = await read_snapshot(source)
        houses: Sequence[House] = snapshot.houses
        chosen = choose_houses(source, houses, house_names)
        return houses, [d for d in snapshot.devices if chosen is None or d.house_id in chosen]
    with errors_of(source):
        houses = await house_source.houses()
        chosen = choose_houses(source, houses, house_names)
        ids = dict.fromkeys(house.id for house in houses if chosen is None or house.id in chosen)
        listings = await asyncio.gather(*map(house_source.devices, ids))
    return houses, [device for listing in listings for device in listing]


def choose_houses(
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
