"""The interface to stores: what a sink is, how a URL names one, how it is found."""

import os
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, Self, runtime_checkable
from urllib.parse import parse_qsl, unquote

import attrs

from .enums import Quantity
from .errors import SinkOptionsError, UnknownSinkError
from .readings import Reading
from .redaction import MASK, is_sensitive, redact, redact_text

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "sst_cloud.sinks"
"""The entry-point group of sinks."""

_OURS: Final = "sst-cloud"
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_OPTION: Final = re.compile(r"[a-z][a-z_-]{0,30}", re.IGNORECASE)
"""A name that may be shown: anything else may be a secret in the wrong place."""


@attrs.frozen
class Rejection:
    """A reading that the store will never accept, and why."""

    reading: Reading
    reason: str


@attrs.frozen
class WriteReport:
    """The outcome of one write."""

    accepted: int = 0
    rejected: tuple[Rejection, ...] = ()


class Sink(Protocol):
    """Stores readings; an async context manager."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None: ...

    async def check(self) -> None:
        """Check whether writing would work, without writing. Raises as `write` does."""
        ...

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        """Store readings; accepted ones are durable when this returns.

        Raises `SinkUnavailableError` (retry) or `SinkRefusedError` (do not retry) if the whole
        write failed. Readings rejected individually are in the report.
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
    """A sink that is slow to set up, and can start early, in the background."""

    async def warm_up(self) -> None:
        """Prepare for the first write, which would otherwise have to."""
        ...


@runtime_checkable
class CheckedHistory(Protocol):
    """A history that can tell a missing store from an empty one."""

    async def check_readable(self) -> None:
        """Raise `SinkRefusedError` if the store does not exist or contains something else."""
        ...


class Guarantee(StrEnum):
    """What happens when a reading is written twice."""

    IDEMPOTENT = "a reading written again changes nothing"
    APPENDS = "a reading written again is stored again"
    FLEETING = "nothing is kept"


@attrs.frozen
class Option:
    """An option in a sink's URL. `convert` raises ValueError with what it expects."""

    name: str
    help: str
    convert: Callable[[str], Any] = str


def choice(*allowed: str) -> Callable[[str], str]:
    """Converter for an option with a fixed set of values."""

    def convert(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return text

    return convert


def _read_only(secrets: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(secrets)


@attrs.frozen
class SinkURL:
    """A sink's name: `scheme:target?option=value&…`, and the secrets that are not in it."""

    scheme: str
    target: str = attrs.field(repr=lambda target: repr(redact_text(target)))
    options: Mapping[str, str] = attrs.field(repr=lambda options: repr(redact(options)))
    secrets: Mapping[str, str] = attrs.field(
        factory=lambda: os.environ, converter=_read_only, repr=False, eq=False
    )
    """Name → value; by default the environment of this process."""

    @classmethod
    def parse(cls, text: str, secrets: Mapping[str, str] | None = None) -> "SinkURL":
        """Parse a sink URL. Raises `SinkOptionsError`."""
        scheme, colon, rest = text.partition(":")
        if not colon or not _SCHEME.fullmatch(scheme):
            raise SinkOptionsError(
                f"{public_part(text)!r} is not a sink URL; use one like csv:readings.csv or "
                "sqlite:home.db"
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
                raise SinkOptionsError(
                    f"option {_shown(name)!r} of the {scheme} sink is given twice"
                )
            options[name] = value
        return cls(scheme.lower(), target, options, os.environ if secrets is None else secrets)

    def convert(self, known: Sequence[Option]) -> dict[str, Any]:
        """The given options. Raises `SinkOptionsError` for unknown or invalid ones."""
        converters = {option.name: option.convert for option in known}
        values: dict[str, Any] = {}
        for name, text in self.options.items():
            if name not in converters:
                hint = ", ".join(converters) or "none"
                secret = "; secrets are read from the environment" if is_sensitive(name) else ""
                raise SinkOptionsError(
                    f"the {self.scheme} sink has no option {_shown(name)!r} (it knows: {hint})"
                    f"{secret}"
                )
            try:
                values[name] = converters[name](text)
            except ValueError as error:
                raise SinkOptionsError(
                    f"option {name!r} of the {self.scheme} sink must be {error}"
                ) from None
        return values

    def path(self) -> Path:
        """The target as a file path; `~` is the home folder."""
        target = unquote(self.target)
        hostlike = target.startswith("//") and not target.startswith("///")
        if not target or hostlike or "\0" in target:
            raise SinkOptionsError(f"the {self.scheme} sink needs a path: {self.scheme}:PATH")
        try:
            return Path(target).expanduser()
        except RuntimeError:
            raise SinkOptionsError(f"{redact_text(target)}: no such user") from None

    def no_target(self) -> None:
        """Raise `SinkOptionsError` if there is a target, for sinks that take none."""
        if self.target:
            raise SinkOptionsError(f"the {self.scheme} sink takes no target: write {self.scheme}:")


def public_part(text: str) -> str:
    """What may be shown of a sink URL that may be wrong: no options, nothing before an @."""
    start = re.split("[?&;#]", text, maxsplit=1)[0]
    before, at, host = start.rpartition("@")
    if at:
        scheme, colon, _ = before.partition(":")
        start = f"{scheme}:" * (bool(colon) and bool(_SCHEME.fullmatch(scheme))) + MASK + at + host
    return redact_text(start)


def _shown(option: str) -> str:
    return option if _OPTION.fullmatch(option) else MASK


class SinkType(Protocol):
    """What an entry point of the group refers to; usually the sink's class.

    It may also have `secrets`, a sequence of the names that its sinks look up in `SinkURL.secrets`:
    commands that the collector runs do not get them.
    """

    target: ClassVar[str]
    """What follows the colon, for display: `PATH`, `DATABASE/TABLE`, or empty."""
    options: ClassVar[Sequence[Option]]
    guarantee: ClassVar[Guarantee]

    @classmethod
    def from_url(cls, url: SinkURL) -> Sink:
        """Create a sink from its URL, without opening anything. Raises `SinkOptionsError`."""
        ...


@attrs.frozen
class InstalledSink:
    """An entry point of the group, not loaded yet."""

    scheme: str
    distribution: str
    """Name and version of the distribution that provides it."""
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
    """All installed sinks, ours and third-party, without importing any."""
    from importlib.metadata import entry_points  # noqa: PLC0415  costs 60 ms, needed only here

    found = set()
    for entry_point in entry_points(group=GROUP):
        dist = entry_point.dist
        origin = f"{dist.name} {dist.version}" if dist else "an unnamed distribution"
        found.add(InstalledSink(entry_point.name, origin, entry_point))
    return tuple(sorted(found, key=lambda sink: (sink.scheme, sink.distribution)))


def secret_names(sink_type: type[SinkType]) -> tuple[str, ...]:
    """The names of the secrets that a type of sink declares."""
    names = getattr(sink_type, "secrets", ())
    if isinstance(names, str):  # a tuple of one that lacks its comma
        return (names,)
    return tuple(names) if isinstance(names, Collection) else ()


def declared_secrets() -> frozenset[str]:
    """The names of the secrets of all installed sinks, except those that cannot be imported."""
    names: set[str] = set()
    for sink in installed_sinks():
        with suppress(UnknownSinkError):
            names.update(secret_names(sink.load()))
    return frozenset(names)


def open_sink(url: str, secrets: Mapping[str, str] | None = None) -> Sink:
    """Create the sink that a URL names; use it as an async context manager.

    It takes its secrets from `secrets`, by their names; by default from the environment. Raises
    `UnknownSinkError` or `SinkOptionsError`. Only the sink named is imported.
    """
    parsed = SinkURL.parse(url, secrets)
    found = [sink for sink in installed_sinks() if sink.scheme == parsed.scheme]
    ours = [sink for sink in found if sink.distribution.split()[0] == _OURS]
    if not found:
        known = ", ".join(sorted({sink.scheme for sink in installed_sinks()})) or "none"
        scheme = redact_text(parsed.scheme)
        raise UnknownSinkError(f"there is no {scheme!r} sink (installed: {known})")
    if len(found) > 1 and not ours:
        origins = " and ".join(sink.distribution for sink in found)
        raise UnknownSinkError(
            f"{origins} both provide a {parsed.scheme} sink; uninstall one of them"
        )
    sink_type = (ours or found)[0].load()
    try:
        return sink_type.from_url(parsed)
    except SinkOptionsError as error:
        raise SinkOptionsError(redact_text(str(error))) from None
