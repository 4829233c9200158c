"""`sst-cloud import`: a CSV file into any sink, a few thousand rows at a time."""

import asyncio
import hashlib
import json
import logging
import re
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol, cast
from urllib.parse import quote

import attrs
import click
import platformdirs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sst_cloud.errors import SinkUnavailableError
from sst_cloud.files import replace_file
from sst_cloud.readings import Reading
from sst_cloud.sink import Sink, SinkURL

from .output import json_option, print_json
from .settings import Settings, verbose_option
from .sink_names import sink_name

_log = logging.getLogger(__name__)

_ROWS_AT_ONCE: Final = 2_000
_PAUSES: Final = (1.0, 2.0, 4.0, 8.0)
"""Seconds to wait before each retry while the sink is unavailable."""
_REASONS: Final = 20
"""Maximum number of different reasons to report."""
_BLOCK: Final = 1 << 20


class _Rows(Protocol):
    """What the CSV sink can do besides being a sink."""

    def rows(
        self, on_unreadable: Callable[[int, str], None] | None = None
    ) -> AsyncIterator[Reading]: ...


@attrs.define
class Progressed:
    """The progress of an import, saved in a file between runs."""

    path: Path
    of: str
    """Identifies the imported file: if it changes, the import starts over."""
    rows: int = 0
    rejected: int = 0
    reasons: dict[str, tuple[int, str]] = attrs.field(factory=dict)
    """Reason without its numbers → how often it occurred, and the first one in full."""

    @classmethod
    def load(cls, file: Path, sink: str) -> "Progressed":
        """The progress of the last run, if it was interrupted and the file is unchanged."""
        state = file.stat()
        way = f"{file.resolve()} {sink} {Path.cwd()}"  # the sink's path may be relative
        of = f"{way} {state.st_size} {state.st_mtime_ns}"
        name = hashlib.sha256(way.encode()).hexdigest()[:32]
        path = platformdirs.user_state_path("sst-cloud") / "imports" / f"{name}.json"
        fresh = cls(path, hashlib.sha256(of.encode()).hexdigest())
        try:
            kept = json.loads(path.read_text())
            if kept["of"] != fresh.of:
                return fresh
            reasons = {key: (int(n), str(text)) for key, (n, text) in kept["reasons"].items()}
            return cls(path, fresh.of, int(kept["rows"]), int(kept["rejected"]), reasons)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return fresh

    def save(self) -> None:
        """Save it atomically."""
        kept = attrs.asdict(self, filter=lambda field, _: field.name != "path")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self.path, json.dumps(kept).encode())
        except OSError as error:
            _log.warning(
                "%s cannot be written (%s): the import cannot be resumed", self.path, error.strerror
            )

    def forget(self) -> None:
        """Delete it, when the import is done."""
        with suppress(OSError):  # if it could not be written, it does not exist
            self.path.unlink()

    def reject(self, text: str) -> None:
        """Count a row that was not stored."""
        self.rejected += 1
        kind = re.sub(r"\d+", "#", text)
        if kind not in self.reasons and len(self.reasons) >= _REASONS:
            kind = text = "other reasons"
        count, first = self.reasons.get(kind, (0, text))
        self.reasons[kind] = (count + 1, first)


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--sink", "url", required=True, metavar="URL", help="Sink to write to; see `sinks`.")
@click.option("--restart", is_flag=True, help="Start over, even if an earlier run was interrupted.")
@json_option
@verbose_option
@click.pass_context
def import_(ctx: click.Context, *, file: Path, url: str, restart: bool, as_json: bool) -> None:
    """Import a CSV file of readings into any sink.

    An interrupted import resumes where it stopped, provided the file is unchanged. Exit status 1 if
    anything was rejected.
    """
    if _is(url, file):
        raise click.UsageError("the sink is the imported file itself: choose another")
    progressed = Progressed.load(file, url)
    if restart:
        progressed.forget()
        progressed = Progressed.load(file, url)
    settings = ctx.ensure_object(Settings)
    unreadable = asyncio.run(_Import(file, url, progressed, settings).run())
    progressed.forget()
    _summarize(progressed, unreadable, sink_name(url), as_json=as_json)
    if progressed.rejected or unreadable:
        ctx.exit(1)


def _is(url: str, file: Path) -> bool:
    """Whether a sink writes to the imported file: what it appends would be read again."""
    sink = SinkURL.parse(url)
    return sink.scheme == "csv" and sink.path().resolve() == file.resolve()


@attrs.define
class _Import:
    file: Path
    url: str
    progressed: Progressed
    settings: Settings
    unreadable: list[str] = attrs.field(factory=list)
    """The first few invalid rows, and finally how many there were."""
    unreadable_count: int = 0

    async def run(self) -> Sequence[str]:
        """Import what is left; returns a line for each of the first invalid rows."""
        own = f"csv:{quote(str(self.file))}"
        async with (
            self.settings.open_sink(own) as source,
            self.settings.open_sink(self.url) as sink,
        ):
            await sink.check()
            if self.progressed.rows:
                click.echo(f"Resuming after {self.progressed.rows:,} rows.", err=True)
            total = await asyncio.to_thread(_lines, self.file)
            with _bar() as bar:
                task = bar.add_task("importing", total=total, completed=self.progressed.rows)
                async for chunk in self._chunks(cast("_Rows", source)):
                    await self._write(sink, chunk)
                    bar.update(task, completed=self.progressed.rows + self.unreadable_count)
        if (more := self.unreadable_count - len(self.unreadable)) > 0:
            self.unreadable.append(f"and {more:,} more rows that cannot be read")
        return self.unreadable

    async def _chunks(self, source: _Rows) -> AsyncIterator[list[Reading]]:
        chunk: list[Reading] = []
        done = self.progressed.rows
        async for reading in source.rows(self._note):
            if done:
                done -= 1
                continue
            chunk.append(reading)
            if len(chunk) == _ROWS_AT_ONCE:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def _note(self, line: int, reason: str) -> None:
        self.unreadable_count += 1
        if len(self.unreadable) < _REASONS:
            self.unreadable.append(f"line {line}: {reason}")

    async def _write(self, sink: Sink, chunk: Sequence[Reading]) -> None:
        for pause in (*_PAUSES, None):
            try:
                report = await sink.write(chunk)
                break
            except SinkUnavailableError as error:
                if pause is None:
                    raise SinkUnavailableError(
                        f"{error}\nStopped after {self.progressed.rows:,} rows; the same command "
                        "resumes from there."
                    ) from error
                await self.settings.clock.sleep(pause)
        self.progressed.rows += len(chunk)
        for rejection in report.rejected:
            self.progressed.reject(rejection.reason)
        self.progressed.save()


def _summarize(
    progressed: Progressed, unreadable: Sequence[str], sink: str, *, as_json: bool
) -> None:
    accepted = progressed.rows - progressed.rejected
    reasons = sorted(progressed.reasons.values(), reverse=True)
    if as_json:
        content: dict[str, Any] = {
            "accepted": accepted,
            "rejected": progressed.rejected,
            "reasons": [{"count": count, "reason": reason} for count, reason in reasons],
            "unreadable": unreadable,
        }
        print_json(content)
        return
    click.echo(f"{accepted:,} readings stored in {sink}, {progressed.rejected:,} rejected.")
    for count, reason in reasons:
        click.echo(f"  {count:,}: {reason}")
    if unreadable:
        click.echo("Rows that are not readings:")
        for line in unreadable:
            click.echo(f"  {line}")


def _lines(file: Path) -> int:
    """The number of rows in the file, or a few more if names contain line breaks."""
    with file.open("rb") as opened:
        return sum(block.count(b"\n") for block in iter(lambda: opened.read(_BLOCK), b"")) - 1


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not sys.stderr.isatty(),
    )
