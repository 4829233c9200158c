"""`sst-cloud sinks`, `sources` and `handlers`: the installed plugins."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import click

from sst_cloud.cli.output import json_option, print_json, print_message, stdout_console
from sst_cloud.cli.settings import verbose_option
from sst_cloud.controls import Controls
from sst_cloud.display.terminal.tables import add_row, new_table
from sst_cloud.errors import SSTCloudError
from sst_cloud.plugins import (
    InstalledPlugin,
    installed_handlers,
    installed_sinks,
    installed_sources,
    secret_names,
)
from sst_cloud.sink import History, Provisioned, SinkType
from sst_cloud.source import SourceType

T = TypeVar("T")


@click.command()
@json_option
@verbose_option
def sinks(*, as_json: bool) -> None:
    """List the installed sinks, with their options and guarantees."""
    _print([_describe(plugin, _describe_sink) for plugin in installed_sinks()], as_json=as_json)


@click.command()
@json_option
@verbose_option
def sources(*, as_json: bool) -> None:
    """List the installed sources, with their options, and whether they take commands."""
    descriptions = [_describe(plugin, _describe_source) for plugin in installed_sources()]
    _print(descriptions, as_json=as_json)


@click.command()
@json_option
@verbose_option
def handlers(*, as_json: bool) -> None:
    """List the installed event handlers, beside commands and web addresses."""
    descriptions = [_describe(plugin, lambda _: {}) for plugin in installed_handlers()]
    _print(descriptions, as_json=as_json)
    if not descriptions and not as_json:
        print_message("None is installed: events go to commands and web addresses.")


def _print(descriptions: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(descriptions)
        return
    console = stdout_console()
    for number, description in enumerate(descriptions):
        heading = description.get("url", f"{description['scheme']}:")
        console.print("\n" * bool(number) + heading, style="bold", markup=False, soft_wrap=True)
        table = new_table("label", "text", whole=("label",))
        table.show_header = False
        for label, text in _details(description):
            add_row(table, f"  {label}", text)
        console.print(table)


def _details(description: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in description.items():
        if isinstance(value, bool):
            yield key, "yes" if value else "no"
        elif isinstance(value, dict):
            yield from ((f"?{name}", text) for name, text in value.items())
        elif key == "secrets" and value:
            yield key, ", ".join(value)
        elif key in ("error", "summary", "guarantee"):
            yield key, value
    yield "package", description["distribution"]


def _describe(
    plugin: InstalledPlugin[T], describe: Callable[[T], dict[str, Any]]
) -> dict[str, Any]:
    """Everything about a plugin, or why it cannot be described."""
    try:
        kind = plugin.load()
        return {**_common(plugin, kind), **describe(kind), **_options(kind)}
    except Exception as error:  # noqa: BLE001  a third party's may declare anything
        is_ours = isinstance(error, SSTCloudError)
        reason = str(error) if is_ours else f"cannot be listed: {type(error).__name__}: {error}"
        return {"scheme": plugin.scheme, "distribution": plugin.distribution, "error": reason}


def _describe_sink(kind: type[SinkType]) -> dict[str, Any]:
    return {
        "guarantee": kind.guarantee.value,
        "readable": _is_a(kind, History),
        "provisioned": _is_a(kind, Provisioned),
    }


def _describe_source(kind: type[SourceType]) -> dict[str, Any]:
    return {"commands": _is_a(kind, Controls)}


def _is_a(kind: object, base: type) -> bool:
    """Whether it is such a class; it need not be a class."""
    return isinstance(kind, type) and issubclass(kind, base)


def _common(plugin: InstalledPlugin[Any], kind: Any) -> dict[str, Any]:
    return {
        "scheme": plugin.scheme,
        "distribution": plugin.distribution,
        "url": f"{plugin.scheme}:{kind.target}",
        "summary": (kind.__doc__ or "").strip().partition("\n")[0],
    }


def _options(kind: Any) -> dict[str, Any]:
    return {
        "options": {option.name: option.help for option in kind.options},
        "secrets": secret_names(kind),
    }
