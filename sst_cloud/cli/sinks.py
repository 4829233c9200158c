"""`sst-cloud sinks`."""

from collections.abc import Iterator
from typing import Any

import click

from sst_cloud.errors import UnknownSinkError
from sst_cloud.sink import History, InstalledSink, installed_sinks, secret_names

from .output import add_row, console, json_option, print_json, table
from .settings import verbose_option


@click.command()
@json_option
@verbose_option
def sinks(*, as_json: bool) -> None:
    """List the installed sinks, with their options and guarantees."""
    found = [_describe(sink) for sink in installed_sinks()]
    if as_json:
        print_json(found)
        return
    out = console()
    for number, sink in enumerate(found):
        heading = sink.get("url", f"{sink['scheme']}:")
        out.print("\n" * bool(number) + heading, style="bold", markup=False, soft_wrap=True)
        made = table("label", "words", whole=("label",))
        made.show_header = False
        for label, words in _details(sink):
            add_row(made, f"  {label}", words)
        out.print(made)


def _details(sink: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "error" in sink:
        yield "broken", sink["error"]
    else:
        yield "does", sink["summary"]
        yield "promises", sink["guarantee"]
        yield "readable", "yes" if sink["readable"] else "no"
        yield from ((f"?{name}", words) for name, words in sink["options"].items())
        if sink["secrets"]:
            yield "secrets", ", ".join(sink["secrets"])
    yield "from", sink["distribution"]


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
        "secrets": secret_names(kind),
        "guarantee": kind.guarantee.value,
        "readable": issubclass(kind, History),
    }
