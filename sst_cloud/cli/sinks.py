"""`sst-cloud sinks`."""

from typing import Any

import click

from sst_cloud.errors import UnknownSinkError
from sst_cloud.sink import History, InstalledSink, installed_sinks

from .output import add_row, console, json_option, print_json, table
from .settings import verbose_option


@click.command()
@json_option
@verbose_option
def sinks(*, as_json: bool) -> None:
    """List the sinks that are installed, with their options and what they promise."""
    found = [_describe(sink) for sink in installed_sinks()]
    if as_json:
        print_json(found)
        return
    made = table("sink", "options", "promise", "readable", "from")
    for sink in found:
        if "error" in sink:
            add_row(made, f"{sink['scheme']}:", "", sink["error"], "", sink["distribution"])
            continue
        options = "\n".join(f"{name}: {text}" for name, text in sink["options"].items())
        readable = "yes" if sink["readable"] else "no"
        add_row(made, sink["url"], options, sink["guarantee"], readable, sink["distribution"])
    console().print(made)


def _describe(sink: InstalledSink) -> dict[str, Any]:
    known: dict[str, Any] = {"scheme": sink.scheme, "distribution": sink.distribution}
    try:
        kind = sink.load()
    except UnknownSinkError as error:
        return known | {"error": str(error)}
    return known | {
        "url": f"{sink.scheme}:{kind.target}",
        "summary": (kind.__doc__ or "").strip().partition("\n")[0],
        "options": {option.name: option.help for option in kind.options},
        "guarantee": kind.guarantee.value,
        "readable": issubclass(kind, History),
    }
