"""`sst-cloud status`: the status of the collector."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import click

from sst_cloud.cli.config import config_option
from sst_cloud.cli.output import json_option, print_json, print_rows
from sst_cloud.cli.settings import Settings, state_option, verbose_option
from sst_cloud.json_values import json_value
from sst_cloud.outbox.state_folder import is_running, read_status
from sst_cloud.outbox.status import DeliveryState, SinkStatus, SourceStatus, Status, Stream
from sst_cloud.wording import age_in_words, ago, count, duration_in_words, printable

_STATES: Final = {
    DeliveryState.DELIVERING: "delivering",
    DeliveryState.RETRYING: "retrying",
    DeliveryState.PAUSED: "paused",
    DeliveryState.REMOVED: "removed",
}
_STATES_OF_STOPPED: Final = _STATES | {
    DeliveryState.DELIVERING: "idle",
    DeliveryState.RETRYING: "failed",
}
"""The states if no collector is running."""
_LABEL_WIDTH: Final = 14
"""Characters of a label."""


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
    current, running = read_status(settings.state), is_running(settings.state)
    if as_json:
        print_json({"running": running, "folder": str(settings.state), **json_value(current)})
        return
    now = settings.clock.now()
    lines = [("running", "yes" if running else "no"), ("folder", str(settings.state))]
    for label, text in [*lines, *_lines(current, now)]:
        click.echo(printable(f"{label:<{_LABEL_WIDTH}}{text}"))
    if current.sinks:
        click.echo()
        _print_sinks(current.sinks, now, running=running)


def _lines(current: Status, now: datetime) -> list[tuple[str, str]]:
    lines = [
        ("last poll", ago(current.last_poll, now)),
        ("last success", ago(current.last_success, now)),
        ("polls", f"{current.polls:,}, {current.failed_polls:,} failed"),
        ("readings", f"{current.readings:,}"),
        ("outbox", _format_bytes(current.size)),
    ]
    if current.lost:
        lines.append(("lost", f"{count(current.lost, 'reading')}: disk and memory were full"))
    several = len(current.sources) > 1
    sources = [("source", source.name) for source in current.sources]
    if several:
        sources = [
            ("source", f"{source.name}, {_answered(source, now)}") for source in current.sources
        ]
    if current.source_error is not None:
        lines.insert(2, ("down since", ago(current.source_error_since, now)))
        if not several:
            lines.insert(3, ("error", current.source_error))
    return [*sources, *lines]


def _answered(source: SourceStatus, now: datetime) -> str:
    """When a source answered, or since when and why it does not."""
    if source.error is not None:
        return f"no answer for {age_in_words(source.error_since, now)}: {source.error}"
    return f"answered {ago(source.last_success, now)}" if source.last_success else "not asked yet"


def _print_sinks(sinks: Sequence[SinkStatus], now: datetime, *, running: bool) -> None:
    states = _STATES if running else _STATES_OF_STOPPED
    rows = [
        {
            "sink": sink.name,
            "state": states[sink.state],
            "waiting": f"{sink.waiting:,}",
            "oldest": age_in_words(sink.oldest, now) if sink.waiting else "",
            "delivered": f"{sink.delivered:,}",
            "last delivery": age_in_words(sink.last_success, now),
            "rejected": f"{sink.rejected:,}",
            "dropped": f"{sink.dropped:,}",
        }
        for sink in sinks
    ]
    default_cells = {"oldest": "", "rejected": "0", "dropped": "0"}
    columns = [
        name
        for name in rows[0]
        if name not in default_cells or any(row[name] != default_cells[name] for row in rows)
    ]
    cells = ([row[column] for column in columns] for row in rows)
    print_rows(columns, cells, right=columns[2:], whole=("state",))
    if any(sink.rejected and sink.stream is Stream.READINGS for sink in sinks):
        click.echo("\nSee what was rejected, and why: sst-cloud dead-letters list")
    for sink in sinks:
        if sink.error is not None and sink.state is not DeliveryState.REMOVED:
            next_try = _next_try(sink, now) if running else "when a collector starts"
            click.echo(f"\n{printable(f'{sink.name}: {sink.error}')}")
            click.echo(f"First failed {ago(sink.error_since, now)}; next try {next_try}.")


def _next_try(sink: SinkStatus, now: datetime) -> str:
    wait = sink.next_try - now if sink.next_try else timedelta(0)
    return f"in {duration_in_words(wait)}" if wait > timedelta(0) else "due now"


def _format_bytes(size: float) -> str:
    units = ["B", "kB", "MB", "GB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        del units[0]
    return f"{size:.1f} {units[0]}"
