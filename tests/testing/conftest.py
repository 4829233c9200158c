"""A house with every device, and a client that reads it over raw HTTP."""

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
class ApiClient:
    """Sends requests to a fake cloud with its token, and parses the answers."""

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
async def connect(cloud: FakeCloud) -> AsyncIterator[ApiClient]:
    headers = {"Authorization": f"Token {cloud.token}"}
    async with aiohttp.ClientSession(cloud.url, headers=headers) as http:
        assert isinstance(cloud.clock, ManualClock)
        yield ApiClient(cloud, cloud.clock, http)


@pytest.fixture
async def api() -> AsyncIterator[ApiClient]:
    async with (
        FakeCloud([every_device_account()], clock=ManualClock()) as cloud,
        connect(cloud) as api,
    ):
        yield api
