"""`sst-cloud sinks`."""

from collections.abc import Iterator
from typing import Any

import click

from sst_cloud.cli.output import json_option, print_json, stdout_console
from sst_cloud.cli.settings import verbose_option
from sst_cloud.display.terminal.tables import add_row, new_table
from sst_cloud.errors import UnknownSinkError
from sst_cloud.plugins import InstalledSink, installed_sinks, secret_names
from sst_cloud.sink import History


@click.command()
@json_option
@verbose_option
def sinks(*, as_json: bool) -> None:
    """List the installed sinks, with their options and guarantees."""
    descriptions = [_describe(sink) for sink in installed_sinks()]
    if as_json:
        print_json(descriptions)
        return
    console = stdout_console()
    for number, sink in enumerate(descriptions):
        heading = sink.get("url", f"{sink['scheme']}:")
        console.print("\n" * bool(number) + heading, style="bold", markup=False, soft_wrap=True)
        table = new_table("label", "text", whole=("label",))
        table.show_header = False
        for label, text in _details(sink):
            add_row(table, f"  {label}", text)
        console.print(table)


def _details(sink: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "error" in sink:
        yield "error", sink["error"]
    else:
        yield "summary", sink["summary"]
        yield "guarantee", sink["guarantee"]
        yield "readable", "yes" if sink["readable"] else "no"
        yield from ((f"?{name}", text) for name, text in sink["options"].items())
        if sink["secrets"]:
            yield "secrets", ", ".join(sink["secrets"])
    yield "package", sink["distribution"]


def _describe(sink: InstalledSink) -> dict[str, Any]:
    description: dict[str, Any] = {"scheme": sink.scheme, "distribution": sink.distribution}
    try:
        kind = sink.load()
    except UnknownSinkError as error:
        return description | {"error": str(error)}
    return description | {
        "url": f"{sink.scheme}:{kind.target}",
        "summary": (kind.__doc__ or "").strip().partition("\n")[0],
        "options": {option.name: option.help for option in kind.options},
        "secrets": secret_names(kind),
        "guarantee": kind.guarantee.value,
        "readable": issubclass(kind, History),
    }
