"""`sst-cloud check`: whether `collect` would work."""

import asyncio
from collections.abc import Sequence

import click

from sst_cloud.cli.collect_options import on_event_option
from sst_cloud.cli.config import config_option
from sst_cloud.cli.output import hint_for, json_option, print_json, stdout_console
from sst_cloud.cli.selection import house_option
from sst_cloud.cli.settings import Settings, source_options, state_option
from sst_cloud.collector.checks import (
    CheckResult,
    check_folder,
    check_handler,
    check_sink,
    check_source,
)
from sst_cloud.collector.shutdown import ForcedExit
from sst_cloud.wording import printable


@click.command()
@config_option
@click.option("--sink", "sinks", multiple=True, metavar="URL", help="Sink to check; repeatable.")
@on_event_option
@house_option
@state_option
@json_option
@source_options
@click.pass_obj
def check(
    settings: Settings,
    *,
    sinks: tuple[str, ...],
    on_event: tuple[str, ...],
    house_names: tuple[str, ...],
    as_json: bool,
) -> None:
    """Test the configuration of `collect`, without writing anything.

    Takes the same options or configuration file. Reads every source once, checks that
    every sink would accept readings, and checks the state folder and the --on-event handlers. The
    exit status is 0 if everything works.
    """
    with ForcedExit() as forced_exit:
        all_ok = asyncio.run(
            _run_checks(settings, sinks, on_event, house_names, forced_exit, as_json=as_json)
        )
    if not all_ok:
        raise click.exceptions.Exit(1)


async def _run_checks(  # noqa: PLR0913
    settings: Settings,
    sinks: Sequence[str],
    on_event: Sequence[str],
    house_names: Sequence[str],
    forced_exit: ForcedExit,
    *,
    as_json: bool,
) -> bool:
    """Run all checks and print the results, even if a sink hangs in a thread."""
    results = await asyncio.gather(
        *(
            check_source(url, lambda url: settings.open_source(url, house_names))
            for url in dict.fromkeys(settings.sources)
        ),
        check_folder(settings.state),
        *(check_sink(url, settings.secrets) for url in sinks),
        *(
            check_handler(
                text,
                env=settings.handler_env,
                withheld=settings.withheld_secrets,
                clock=settings.clock,
            )
            for text in on_event
        ),
    )
    details = [
        f"{it.detail}{hint_for(it.error_type)}" if it.error_type else it.detail for it in results
    ]
    if as_json:
        rows = zip(results, details, strict=True)
        print_json([{"name": it.name, "ok": it.ok, "detail": detail} for it, detail in rows])
    else:
        _print_results(results, details)
    all_ok = all(result.ok for result in results)
    forced_exit.status = 0 if all_ok else 1
    forced_exit.start()
    return all_ok


def _print_results(results: Sequence[CheckResult], details: Sequence[str]) -> None:
    from rich.text import Text  # noqa: PLC0415

    console = stdout_console()
    for result, detail in zip(results, details, strict=True):
        outcome = ("ok", "green") if result.ok else ("failed", "red")
        text = detail and f" - {printable(detail)}"
        console.print(Text.assemble(f"{printable(result.name)}: ", outcome, text), soft_wrap=True)
