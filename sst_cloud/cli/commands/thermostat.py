"""`sst-cloud thermostat`."""

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
from sst_cloud.enums import ThermostatMode
from sst_cloud.models import Thermostat


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
@source_options
@click.pass_obj
def set_(  # noqa: PLR0913  one per option
    settings: Settings,
    *,
    temperature: int | None,
    mode: str | None,
    power: bool | None,
    brightness: int | None,
    device_names: tuple[str, ...],
    all_matching: bool,
    wait: bool,
    limit: float,
    house_names: tuple[str, ...],
    as_json: bool,
) -> None:
    """Set the temperature, the mode, the power or the brightness of a thermostat."""
    if temperature is None and mode is None and power is None and brightness is None:
        raise click.UsageError(
            "nothing to set: use --temperature, --mode, --on, --off or --brightness"
        )

    async def apply_settings(controls: Controls, device: Thermostat) -> Results:
        results = []
        if power is not None:
            result = await controls.set_power(device, power, wait=wait, limit=limit)
            results.append(("switched on" if power else "switched off", result))
        if mode is not None:
            result = await controls.set_mode(device, ThermostatMode(mode), wait=wait, limit=limit)
            results.append((f"mode {mode}", result))
        if temperature is not None:
            result = await controls.set_target_temperature(
                device, temperature, wait=wait, limit=limit
            )
            results.append((f"target {temperature} °C", result))
        if brightness is not None:
            result = await controls.set_brightness(device, brightness, wait=wait, limit=limit)
            results.append((f"brightness {brightness}", result))
        return results

    selection = Selection(Thermostat, house_names, device_names, all_matching)
    results = asyncio.run(carry_out(settings, selection, apply_settings))
    print_command_results(results, as_json=as_json)
