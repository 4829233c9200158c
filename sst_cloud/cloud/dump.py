"""The raw data of an account, for a bug report: see `anonymize` before it is passed on."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sst_cloud.errors import AuthenticationError, SSTCloudError

from .client import SSTCloud

_ACCOUNT_PAGES: Final = ("/auth/user/", "/news/", "/houses/")
_HOUSE_PAGES: Final = ("", "networks/", "groups/", "counters/", "devices/")
_DEVICE_PAGES: Final = ("", "counters/", "wireless_sensors/")


async def dump(cloud: SSTCloud) -> dict[str, Any]:
    """Path → its payload, secrets included, or its error. Raises `AuthenticationError`."""
    payloads = await _read_paths(cloud, _ACCOUNT_PAGES)
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
