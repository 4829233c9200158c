"""Plugins, found by their entry points."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import attrs

from .errors import SinkOptionsError, SinkRefusedError, UnknownSinkError
from .plugin_url import SinkURL
from .redaction import redact_text
from .sink import CheckedHistory, History, Sink, SinkType

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "sst_cloud.sinks"
"""The entry-point group of sinks."""
_OWN_DISTRIBUTION: Final = "sst-cloud"


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

    sinks = set()
    for entry_point in entry_points(group=GROUP):
        dist = entry_point.dist
        origin = f"{dist.name} {dist.version}" if dist else "an unnamed distribution"
        sinks.add(InstalledSink(entry_point.name, origin, entry_point))
    return tuple(sorted(sinks, key=lambda sink: (sink.scheme, sink.distribution)))


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
    matching = [sink for sink in installed_sinks() if sink.scheme == parsed.scheme]
    own = [sink for sink in matching if sink.distribution.split()[0] == _OWN_DISTRIBUTION]
    if not matching:
        listing = ", ".join(sorted({sink.scheme for sink in installed_sinks()})) or "none"
        scheme = redact_text(parsed.scheme)
        raise UnknownSinkError(f"there is no {scheme!r} sink (installed: {listing})")
    if len(matching) > 1 and not own:
        origins = " and ".join(sink.distribution for sink in matching)
        raise UnknownSinkError(
            f"{origins} both provide a {parsed.scheme} sink; uninstall one of them"
        )
    sink_type = (own or matching)[0].load()
    try:
        return sink_type.from_url(parsed)
    except SinkOptionsError as error:
        raise SinkOptionsError(redact_text(str(error))) from None


@asynccontextmanager
async def open_history(
    url: str, secrets: Mapping[str, str] | None = None
) -> AsyncIterator[History]:
    """The sink that a URL names, open for reading: an async context manager.

    Raises as `open_sink` does, and `SinkRefusedError` if it cannot be read, or if nothing has been
    stored there yet.
    """
    async with open_sink(url, secrets) as sink:
        if not isinstance(sink, History):
            scheme = SinkURL.parse(url, secrets).scheme
            raise SinkRefusedError(f"the {scheme} sink can only be written to, not read")
        if isinstance(sink, CheckedHistory):
            await sink.check_readable()
        yield sink
