"""The raw data of an account."""

import pytest

from sst_cloud import SSTCloud, TokenAuth, TokenRejectedError
from sst_cloud.cloud.anonymize import anonymize
from sst_cloud.cloud.dump import dump
from sst_cloud.testing import FakeCloud, Status


async def test_dump_has_every_page_by_path(fake: FakeCloud, client: SSTCloud) -> None:
    payloads = await dump(client)
    for house in fake.houses:
        assert payloads[f"/houses/{house.id}/"]["id"] == house.id
        assert len(payloads[f"/houses/{house.id}/devices/"]) == len(house.devices)
        for device in house.devices:
            assert f"/houses/{house.id}/devices/{device.id}/wireless_sensors/" in payloads
    assert fake.email in str(payloads)
    assert fake.email not in str(anonymize(payloads))


async def test_page_that_fails_is_its_error(fake: FakeCloud, client: SSTCloud) -> None:
    fake.inject(Status(404), path="/news/")
    payloads = await dump(client)
    assert payloads["/news/"]["error"].startswith("NotFoundError: /news/: ")
    assert len(payloads["/houses/"]) == 2


async def test_rejected_token_is_an_error(fake: FakeCloud) -> None:
    async with SSTCloud(TokenAuth("stale"), base_url=fake.url) as client:
        with pytest.raises(TokenRejectedError):
            await dump(client)
