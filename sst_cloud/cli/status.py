"""`sst-cloud status`: how the collector fares."""

from datetime import datetime, timedelta
from typing import Final

import click

from sst_cloud.collector.looking import read_status
from sst_cloud.collector.status import Course, SinkStatus, Status

from .durations import in_words
from .output import add_row, console, json_option, print_json, table
from .settings import Settings, state_option, verbose_option

_DOING: Final = {
    Course.FLOWING: "delivering",
    Course.RETRYING: "tries again",
    Course.PAUSED: "refused, paused",
    Course.REMOVED: "not used",
}
_LABEL: Final = 13
"""Columns of a label."""


@click.command()
@state_option
@json_option
@verbose_option
@click.pass_obj
def status(settings: Settings, *, as_json: bool) -> None:
    """Show how the collector fares: polls, and what waits for which sink.

    It reads what the collector keeps on the disk, whether one is running or not.
    """
    found = read_status(settings.state)
    if as_json:
        print_json(found)
        return
    now = settings.clock.now()
    for label, words in _lines(found, now):
        click.echo(f"{label:<{_LABEL}}{words}")
    if found.sinks:
        click.echo()
        _print_sinks(found, now)


def _lines(found: Status, now: datetime) -> list[tuple[str, str]]:
    lines = [
        ("last poll", ago(found.last_poll, now)),
        ("last answer", ago(found.last_success, now)),
        ("polls", f"{found.polls:,}, {found.failed_polls:,} of them failed"),
        ("readings", f"{found.readings:,}"),
        ("outbox", _size(found.size)),
    ]
    if found.lost:
        lines.append(("lost", f"{found.lost:,} readings: neither disk nor memory had room"))
    if found.source_error is not None:
        lines.insert(2, ("away since", ago(found.source_error_since, now)))
        lines.insert(3, ("because", found.source_error))
    return lines


def _print_sinks(found: Status, now: datetime) -> None:
    numbers = ("waiting", "delivered", "rejected", "dropped")
    made = table("to", "doing", *numbers, "oldest waiting", "last delivery", right=numbers)
    for sink in found.sinks:
        add_row(
            made,
            sink.name,
            _DOING[sink.course],
            *(f"{getattr(sink, number):,}" for number in numbers),
            ago(sink.oldest, now) if sink.waiting else "",
            ago(sink.last_success, now),
        )
    console().print(made)
    for sink in found.sinks:
        if sink.error is not None and sink.course is not Course.REMOVED:
            click.echo(f"\n{sink.name}: {sink.error}")
            click.echo(f"It began {ago(sink.error_since, now)}; the next try is {_due(sink, now)}.")


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago a moment was, for people; `never` if there was none."""
    if moment is None:
        return "never"
    past = now - moment
    return f"{in_words(past)} ago" if past >= timedelta(0) else f"{in_words(-past)} ahead"


def _due(sink: SinkStatus, now: datetime) -> str:
    wait = sink.next_try - now if sink.next_try else timedelta(0)
    return f"in {in_words(wait)}" if wait > timedelta(0) else "due now"


def _size(size: float) -> str:
    units = ["B", "kB", "MB", "GB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        del units[0]
    return f"{size:.1f} {units[0]}"
