"""`sst-cloud thermostat`."""

import asyncio

import click

from sst_cloud.client import SSTCloud
from sst_cloud.commands import CommandResult
from sst_cloud.enums import ThermostatMode
from sst_cloud.models import Device, Thermostat

from .account import house_option
from .devices import device_options, find, report
from .output import json_option
from .settings import Settings, account_options


@click.group()
def thermostat() -> None:
    """Control thermostats."""


@thermostat.command("set")
@click.option("--temperature", type=int, metavar="°C", help="Target in manual mode, 12 to 45.")
@click.option("--mode", type=click.Choice([mode.value for mode in ThermostatMode]))
@click.option("--on/--off", "power", default=None, help="Switch on or off.")
@click.option("--brightness", type=int, help="Display brightness, 0 to 9 (EcoSmart 25).")
@device_options
@house_option
@json_option
@account_options
@click.pass_obj
def set_(  # noqa: PLR0913  one per option
    settings: Settings,
    *,
    temperature: int | None,
    mode: str | None,
    power: bool | None,
    brightness: int | None,
    named: tuple[str, ...],
    all_found: bool,
    wait: bool,
    limit: float,
    wanted: tuple[str, ...],
    as_json: bool,
) -> None:
    """Set the temperature, the mode, the power or the brightness of a thermostat."""
    if temperature is None and mode is None and power is None and brightness is None:
        raise click.UsageError(
            "nothing to set: use --temperature, --mode, --on, --off or --brightness"
        )

    async def set_one(cloud: SSTCloud, device: Thermostat) -> list[tuple[str, CommandResult]]:
        done = []
        if power is not None:
            result = await cloud.set_power(device, power, wait=wait, limit=limit)
            done.append(("switched on" if power else "switched off", result))
        if mode is not None:
            result = await cloud.set_mode(device, ThermostatMode(mode), wait=wait, limit=limit)
            done.append((f"mode {mode}", result))
        if temperature is not None:
            result = await cloud.set_target_temperature(device, temperature, wait=wait, limit=limit)
            done.append((f"target {temperature} °C", result))
        if brightness is not None:
            result = await cloud.set_brightness(device, brightness, wait=wait, limit=limit)
            done.append((f"brightness {brightness}", result))
        return done

    async def carry_out() -> list[tuple[Device, str, CommandResult]]:
        async with settings.client() as cloud:
            return [
                (device, did, result)
                for device in await find(cloud, Thermostat, wanted, named, all_found=all_found)
                for did, result in await set_one(cloud, device)
            ]

    report(asyncio.run(carry_out()), as_json=as_json)
