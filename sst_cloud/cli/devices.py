"""Finding the devices that a command is for."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from sst_cloud.client import SSTCloud
from sst_cloud.commands import CommandResult
from sst_cloud.models import Device
from sst_cloud.text import printable

from .account import choose
from .output import print_json
from .units import FiniteRange

F = TypeVar("F", bound=Callable[..., Any])
D = TypeVar("D", bound=Device)


def device_options(command: F) -> F:
    """`--house`, `--device`, `--all`, `--no-wait`, `--limit`."""
    for option in (
        click.option("--limit", type=FiniteRange(min=1), default=60.0, show_default=True,
                     metavar="SECONDS", help="How long to wait."),
        click.option("--wait/--no-wait", default=True, help="Wait until the device confirms."),
        click.option("--all", "all_found", is_flag=True, help="All matching devices."),
        click.option("--device", "named", multiple=True, metavar="NAME|ID", help="This device."),
    ):  # fmt: skip
        command = option(command)
    return command


async def find(
    cloud: SSTCloud,
    kind: type[D],
    wanted: Sequence[str],
    named: Sequence[str],
    *,
    all_found: bool,
) -> list[D]:
    """The matching devices; several only if each is named, or with `--all`."""
    houses = await cloud.houses()
    chosen = choose(houses, wanted)
    names = {house.id: house.name for house in houses}
    ids = names.keys() if chosen is None else names.keys() & chosen
    lists = await asyncio.gather(*(cloud.devices(id_) for id_ in names if id_ in ids))
    found = [device for devices in lists for device in devices if isinstance(device, kind)]
    meant = [device for device in found if not named or _is(device, named)]
    missing = [name for name in named if not any(_is(device, [name]) for device in found)]
    known = ", ".join(f"{d.name} ({d.id}, {names[d.house_id]})" for d in found) or "none"
    if missing or not meant:
        asked = f"{missing[0]!r}" if missing else "to be found"
        raise click.ClickException(f"there is no such device {asked}; this account has: {known}")
    if len(meant) > 1 and not all_found and not named:
        raise click.ClickException(f"choose one with --device, or use --all; there are: {known}")
    return meant


def _is(device: Device, names: Sequence[str]) -> bool:
    return device.name in names or str(device.id) in names


def report(results: Sequence[tuple[Device, str, CommandResult]], *, as_json: bool) -> None:
    """Print the results of commands; exits with status 1 if one was not confirmed."""
    if as_json:
        print_json(
            [
                {
                    "device_id": device.id,
                    "device": device.name,
                    "did": did,
                    "confirmed": r.confirmed,
                }
                for device, did, r in results
            ]
        )
    for device, did, result in () if as_json else results:
        ending = {
            True: "confirmed by the device",
            None: "accepted by the cloud",
            False: "accepted by the cloud, but not confirmed by the device; is it online?",
        }[result.confirmed]
        click.echo(printable(f"{device.name or device.id}: {did}, {ending}."))
    if any(result.confirmed is False for _, _, result in results):
        raise click.exceptions.Exit(1)
