"""The port towards stores: what a sink is, how one is named by a URL, how one is found."""

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, Self, runtime_checkable
from urllib.parse import parse_qsl, unquote

import attrs

from .enums import Quantity
from .errors import SinkOptionsError, UnknownSinkError
from .readings import Reading
from .redaction import is_sensitive, redact_text

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "sst_cloud.sinks"
"""The entry-point group in which sinks are found."""

_OURS: Final = "sst-cloud"
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")


@attrs.frozen
class Rejection:
    """A reading the store will never take, and why."""

    reading: Reading
    reason: str


@attrs.frozen
class WriteReport:
    """What became of the readings of one write."""

    accepted: int = 0
    rejected: tuple[Rejection, ...] = ()


class Sink(Protocol):
    """Something that stores readings; an async context manager."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None: ...

    async def check(self) -> None:
        """Ask whether writing would work; writes nothing. Raises as `write` does."""
        ...

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        """Store readings; what is accepted is durable when this returns.

        Raises `SinkUnavailableError` (try again) or `SinkRefusedError` (do not) if the write
        failed as a whole. Readings that are rejected one by one are in the report.
        """
        ...


@runtime_checkable
class History(Protocol):
    """A sink that can be read."""

    def read(
        self, quantity: Quantity, since: datetime | None = None, until: datetime | None = None
    ) -> AsyncIterator[Reading]:
        """Readings of one quantity with `since` <= time < `until`, oldest first."""
        ...

    async def latest(self) -> Sequence[Reading]:
        """The newest reading of every series."""
        ...


@runtime_checkable
class WarmUp(Protocol):
    """A sink that takes long to get ready, and can begin while there is something else to do."""

    async def warm_up(self) -> None:
        """Get ready for the first write, which would otherwise do it."""
        ...


@runtime_checkable
class CheckedHistory(Protocol):
    """A history that can tell a store that is not there from one that holds nothing."""

    async def check_readable(self) -> None:
        """Raise `SinkRefusedError` if there is no store, or it holds something else."""
        ...


class Guarantee(StrEnum):
    """What a sink promises about a reading that is written twice."""

    IDEMPOTENT = "a reading written again changes nothing"
    APPENDS = "a reading written again is stored again"
    FLEETING = "nothing is kept"


@attrs.frozen
class Option:
    """An option of a sink's URL. `convert` raises ValueError with what it expects."""

    name: str
    help: str
    convert: Callable[[str], Any] = str


def choice(*allowed: str) -> Callable[[str], str]:
    """Converter for an option with a closed set of values."""

    def convert(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return text

    return convert


@attrs.frozen
class SinkURL:
    """A sink's name: `scheme:target?option=value&…`."""

    scheme: str
    target: str
    options: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> "SinkURL":
        """Take a sink URL apart. Raises `SinkOptionsError`."""
        scheme, colon, rest = text.partition(":")
        if not colon or not _SCHEME.fullmatch(scheme):
            shown = redact_text(text)
            raise SinkOptionsError(
                f"{shown!r} is not a sink URL; write one like csv:readings.csv or sqlite:home.db"
            )
        target, _, query = rest.partition("?")
        options: dict[str, str] = {}
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        except ValueError:
            raise SinkOptionsError(
                f"the options of the {scheme} sink must look like ?name=value&name=value"
            ) from None
        for name, value in pairs:
            if name in options:
                raise SinkOptionsError(f"option {name!r} of the {scheme} sink is given twice")
            options[name] = value
        return cls(scheme.lower(), target, options)

    def convert(self, known: Sequence[Option]) -> dict[str, Any]:
        """The values of the options given. Raises `SinkOptionsError` for one that is not known."""
        converters = {option.name: option.convert for option in known}
        values: dict[str, Any] = {}
        for name, text in self.options.items():
            if name not in converters:
                hint = ", ".join(converters) or "none"
                secret = "; secrets come from the environment" if is_sensitive(name) else ""
                raise SinkOptionsError(
                    f"the {self.scheme} sink has no option {name!r} (it knows: {hint}){secret}"
                )
            try:
                values[name] = converters[name](text)
            except ValueError as error:
                raise SinkOptionsError(
                    f"option {name!r} of the {self.scheme} sink must be {error}"
                ) from None
        return values

    def path(self) -> Path:
        """The target as a path of the file system; `~` is the home folder."""
        target = unquote(self.target)
        hostlike = target.startswith("//") and not target.startswith("///")
        if not target or hostlike or "\0" in target:
            raise SinkOptionsError(f"the {self.scheme} sink needs a path: {self.scheme}:PATH")
        try:
            return Path(target).expanduser()
        except RuntimeError:
            raise SinkOptionsError(f"{target}: no such user") from None

    def no_target(self) -> None:
        """Refuse a target, for sinks that have none."""
        if self.target:
            raise SinkOptionsError(f"the {self.scheme} sink takes no target: {self.scheme}:")


class SinkType(Protocol):
    """What an entry point of the group names; usually the sink's class itself."""

    target: ClassVar[str]
    """What stands after the colon, for people: `PATH`, `DATABASE/TABLE`, or empty."""
    options: ClassVar[Sequence[Option]]
    guarantee: ClassVar[Guarantee]

    @classmethod
    def from_url(cls, url: SinkURL) -> Sink:
        """Make a sink from its URL; touches nothing yet. Raises `SinkOptionsError`."""
        ...


@attrs.frozen
class InstalledSink:
    """An entry point of the group, not loaded yet."""

    scheme: str
    distribution: str
    """Name and version of the distribution that brings it."""
    entry_point: "EntryPoint" = attrs.field(repr=False)

    def load(self) -> type[SinkType]:
        """Import the sink. Raises `UnknownSinkError` naming the distribution if that fails."""
        try:
            sink_type: type[SinkType] = self.entry_point.load()
            _ = (sink_type.target, sink_type.options, sink_type.guarantee, sink_type.from_url)
        except Exception as error:
            raise UnknownSinkError(
                f"the {self.scheme} sink of {self.distribution} cannot be loaded: "
                f"{type(error).__name__}: {error}"
            ) from error
        return sink_type


def installed_sinks() -> tuple[InstalledSink, ...]:
    """All sinks that are installed, ours and other people's, without importing any."""
    from importlib.metadata import entry_points  # noqa: PLC0415  costs 60 ms, needed only here

    found = set()
    for entry_point in entry_points(group=GROUP):
        dist = entry_point.dist
        origin = f"{dist.name} {dist.version}" if dist else "an unnamed distribution"
        found.add(InstalledSink(entry_point.name, origin, entry_point))
    return tuple(sorted(found, key=lambda sink: (sink.scheme, sink.distribution)))


def open_sink(url: str) -> Sink:
    """Make the sink a URL names; use it as an async context manager.

    Raises `UnknownSinkError` or `SinkOptionsError`. Only the sink asked for is imported.
    """
    parsed = SinkURL.parse(url)
    found = [sink for sink in installed_sinks() if sink.scheme == parsed.scheme]
    ours = [sink for sink in found if sink.distribution.split()[0] == _OURS]
    if not found:
        known = ", ".join(sorted({sink.scheme for sink in installed_sinks()})) or "none"
        raise UnknownSinkError(f"there is no {parsed.scheme!r} sink (installed: {known})")
    if len(found) > 1 and not ours:
        origins = " and ".join(sink.distribution for sink in found)
        raise UnknownSinkError(f"{origins} both bring a {parsed.scheme} sink; remove one of them")
    return (ours or found)[0].load().from_url(parsed)
