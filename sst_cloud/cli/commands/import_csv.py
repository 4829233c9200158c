"""`sst-cloud import`: a CSV file into any sink, a few thousand rows at a time."""

import asyncio
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, cast
from urllib.parse import quote

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from sst_cloud.cli.output import json_option, print_json, print_message
from sst_cloud.cli.settings import Settings, verbose_option
from sst_cloud.cli.sink_options import sink_name
from sst_cloud.clock import Clock
from sst_cloud.collector.shutdown import ForcedExit
from sst_cloud.collector.transfer import RowReader, TransferResult, transfer
from sst_cloud.errors import SinkOptionsError, SinkUnavailableError
from sst_cloud.sink import Sink, SinkURL
from sst_cloud.wording import count

_STANDARD_INPUT: Final = "-"
_INTERRUPTED: Final = 130


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
    result = TransferResult()
    with ForcedExit() as forced_exit, _open(file, name) as open_file:
        forced_exit.status = _INTERRUPTED
        if _is_output(open_file, url):
            raise click.UsageError("the sink is the imported file itself: choose another")
        rows = cast("RowReader", settings.open_sink(f"csv:{quote(name)}"))
        asyncio.run(_import(open_file, rows, sink, result, forced_exit, settings.clock))
    if not result.read_count:
        raise click.ClickException(f"no readings in {name}: {_reason_for_none(result)}")
    _print_result(result, sink_name(url), as_json=as_json)
    if result.rejected_count or result.unreadable_count:
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


def _is_output(open_file: BinaryIO, url: str) -> bool:
    """Whether the file to import is the output: appended rows would be read again."""
    state = os.fstat(open_file.fileno())
    with suppress(OSError, SinkOptionsError):  # a file not there yet, or a sink without a path
        if os.path.samestat(state, SinkURL.parse(url).path().stat()):
            return True
    if sys.stdout is not None:  # closed: the imported file may have its number
        return stat.S_ISREG(state.st_mode) and os.path.samestat(state, os.fstat(1))
    return False


async def _import(  # noqa: PLR0913, PLR0917
    open_file: BinaryIO,
    csv: RowReader,
    sink: Sink,
    result: TransferResult,
    forced_exit: ForcedExit,
    clock: Clock,
) -> None:
    """Import everything; on failure, print how much was stored."""
    async with sink:
        try:
            with _progress_bar(open_file) as on_progress:
                readings = csv.rows(result.add_unreadable, open_file)
                await transfer(readings, sink, result=result, on_progress=on_progress, clock=clock)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                forced_exit.start()  # even if a pipe sends nothing, or the store hangs
            if result.read_count:
                transient = not isinstance(error, Exception)
                transient |= isinstance(error, SinkUnavailableError)
                hint = "; run the same command again to import the rest" if transient else ""
                stored = count(result.stored_count, "reading")
                print_message(f"Stopped: this run has stored {stored}{hint}")
            raise


@contextmanager
def _progress_bar(open_file: BinaryIO) -> Iterator[Callable[[TransferResult], None]]:
    """Shows how much of a file has been read, and how many rows."""
    state = os.fstat(open_file.fileno())
    size = state.st_size if stat.S_ISREG(state.st_mode) else 0
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task("importing", total=size or None, rows=0)

        def on_progress(result: TransferResult) -> None:
            position = size if open_file.closed else open_file.tell() if size else 0
            bar.update(task, completed=position, rows=result.read_count + result.unreadable_count)

        yield on_progress


def _reason_for_none(result: TransferResult) -> str:
    """Why a file has no readings: it is probably the wrong one."""
    if result.unreadable_count:
        return f"none of its rows is a reading ({result.unreadable_rows[0]})"
    return "it is empty, or nothing but a header"


def _print_result(result: TransferResult, sink: str, *, as_json: bool) -> None:
    unreadable = result.unreadable_rows
    if (more := result.unreadable_count - len(unreadable)) > 0:
        unreadable = [*unreadable, f"and {more:,} more rows that cannot be read"]
    if as_json:
        print_json(
            {
                "accepted": result.stored_count,
                "rejected": result.rejected_count,
                "already_stored": result.already_stored_count,
                "reasons": [{"count": n, "reason": reason} for n, reason in result.reasons],
                "unreadable": unreadable,
            }
        )
        return
    counts = [f"{count(result.stored_count, 'reading')} stored in {sink}"]
    counts.append(f"{result.rejected_count:,} rejected")
    if result.already_stored_count:
        counts.append(f"{result.already_stored_count:,} already there")
    click.echo(f"{', '.join(counts)}.")
    for number, reason in result.reasons:
        click.echo(f"  {number:,}: {reason}")
    if unreadable:
        click.echo("Rows that are not readings:")
        for line in unreadable:
            click.echo(f"  {line}")
