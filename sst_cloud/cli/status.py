"""`sst-cloud status`: the status of the collector."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import click

from sst_cloud.collector.looking import is_running, read_status
from sst_cloud.collector.status import Course, SinkStatus, Status
from sst_cloud.text import printable

from .config import config_option
from .durations import in_words
from .output import add_row, json_option, plain, print_json, print_table, table
from .settings import Settings, state_option, verbose_option

_DOING: Final = {
    Course.FLOWING: "delivering",
    Course.RETRYING: "retrying",
    Course.PAUSED: "refused",
    Course.REMOVED: "not used",
}
_DID: Final = _DOING | {Course.FLOWING: "idle", Course.RETRYING: "failed"}
"""The same where no collector is running."""
_LABEL: Final = 14
"""Width of a label."""


@click.command()
@config_option
@state_option
@json_option
@verbose_option
@click.pass_obj
def status(settings: Settings, *, as_json: bool) -> None:
    """Show the status of the collector: its polls, and what is waiting for each sink.

    Works whether or not the collector is running, as it reads the state folder.
    """
    found, running = read_status(settings.state), is_running(settings.state)
    if as_json:
        print_json({"running": running, "folder": str(settings.state), **plain(found)})
        return
    now = settings.clock.now()
    said = [("running", "yes" if running else "no"), ("folder", str(settings.state))]
    for label, words in [*said, *_lines(found, now)]:
        click.echo(printable(f"{label:<{_LABEL}}{words}"))
    if found.sinks:
        click.echo()
        _print_sinks(found.sinks, now, running=running)


def _lines(found: Status, now: datetime) -> list[tuple[str, str]]:
    lines = [
        ("last poll", ago(found.last_poll, now)),
        ("last success", ago(found.last_success, now)),
        ("polls", f"{found.polls:,}, {found.failed_polls:,} failed"),
        ("readings", f"{found.readings:,}"),
        ("outbox", _size(found.size)),
    ]
    if found.lost:
        lines.append(("lost", f"{found.lost:,} readings: disk and memory were full"))
    if found.source_error is not None:
        lines.insert(2, ("down since", ago(found.source_error_since, now)))
        lines.insert(3, ("because", found.source_error))
    return lines


def _print_sinks(sinks: Sequence[SinkStatus], now: datetime, *, running: bool) -> None:
    doing = _DOING if running else _DID
    rows = [
        {
            "to": sink.name,
            "doing": doing[sink.course],
            "waiting": f"{sink.waiting:,}",
            "oldest": _age(sink.oldest, now) if sink.waiting else "",
            "delivered": f"{sink.delivered:,}",
            "last": _age(sink.last_success, now),
            "rejected": f"{sink.rejected:,}",
            "dropped": f"{sink.dropped:,}",
        }
        for sink in sinks
    ]
    rare = {"oldest": "", "rejected": "0", "dropped": "0"}
    columns = [c for c in rows[0] if c not in rare or any(row[c] != rare[c] for row in rows)]
    made = table(*columns, right=columns[2:], whole=("doing",))
    for row in rows:
        add_row(made, *(row[column] for column in columns))
    print_table(made)
    for sink in sinks:
        if sink.error is not None and sink.course is not Course.REMOVED:
            due = _due(sink, now) if running else "when a collector starts"
            click.echo(f"\n{printable(f'{sink.name}: {sink.error}')}")
            click.echo(f"First failed {ago(sink.error_since, now)}; next try {due}.")


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago something was, in words; `never` for None."""
    if moment is None:
        return "never"
    return _age(moment, now) if moment > now else f"{_age(moment, now)} ago"


def _age(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "never"
    past = now - moment
    return in_words(past) if past >= timedelta(0) else f"{in_words(-past)} ahead"


def _due(sink: SinkStatus, now: datetime) -> str:
    wait = sink.next_try - now if sink.next_try else timedelta(0)
    return f"in {in_words(wait)}" if wait > timedelta(0) else "due now"


def _size(size: float) -> str:
    units = ["B", "kB", "MB", "GB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        del units[0]
    return f"{size:.1f} {units[0]}"
