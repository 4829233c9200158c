"""`sst-cloud valves`."""

import asyncio

import click

from sst_cloud.commands import CommandResult
from sst_cloud.enums import ValveState
from sst_cloud.models import Device, LeakModule

from .account import house_option
from .devices import device_options, find, report
from .output import json_option
from .settings import Settings, account_options


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
    named: tuple[str, ...],
    all_found: bool,
    wait: bool,
    limit: float,
    wanted: tuple[str, ...],
    as_json: bool,
) -> None:
    """Open or close the valves of a leak module.

    Opening lets the water flow. It is refused during a leak alarm.
    """
    state = ValveState.OPENED if action == "open" else ValveState.CLOSED

    async def carry_out() -> list[tuple[Device, str, CommandResult]]:
        async with settings.client() as cloud:
            modules = await find(cloud, LeakModule, wanted, named, all_found=all_found)
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

    report(asyncio.run(carry_out()), as_json=as_json)
