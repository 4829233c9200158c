"""The URL of a source or a sink: `scheme:target?option=value&…`."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self
from urllib.parse import parse_qsl, unquote

import attrs

from .errors import SinkOptionsError, SourceOptionsError, SSTCloudError
from .redaction import MASK, is_sensitive, redact, redact_text

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_OPTION: Final = re.compile(r"[a-z][a-z_-]{0,30}", re.IGNORECASE)
"""An option's name that messages may contain: other text may be a misplaced secret."""

_HOURS_PER_UNIT: Final = {"h": 1, "d": 24, "w": 7 * 24, "y": 365 * 24}


@attrs.frozen
class Option:
    """An option in a URL. `convert` raises ValueError with what it expects."""

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


def flag(text: str) -> bool:
    """Converter for an option that is `yes` or `no`."""
    return choice("yes", "no")(text) == "yes"


def retention(text: str) -> timedelta:
    """Converter for how long to keep something: `12h`, `30d`, `8w`, `10y` (of 365 days)."""
    match = re.fullmatch(r"([1-9]\d{0,5})([hdwy])", text)
    if not match:
        raise ValueError("a time like 12h, 30d or 10y")
    return timedelta(hours=int(match[1]) * _HOURS_PER_UNIT[match[2]])


def _read_only(secrets: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(secrets)


@attrs.frozen
class PluginURL:
    """A URL, `scheme:target?option=value&…`, and the secrets that are not in it."""

    kind: ClassVar[str]
    """What it names: `sink` or `source`."""
    examples: ClassVar[str]
    error: ClassVar[type[SSTCloudError]]
    """The type of errors about the URL and its options."""

    scheme: str
    target: str = attrs.field(repr=lambda target: repr(redact_text(target)))
    options: Mapping[str, str] = attrs.field(repr=lambda options: repr(redact(options)))
    secrets: Mapping[str, str] = attrs.field(
        factory=lambda: os.environ, converter=_read_only, repr=False, eq=False
    )
    """Name → value; by default the environment of this process."""

    @classmethod
    def parse(cls, text: str, secrets: Mapping[str, str] | None = None) -> Self:
        """Parse a URL. Raises `error`."""
        scheme, colon, rest = text.partition(":")
        if not colon or not _SCHEME.fullmatch(scheme):
            raise cls.error(
                f"{public_part(text)!r} is not a {cls.kind} URL; use one like {cls.examples}"
            )
        target, _, query = rest.partition("?")
        options: dict[str, str] = {}
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        except ValueError:
            raise cls.error(
                f"the options of the {scheme} {cls.kind} must look like ?name=value&name=value"
            ) from None
        for name, value in pairs:
            if name in options:
                raise cls.error(
                    f"option {_name_or_mask(name)!r} of the {scheme} {cls.kind} is given twice"
                )
            options[name] = value
        return cls(scheme.lower(), target, options, os.environ if secrets is None else secrets)

    def convert(self, known_options: Sequence[Option]) -> dict[str, Any]:
        """The given options. Raises `error` for unknown or invalid ones."""
        converters = {option.name: option.convert for option in known_options}
        values: dict[str, Any] = {}
        for name, text in self.options.items():
            if name not in converters:
                hint = ", ".join(converters) or "none"
                secret = "; secrets are read from the environment" if is_sensitive(name) else ""
                raise self.error(
                    f"the {self.scheme} {self.kind} has no option {_name_or_mask(name)!r} "
                    f"(it knows: {hint}){secret}"
                )
            try:
                values[name] = converters[name](text)
            except ValueError as error:
                raise self.error(
                    f"option {name!r} of the {self.scheme} {self.kind} must be {error}"
                ) from None
        return values

    def path(self) -> Path:
        """The target as a file path; `~` is the home folder."""
        target = unquote(self.target)
        is_like_host = target.startswith("//") and not target.startswith("///")
        if not target or is_like_host or "\0" in target:
            raise self.error(f"the {self.scheme} {self.kind} needs a path: {self.scheme}:PATH")
        try:
            return Path(target).expanduser()
        except RuntimeError:
            raise self.error(f"{redact_text(target)}: no such user") from None

    def no_target(self) -> None:
        """Raise `error` if there is a target, for plugins that take none."""
        if self.target:
            raise self.error(f"the {self.scheme} {self.kind} takes no target: write {self.scheme}:")


@attrs.frozen
class SinkURL(PluginURL):
    """The URL of a sink."""

    kind: ClassVar[str] = "sink"
    examples: ClassVar[str] = "csv:readings.csv or sqlite:home.db"
    error: ClassVar[type[SSTCloudError]] = SinkOptionsError


@attrs.frozen
class SourceURL(PluginURL):
    """The URL of a source."""

    kind: ClassVar[str] = "source"
    examples: ClassVar[str] = "cloud:"
    error: ClassVar[type[SSTCloudError]] = SourceOptionsError


@attrs.frozen
class HandlerURL(PluginURL):
    """The URL of an event handler that a third party provides."""

    kind: ClassVar[str] = "handler"
    examples: ClassVar[str] = "https://host/path"
    error: ClassVar[type[SSTCloudError]] = SinkOptionsError


def public_part(text: str) -> str:
    """The part of a possibly wrong URL without secrets: no options, nothing before an @."""
    start = re.split("[?&;#]", text, maxsplit=1)[0]
    before, at, host = start.rpartition("@")
    if at:
        scheme, colon, _ = before.partition(":")
        start = f"{scheme}:" * (bool(colon) and bool(_SCHEME.fullmatch(scheme))) + MASK + at + host
    return redact_text(start)


def _name_or_mask(option: str) -> str:
    return option if _OPTION.fullmatch(option) else MASK
