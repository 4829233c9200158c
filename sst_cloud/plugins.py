"""Plugins, found by their entry points: sources, sinks and event handlers."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from .errors import SinkRefusedError, SSTCloudError, UnknownSinkError, UnknownSourceError
from .plugin_url import HandlerURL, PluginURL, SinkURL, SourceURL
from .redaction import redact_text
from .sink import CheckedHistory, History, Sink, SinkType
from .source import Source, SourceType

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

_OWN_DISTRIBUTION: Final = "sst-cloud"


@attrs.frozen
class _Group(Generic[T]):
    """An entry-point group; `T` is what its entry points refer to."""

    name: str
    url: type[PluginURL]
    attributes: tuple[str, ...]
    """What each of them must have."""
    method: str
    """What each source, sink or handler must have."""
    unknown_error: type[SSTCloudError]


SINKS: Final = _Group[type[SinkType]](
    "sst_cloud.sinks",
    SinkURL,
    ("target", "options", "guarantee", "from_url"),
    "write",
    UnknownSinkError,
)
SOURCES: Final = _Group[type[SourceType]](
    "sst_cloud.sources",
    SourceURL,
    ("target", "options", "from_url"),
    "snapshot",
    UnknownSourceError,
)
HANDLERS: Final = _Group[Any](
    "sst_cloud.handlers",
    HandlerURL,
    ("target", "options", "from_url"),
    "write",
    UnknownSinkError,
)


@attrs.frozen
class InstalledPlugin(Generic[T]):
    """An entry point of a group, not loaded yet."""

    scheme: str
    distribution: str
    """Name and version of the distribution that provides it."""
    _group: _Group[T] = attrs.field(repr=False)
    _entry_point: "EntryPoint" = attrs.field(repr=False)

    def load(self) -> T:
        """Import the plugin.

        Raises `UnknownSinkError` or `UnknownSourceError`, naming the distribution, if that fails.
        """
        try:
            plugin: T = self._entry_point.load()
            _ = [getattr(plugin, attribute) for attribute in self._group.attributes]
        except Exception as error:
            raise self._group.unknown_error(
                f"the {self.scheme} {self._group.url.kind} of {self.distribution} cannot be "
                f"loaded: {type(error).__name__}: {redact_text(str(error))}"
            ) from error
        return plugin


def installed_sinks() -> tuple[InstalledPlugin[type[SinkType]], ...]:
    """All installed sinks, ours and third-party, without importing any."""
    return _installed(SINKS)


def installed_sources() -> tuple[InstalledPlugin[type[SourceType]], ...]:
    """All installed sources, ours and third-party, without importing any."""
    return _installed(SOURCES)


def installed_handlers() -> tuple[InstalledPlugin[Any], ...]:
    """All installed event handlers of third parties, without importing any."""
    return _installed(HANDLERS)


def open_sink(url: str, secrets: Mapping[str, str] | None = None) -> Sink:
    """Create the sink that a URL names; use it as an async context manager.

    It takes its secrets from `secrets`, by their names; by default from the environment. Raises
    `UnknownSinkError` or `SinkOptionsError`. Only the sink named is imported.
    """
    sink: Sink = _open(SINKS, url, secrets)
    return sink


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


def open_source(url: str, secrets: Mapping[str, str] | None = None) -> Source:
    """Create the source that a URL names; use it as an async context manager.

    It takes its secrets from `secrets`, by their names; by default from the environment. Raises
    `UnknownSourceError` or `SourceOptionsError`. Only the source named is imported.
    """
    source: Source = _open(SOURCES, url, secrets)
    return source


def open_handler(url: str, secrets: Mapping[str, str] | None = None) -> Any:
    """Create the event handler that a URL names, a `sst_cloud.notify.Handler`.

    It takes its secrets as a sink does. Raises `UnknownSinkError` or `SinkOptionsError`.
    """
    return _open(HANDLERS, url, secrets)


def secret_names(plugin: object) -> tuple[str, ...]:
    """The names of the secrets that a type of source, sink or handler declares."""
    names = getattr(plugin, "secrets", ())
    if isinstance(names, str):  # a tuple of one that lacks its comma
        return (names,)
    return tuple(names) if isinstance(names, Collection) else ()


def declared_secrets() -> frozenset[str]:
    """The names of the secrets of all installed plugins, except those that cannot be imported."""
    names: set[str] = set()
    plugins: tuple[InstalledPlugin[Any], ...] = (
        *installed_sinks(),
        *installed_sources(),
        *installed_handlers(),
    )
    for plugin in plugins:
        with suppress(UnknownSinkError, UnknownSourceError):
            names.update(secret_names(plugin.load()))
    return frozenset(names)


def _installed(group: _Group[T]) -> tuple[InstalledPlugin[T], ...]:
    from importlib.metadata import entry_points  # noqa: PLC0415  costs 60 ms, needed only here

    plugins = set()
    for entry_point in entry_points(group=group.name):
        dist = entry_point.dist
        origin = f"{dist.name} {dist.version}" if dist else "an unnamed distribution"
        plugins.add(InstalledPlugin(entry_point.name, origin, group, entry_point))
    return tuple(sorted(plugins, key=lambda plugin: (plugin.scheme, plugin.distribution)))


def _open(group: _Group[Any], url: str, secrets: Mapping[str, str] | None) -> Any:
    parsed = group.url.parse(url, secrets)
    kind = parsed.kind
    installed = _installed(group)
    matching = [plugin for plugin in installed if plugin.scheme == parsed.scheme]
    own = [plugin for plugin in matching if plugin.distribution.split()[0] == _OWN_DISTRIBUTION]
    if not matching:
        listing = ", ".join(sorted({plugin.scheme for plugin in installed})) or "none"
        scheme = redact_text(parsed.scheme)
        raise group.unknown_error(f"there is no {scheme!r} {kind} (installed: {listing})")
    if len(matching) > 1 and not own:
        origins = " and ".join(plugin.distribution for plugin in matching)
        raise group.unknown_error(
            f"{origins} both provide a {parsed.scheme} {kind}; uninstall one of them"
        )
    plugin = (own or matching)[0]
    from_url = plugin.load().from_url
    origin = f"the {parsed.scheme} {kind} of {plugin.distribution}"
    try:
        opened = from_url(parsed)
    except parsed.error as error:
        raise parsed.error(redact_text(str(error))) from None
    except SSTCloudError:
        raise
    except Exception as error:
        reason = redact_text(f"{type(error).__name__}: {error}")
        raise group.unknown_error(f"{origin} cannot be created: {reason}") from error
    if not hasattr(opened, group.method):
        raise group.unknown_error(
            f"{origin} cannot be created: its from_url returned no {kind}, but "
            f"{type(opened).__name__}"
        )
    return opened
