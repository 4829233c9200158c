"""`sst-cloud dump`."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import click

from sst_cloud.client import SSTCloud
from sst_cloud.errors import AuthenticationError, SSTCloudError
from sst_cloud.redaction import disguise

from .output import say
from .settings import Settings, account_options

_OF_A_HOUSE: Final = ("", "networks/", "groups/", "counters/", "devices/")
_OF_A_DEVICE: Final = ("", "counters/", "wireless_sensors/")


@click.command()
@click.option("--redact/--no-redact", default=True, show_default=True, help="Mask secrets.")
@account_options
@click.pass_obj
def dump(settings: Settings, *, redact: bool) -> None:
    """Print the raw data of the account, by path.

    Attach it to a bug report. Secrets are masked, with their format kept. Names that you gave to
    houses and devices are included: check before sending it.
    """
    found = asyncio.run(_dump(settings))
    if not redact:
        say("Warning: this contains secrets; do not share it.")
    shown = disguise(found) if redact else found
    click.echo(json.dumps(shown, ensure_ascii=False, indent=2))


async def _dump(settings: Settings) -> dict[str, Any]:
    async with settings.client() as cloud:
        found = await _read(cloud, ["/auth/user/", "/news/", "/houses/"])
        houses = [f"/houses/{house}/" for house in _ids(found["/houses/"])]
        found |= await _read(cloud, [house + page for house in houses for page in _OF_A_HOUSE])
        devices = [
            f"{house}devices/{device}/"
            for house in houses
            for device in _ids(found[f"{house}devices/"])
        ]
        pages = [device + page for device in devices for page in _OF_A_DEVICE]
        return found | await _read(cloud, pages)


async def _read(cloud: SSTCloud, paths: Iterable[str]) -> dict[str, Any]:
    """Path → its response, or what went wrong."""

    async def read(path: str) -> tuple[str, Any]:
        try:
            return path, await cloud.raw(path)
        except AuthenticationError:
            raise
        except SSTCloudError as error:
            return path, {"error": f"{type(error).__name__}: {error}"}

    return dict(await asyncio.gather(*map(read, paths)))


def _ids(payload: Any) -> list[int]:
    items = payload if isinstance(payload, list) else []
    ids = [item.get("id") for item in items if isinstance(item, Mapping)]
    return [id_ for id_ in ids if isinstance(id_, int)]
