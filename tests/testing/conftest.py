"""A house with every device, and a hand that asks for it over raw HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import attrs
import pytest

from sst_cloud import ManualClock
from sst_cloud.testing import FakeCloud, FakeDevice, every_device_account


@attrs.frozen
class Hand:
    """Asks a fake cloud with its token, and looks into what it answers."""

    cloud: FakeCloud
    clock: ManualClock
    http: aiohttp.ClientSession

    def device(self, name: str) -> FakeDevice:
        return self.cloud.device(name)

    def path(self, name: str) -> str:
        return f"/houses/{self.cloud.houses[0].id}/devices/{self.device(name).id}/"

    async def get(self, path: str) -> Any:
        async with self.http.get(path) as response:
            assert response.status == 200, path
            return await response.json()

    async def parsed(self, name: str) -> Any:
        return json.loads((await self.get(self.path(name)))["parsed_configuration"])

    async def sensors(self, name: str) -> Any:
        return await self.get(self.path(name) + "wireless_sensors/")

    async def send(
        self, name: str, command: str, body: Any, method: str = "POST"
    ) -> tuple[int, Any]:
        path = f"{self.path(name)}{command}/"
        async with self.http.request(method, path, json=body) as response:
            return response.status, await response.json()


@asynccontextmanager
async def reach(cloud: FakeCloud) -> AsyncIterator[Hand]:
    headers = {"Authorization": f"Token {cloud.token}"}
    async with aiohttp.ClientSession(cloud.url, headers=headers) as http:
        assert isinstance(cloud.clock, ManualClock)
        yield Hand(cloud, cloud.clock, http)


@pytest.fixture
async def hand() -> AsyncIterator[Hand]:
    async with (
        FakeCloud([every_device_account()], clock=ManualClock()) as cloud,
        reach(cloud) as hand,
    ):
        yield hand
