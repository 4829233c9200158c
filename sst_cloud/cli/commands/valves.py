"""`sst-cloud valves`."""

import asyncio

import click

from sst_cloud.cli.output import json_option, print_command_results
from sst_cloud.cli.selection import (
    Results,
    Selection,
    carry_out,
    device_options,
    house_option,
)
from sst_cloud.cli.settings import Settings, source_options
from sst_cloud.controls import Controls
from sst_cloud.enums import ValveState
from sst_cloud.models import LeakModule


@click.command()
@click.argument("action", type=click.Choice(["close", "open"]))
@click.option("--group", type=click.IntRange(1, 2), help="Zone, on a module with two.")
@click.option(
    "--despite-alarm",
    is_flag=True,
    help="Open even during a leak alarm, or out of reach.",
)
@device_options
@house_option
@json_option
@source_options
@click.pass_obj
def valves(  # noqa: PLR0913  one per option
    settings: Settings,
    *,
    action: str,
    group: int | None,
    despite_alarm: bool,
    device_names: tuple[str, ...],
    all_matching: bool,
    wait: bool,
    limit: float,
    house_names: tuple[str, ...],
    as_json: bool,
) -> None:
    """Open or close the valves of a leak module.

    Opening lets the water flow. It is refused during a leak alarm, and if the module is out of
    reach.
    """
    state = ValveState.OPENED if action == "open" else ValveState.CLOSED

    async def set_valves(controls: Controls, module: LeakModule) -> Results:
        result = await controls.set_valves(
            module, state, group, despite_alarm=despite_alarm, wait=wait, limit=limit
        )
        return [(f"valves {state.value}", result)]

    selection = Selection(LeakModule, house_names, device_names, all_matching)
    results = asyncio.run(carry_out(settings, selection, set_valves))
    print_command_results(results, as_json=as_json)
