"""`--sink URL`, and the name of its sink on screen, in the outbox and in dead letters."""

from collections.abc import Sequence

import click

from sst_cloud.redaction import display_name
from sst_cloud.sink import Sink

from .settings import Settings

sink_option = click.option(
    "--sink",
    "sinks",
    multiple=True,
    metavar="URL",
    help="Sink to write to; see `sst-cloud sinks`; repeatable.",
)


def sink_name(url: str) -> str:
    """The URL, or the part that may be shown, with a hash that tells similar ones apart."""
    return display_name(url, url)


def open_sinks(urls: Sequence[str], settings: Settings) -> dict[str, Sink]:
    """Sinks by name, without duplicates."""
    return {sink_name(url): settings.open_sink(url) for url in urls}
