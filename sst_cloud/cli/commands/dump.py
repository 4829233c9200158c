"""`sst-cloud dump`."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import click

from sst_cloud.cli.output import print_message
from sst_cloud.cli.settings import Settings, account_options
from sst_cloud.cloud.anonymize import anonymize
from sst_cloud.cloud.client import SSTCloud
from sst_cloud.errors import AuthenticationError, SSTCloudError

_HOUSE_PAGES: Final = ("", "networks/", "groups/", "counters/", "devices/")
_DEVICE_PAGES: Final = ("", "counters/", "wireless_sensors/")


@click.command()
@click.option("--redact/--no-redact", default=True, show_default=True, help="Mask secrets.")
@account_options
@click.pass_obj
def dump(settings: Settings, *, redact: bool) -> None:
    """Print the raw data of the account, by path.

    Attach it to a bug report. Secrets are masked, with their format kept. Names that you gave to
    houses and devices are included: check before sending it.
    """
    payloads = asyncio.run(_dump(settings))
    if not redact:
        print_message("Warning: this contains secrets; do not share it.")
    output = anonymize(payloads) if redact else payloads
    click.echo(json.dumps(output, ensure_ascii=False, indent=2))


async def _dump(settings: Settings) -> dict[str, Any]:
    async with settings.client() as cloud:
        payloads = await _read_paths(cloud, ["/auth/user/", "/news/", "/houses/"])
        houses = [f"/houses/{house}/" for house in _ids(payloads["/houses/"])]
        payloads |= await _read_paths(
            cloud, [house + page for house in houses for page in _HOUSE_PAGES]
        )
        devices = [
            f"{house}devices/{device}/"
            for house in houses
            for device in _ids(payloads[f"{house}devices/"])
        ]
        pages = [device + page for device in devices for page in _DEVICE_PAGES]
        return payloads | await _read_paths(cloud, pages)


async def _read_paths(cloud: SSTCloud, paths: Iterable[str]) -> dict[str, Any]:
    """Path → its response, or its error."""

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
