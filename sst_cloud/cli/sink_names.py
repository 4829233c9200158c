"""`--sink URL`, and what a sink is called on the screen, in the outbox and among dead letters."""

from collections.abc import Sequence

import click

from sst_cloud.redaction import name_of
from sst_cloud.sink import Sink, open_sink

sink_option = click.option(
    "--sink", "sinks", multiple=True, metavar="URL", help="Where to; see `sst-cloud sinks`."
)


def sink_name(url: str) -> str:
    """The URL, or what may be shown of it and a mark by which two that look the same differ."""
    return name_of(url, url)


def open_sinks(urls: Sequence[str]) -> dict[str, Sink]:
    """Sinks by name; one that is named twice comes once."""
    return {sink_name(url): open_sink(url) for url in urls}
