"""`sst-cloud import`: a CSV file into any sink, a few thousand rows at a time."""

import asyncio
import os
import re
import stat
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final, Protocol, cast, runtime_checkable
from urllib.parse import quote

import attrs
import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from sst_cloud.errors import SinkOptionsError, SinkUnavailableError
from sst_cloud.readings import Reading
from sst_cloud.sink import Guarantee, Sink, SinkURL

from .ending import Leaving
from .held_readings import HeldReadings
from .output import json_option, print_json, say
from .settings import Settings, verbose_option
from .sink_names import sink_name

_ROWS_AT_ONCE: Final = 2_000
_PAUSES: Final = (1.0, 2.0, 4.0, 8.0)
"""Seconds to wait before each retry while the sink is unavailable."""
_REASONS: Final = 20
"""Maximum number of different reasons to report."""
_STANDARD_INPUT: Final = "-"
_INTERRUPTED: Final = 130


@runtime_checkable
class _Rows(Protocol):
    """What the CSV sink can do besides being a sink."""

    guarantee: ClassVar[Guarantee]

    def rows(
        self, on_unreadable: Callable[[int, str], None] | None = None, file: BinaryIO | None = None
    ) -> AsyncIterator[Reading]: ...


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--sink", "url", required=True, metavar="URL", help="Sink to write to; see `sinks`.")
@json_option
@verbose_option
@click.pass_context
def import_(ctx: click.Context, *, file: str, url: str, as_json: bool) -> None:
    """Import a CSV file of readings into any sink.

    FILE may be a pipe, or - for standard input. After an interruption, run the same command again.
    Exit status 1 if anything was rejected or is not a reading.
    """
    settings = ctx.ensure_object(Settings)
    sink = settings.open_sink(url)
    name = "standard input" if file == _STANDARD_INPUT else file
    leaving = Leaving()
    leaving.status = _INTERRUPTED
    try:
        with _open(file, name) as source:
            if _is_output(source, url):
                raise click.UsageError("the sink is the imported file itself: choose another")
            importing = _Import(source, name, sink, leaving, settings)
            asyncio.run(importing.run())
    finally:
        leaving.over()
    importing.check_any_read()
    importing.summarize(sink_name(url), as_json=as_json)
    if importing.rejected or importing.unreadable:
        ctx.exit(1)


def _open(file: str, name: str) -> BinaryIO:
    """What is imported: opened once and read once, as it may be a pipe."""
    try:
        if file == _STANDARD_INPUT:
            return os.fdopen(0, "rb", closefd=False)
        return Path(file).open("rb")
    except OSError as error:
        raise click.ClickException(f"{name} cannot be read: {error.strerror}") from error


def _is_output(source: BinaryIO, url: str) -> bool:
    """Whether what is read is also written: what is appended would be read again."""
    state = os.fstat(source.fileno())
    with suppress(OSError, SinkOptionsError):  # a file not there yet, or a sink without a path
        if os.path.samestat(state, SinkURL.parse(url).path().stat()):
            return True
    with suppress(OSError):  # standard output is closed
        return stat.S_ISREG(state.st_mode) and os.path.samestat(state, os.fstat(1))
    return False


@attrs.define
class _Import:
    source: BinaryIO
    name: str
    sink: Sink
    leaving: Leaving
    settings: Settings
    read: int = 0
    """Rows that are readings."""
    stored: int = 0
    held: int = 0
    """Readings that the sink had already."""
    rejected: int = 0
    reasons: dict[str, tuple[int, str]] = attrs.field(factory=dict)
    """Reason without its numbers → how often it occurred, and the first one in full."""
    unreadable: int = 0
    lines: list[str] = attrs.field(factory=list)
    """The first few rows that are not readings."""

    async def run(self) -> None:
        """Import everything; if that fails, say how far it has come."""
        async with self.sink as sink:
            try:
                await sink.check()
                with closing(HeldReadings()) as held:
                    if isinstance(sink, _Rows) and sink.guarantee is Guarantee.APPENDS:
                        await _look_up(sink, held)
                    await self._copy(sink, held)
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError):
                    self.leaving.begin()  # though a pipe sends nothing, or the store hangs
                if self.read:
                    self._say_stopped(error)
                raise

    async def _copy(self, sink: Sink, held: HeldReadings) -> None:
        state = os.fstat(self.source.fileno())
        size = state.st_size if stat.S_ISREG(state.st_mode) else 0
        with _bar() as bar:
            task = bar.add_task("importing", total=size or None, rows=0)
            async for chunk in self._chunks():
                self.read += len(chunk)
                left = held.without(chunk)
                self.held += len(chunk) - len(left)
                if left:
                    await self._write(sink, left)
                done = size if self.source.closed else self.source.tell() if size else 0
                bar.update(task, completed=done, rows=self.read + self.unreadable)

    async def _chunks(self) -> AsyncIterator[list[Reading]]:
        source = cast("_Rows", self.settings.open_sink(f"csv:{quote(self.name)}"))
        chunk: list[Reading] = []
        async for reading in source.rows(self._note, self.source):
            chunk.append(reading)
            if len(chunk) == _ROWS_AT_ONCE:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def _note(self, line: int, reason: str) -> None:
        self.unreadable += 1
        if len(self.lines) < _REASONS:
            self.lines.append(f"line {line}: {reason}")

    async def _write(self, sink: Sink, readings: Sequence[Reading]) -> None:
        for pause in (*_PAUSES, None):
            try:
                report = await sink.write(readings)
                break
            except SinkUnavailableError:
                if pause is None:
                    raise
                await self.settings.clock.sleep(pause)
        self.stored += report.accepted
        for rejection in report.rejected:
            self._reject(rejection.reason)

    def _reject(self, text: str) -> None:
        self.rejected += 1
        kind = re.sub(r"\d+", "#", text)
        if kind not in self.reasons and len(self.reasons) >= _REASONS:
            kind = text = "other reasons"
        count, first = self.reasons.get(kind, (0, text))
        self.reasons[kind] = (count + 1, first)

    def _say_stopped(self, error: BaseException) -> None:
        passing = not isinstance(error, Exception) or isinstance(error, SinkUnavailableError)
        again = "; run the same command again to import the rest" if passing else ""
        say(f"Stopped: this run has stored {self.stored:,} readings{again}")

    def check_any_read(self) -> None:
        """Raise an error if not one reading was read: that is hardly what was meant."""
        if self.read:
            return
        if self.unreadable:
            reason = f"none of its rows is a reading ({self.lines[0]})"
        else:
            reason = "it is empty, or nothing but a header"
        raise click.ClickException(f"no readings in {self.name}: {reason}")

    def summarize(self, sink: str, *, as_json: bool) -> None:
        """Print what this run has done."""
        reasons = sorted(self.reasons.values(), reverse=True)
        if (more := self.unreadable - len(self.lines)) > 0:
            self.lines.append(f"and {more:,} more rows that cannot be read")
        if as_json:
            content: dict[str, Any] = {
                "accepted": self.stored,
                "rejected": self.rejected,
                "already_stored": self.held,
                "reasons": [{"count": count, "reason": reason} for count, reason in reasons],
                "unreadable": self.lines,
            }
            print_json(content)
            return
        already = f", {self.held:,} already there" if self.held else ""
        click.echo(
            f"{self.stored:,} readings stored in {sink}, {self.rejected:,} rejected{already}."
        )
        for count, reason in reasons:
            click.echo(f"  {count:,}: {reason}")
        if self.lines:
            click.echo("Rows that are not readings:")
            for line in self.lines:
                click.echo(f"  {line}")


async def _look_up(sink: _Rows, held: HeldReadings) -> None:
    """Note what a sink holds that would store it once more."""
    chunk: list[Reading] = []
    async for reading in sink.rows(lambda *_: None):  # a torn last row is mended by the next write
        chunk.append(reading)
        if len(chunk) == _ROWS_AT_ONCE:
            held.add(chunk)
            chunk = []
    held.add(chunk)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not sys.stderr.isatty(),
    )
