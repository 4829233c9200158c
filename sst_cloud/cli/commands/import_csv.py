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

from sst_cloud.cli.output import json_option, print_json, print_message
from sst_cloud.cli.settings import Settings, verbose_option
from sst_cloud.cli.shutdown import ForcedExit
from sst_cloud.cli.sink_options import sink_name
from sst_cloud.cli.stored_readings import StoredReadings
from sst_cloud.errors import SinkOptionsError, SinkUnavailableError
from sst_cloud.readings import Reading
from sst_cloud.sink import Guarantee, Sink, SinkURL

_CHUNK_SIZE: Final = 2_000
_PAUSES: Final = (1.0, 2.0, 4.0, 8.0)
"""Seconds to wait before each retry while the sink is unavailable."""
_MAX_REASONS: Final = 20
"""Maximum number of different reasons, and of unreadable rows, to report."""
_STANDARD_INPUT: Final = "-"
_INTERRUPTED: Final = 130


@runtime_checkable
class _RowReader(Protocol):
    """The CSV sink as a reader of rows."""

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
    forced_exit = ForcedExit()
    forced_exit.status = _INTERRUPTED
    try:
        with _open(file, name) as source:
            if _is_output(source, url):
                raise click.UsageError("the sink is the imported file itself: choose another")
            csv_import = _Import(source, name, sink, forced_exit, settings)
            asyncio.run(csv_import.run())
    finally:
        forced_exit.cancel()
    csv_import.raise_if_nothing_read()
    csv_import.summarize(sink_name(url), as_json=as_json)
    if csv_import.rejected_count or csv_import.unreadable_count:
        ctx.exit(1)


def _open(file: str, name: str) -> BinaryIO:
    """Open the file to import, once, as it may be a pipe."""
    if file == _STANDARD_INPUT and sys.stdin is None:  # another file may have its number by now
        raise click.ClickException(f"{name} cannot be read: it is closed")
    try:
        if file == _STANDARD_INPUT:
            return os.fdopen(0, "rb", closefd=False)
        return Path(file).open("rb")
    except OSError as error:
        raise click.ClickException(f"{name} cannot be read: {error.strerror}") from error


def _is_output(source: BinaryIO, url: str) -> bool:
    """Whether the file to import is the output: appended rows would be read again."""
    state = os.fstat(source.fileno())
    with suppress(OSError, SinkOptionsError):  # a file not there yet, or a sink without a path
        if os.path.samestat(state, SinkURL.parse(url).path().stat()):
            return True
    if sys.stdout is not None:  # closed: the imported file may have its number
        return stat.S_ISREG(state.st_mode) and os.path.samestat(state, os.fstat(1))
    return False


@attrs.define
class _Import:
    source: BinaryIO
    name: str
    sink: Sink
    forced_exit: ForcedExit
    settings: Settings
    read_count: int = 0
    """Rows that are readings."""
    stored_count: int = 0
    already_stored_count: int = 0
    """Readings that the sink already had."""
    rejected_count: int = 0
    reasons: dict[str, tuple[int, str]] = attrs.field(factory=dict)
    """Reason without its numbers → how often it occurred, and the first one in full."""
    unreadable_count: int = 0
    unreadable_rows: list[str] = attrs.field(factory=list)
    """The first few rows that are not readings."""

    async def run(self) -> None:
        """Import everything; on failure, print how much was stored."""
        async with self.sink as sink:
            try:
                await sink.check()
                with closing(StoredReadings()) as stored_readings:
                    if isinstance(sink, _RowReader) and sink.guarantee is Guarantee.APPENDS:
                        await _load_stored(sink, stored_readings)
                    await self._copy(sink, stored_readings)
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError):
                    self.forced_exit.start()  # even if a pipe sends nothing, or the store hangs
                if self.read_count:
                    self._print_stopped(error)
                raise

    async def _copy(self, sink: Sink, stored_readings: StoredReadings) -> None:
        state = os.fstat(self.source.fileno())
        size = state.st_size if stat.S_ISREG(state.st_mode) else 0
        with _progress_bar() as bar:
            task = bar.add_task("importing", total=size or None, rows=0)
            async for chunk in self._chunks():
                self.read_count += len(chunk)
                new_readings = stored_readings.select_new(chunk)
                self.already_stored_count += len(chunk) - len(new_readings)
                if new_readings:
                    await self._write(sink, new_readings)
                position = size if self.source.closed else self.source.tell() if size else 0
                bar.update(task, completed=position, rows=self.read_count + self.unreadable_count)

    async def _chunks(self) -> AsyncIterator[list[Reading]]:
        source = cast("_RowReader", self.settings.open_sink(f"csv:{quote(self.name)}"))
        chunk: list[Reading] = []
        async for reading in source.rows(self._add_unreadable, self.source):
            chunk.append(reading)
            if len(chunk) == _CHUNK_SIZE:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def _add_unreadable(self, line: int, reason: str) -> None:
        self.unreadable_count += 1
        if len(self.unreadable_rows) < _MAX_REASONS:
            self.unreadable_rows.append(f"line {line}: {reason}")

    async def _write(self, sink: Sink, readings: Sequence[Reading]) -> None:
        for pause in (*_PAUSES, None):
            try:
                report = await sink.write(readings)
                break
            except SinkUnavailableError:
                if pause is None:
                    raise
                await self.settings.clock.sleep(pause)
        self.stored_count += report.accepted
        for rejection in report.rejected:
            self._add_rejection(rejection.reason)

    def _add_rejection(self, text: str) -> None:
        self.rejected_count += 1
        kind = re.sub(r"\d+", "#", text)
        if kind not in self.reasons and len(self.reasons) >= _MAX_REASONS:
            kind = text = "other reasons"
        count, example = self.reasons.get(kind, (0, text))
        self.reasons[kind] = (count + 1, example)

    def _print_stopped(self, error: BaseException) -> None:
        transient = not isinstance(error, Exception) or isinstance(error, SinkUnavailableError)
        hint = "; run the same command again to import the rest" if transient else ""
        print_message(f"Stopped: this run has stored {self.stored_count:,} readings{hint}")

    def raise_if_nothing_read(self) -> None:
        """Raise `ClickException` if the file has no readings: it is probably the wrong one."""
        if self.read_count:
            return
        if self.unreadable_count:
            reason = f"none of its rows is a reading ({self.unreadable_rows[0]})"
        else:
            reason = "it is empty, or nothing but a header"
        raise click.ClickException(f"no readings in {self.name}: {reason}")

    def summarize(self, sink: str, *, as_json: bool) -> None:
        """Print what this run has done."""
        reasons = sorted(self.reasons.values(), reverse=True)
        if (more := self.unreadable_count - len(self.unreadable_rows)) > 0:
            self.unreadable_rows.append(f"and {more:,} more rows that cannot be read")
        if as_json:
            content: dict[str, Any] = {
                "accepted": self.stored_count,
                "rejected": self.rejected_count,
                "already_stored": self.already_stored_count,
                "reasons": [{"count": count, "reason": reason} for count, reason in reasons],
                "unreadable": self.unreadable_rows,
            }
            print_json(content)
            return
        counts = [f"{self.stored_count:,} readings stored in {sink}"]
        counts.append(f"{self.rejected_count:,} rejected")
        if self.already_stored_count:
            counts.append(f"{self.already_stored_count:,} already there")
        click.echo(f"{', '.join(counts)}.")
        for count, reason in reasons:
            click.echo(f"  {count:,}: {reason}")
        if self.unreadable_rows:
            click.echo("Rows that are not readings:")
            for line in self.unreadable_rows:
                click.echo(f"  {line}")


async def _load_stored(sink: _RowReader, stored_readings: StoredReadings) -> None:
    """Read what is already in a sink that would store it again."""
    chunk: list[Reading] = []
    # An incomplete last row is ignored: the next write repairs it.
    async for reading in sink.rows(lambda *_: None):
        chunk.append(reading)
        if len(chunk) == _CHUNK_SIZE:
            stored_readings.add(chunk)
            chunk = []
    stored_readings.add(chunk)


def _progress_bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not sys.stderr.isatty(),
    )
