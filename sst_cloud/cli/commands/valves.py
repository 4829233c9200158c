"""`sst-cloud valves`."""

import asyncio

import click

from sst_cloud.cli.output import json_option, print_command_results
from sst_cloud.cli.selection import device_options, find_devices, house_option
from sst_cloud.cli.settings import Settings, account_options
from sst_cloud.controls import CommandResult
from sst_cloud.enums import ValveState
from sst_cloud.models import Device, LeakModule


@click.command()
@click.argument("action", type=click.Choice(["close", "open"]))
@click.option("--group", type=click.IntRange(1, 2), help="Zone, on a module with two.")
@click.option("--despite-alarm", is_flag=True, help="Open even during a leak alarm.")
@device_options
@house_option
@json_option
@account_options
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

    Opening lets the water flow. It is refused during a leak alarm.
    """
    state = ValveState.OPENED if action == "open" else ValveState.CLOSED

    async def run_commands() -> list[tuple[Device, str, CommandResult]]:
        async with settings.client() as cloud:
            modules = await find_devices(
                cloud, LeakModule, house_names, device_names, all_matching=all_matching
            )
            return [
                (
                    module,
                    f"valves {state.value}",
                    await cloud.set_valves(
                        module, state, group, despite_alarm=despite_alarm, wait=wait, limit=limit
                    ),
                )
                for module in modules
            ]

    print_command_results(asyncio.run(run_commands()), as_json=as_json)
