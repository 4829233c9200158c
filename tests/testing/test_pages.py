"""Networks, groups, news, and the framework's features of every page."""

import pytest

from sst_cloud.testing import FakeCloud, demo_account, every_device_account

from .conftest import ApiClient, connect


async def test_networks_are_served(api: ApiClient) -> None:
    house = api.cloud.houses[0]
    (network,) = await api.get(f"/houses/{house.id}/networks/")
    assert list(network) == ["id", "house", "devices", "created_at", "updated_at", "name"]
    assert network["house"] == house.id
    assert network["devices"] == [device.id for device in house.devices]
    number = network["id"]
    for path in (f"/houses/{house.id}/networks/{number}/", f"/networks/{number}/"):
        assert await api.get(path) == network
    async with api.http.get(f"/networks/{number + 1}/") as response:
        assert response.status == 404


async def test_groups_and_news_are_served() -> None:
    account = demo_account()
    account.houses[0].devices[0].group = 9
    async with FakeCloud([account]) as cloud, connect(cloud) as api:
        house = cloud.houses[0]
        groups = await api.get(f"/houses/{house.id}/groups/")
        assert groups == [{"id": house.groups[0].id, "name": "Water", "house": house.id}]
        devices = await api.get(f"/houses/{house.id}/devices/")
        assert [device["group"] for device in devices] == [9, None, None]
        news = await api.get("/news/")
        assert [set(piece) for piece in news] == [{"id", "title", "body", "pub_date"}] * 2
        for slash in ("/", ""):
            assert await api.get(f"/news/{news[1]['id']}{slash}") == news[1]
        async with api.http.get("/news/1") as response:
            assert response.status == 404


async def test_options_of_the_device_list_describe_its_fields(api: ApiClient) -> None:
    path = f"/houses/{api.cloud.houses[0].id}/devices/"
    async with api.http.options(path) as response:
        described = await response.json()
    assert described["name"] == "Device List"
    assert described["renders"] == ["application/json", "text/html"]
    fields = described["actions"]["POST"]
    (device, *_) = await api.get(path)
    assert list(fields) == list(device)
    for field in fields.values():
        assert {"type", "required", "read_only", "label"} <= set(field)
    assert fields["configuration"]["read_only"] is False
    assert fields["mac_address"]["max_length"] == 20
    assert fields["power"]["max_value"] == 2147483647


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/houses/", "House List"),
        ("/auth/user/", "User List"),
        ("/networks/7/", "Network Instance"),
        ("/houses/7/devices/7/dry_flag/", "Dry Flag"),
    ],
)
async def test_options_of_other_pages_describe_their_names(
    api: ApiClient, path: str, name: str
) -> None:
    async with api.http.options(path) as response:
        assert response.status == 200
        described = await response.json()
    assert (described["name"], "actions" in described) == (name, False)


async def test_head_requests_have_no_body(api: ApiClient) -> None:
    async with api.http.head(api.path("ProW+")) as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        assert await response.read() == b""


async def test_reads_without_the_slash_and_with_a_query(api: ApiClient) -> None:
    path = api.path("Smart") + "wireless_sensors"
    assert await api.get(path) == await api.sensors("Smart")
    async with api.http.get(path + "?page=1", allow_redirects=False) as response:
        assert response.status == 301
        assert response.headers["Location"] == path + "/?page=1"


async def test_demo_account_is_unchanged(fake: FakeCloud) -> None:
    assert [house.name for house in fake.houses] == ["Flat", "Summer house"]
    assert [(device.id, device.name, int(device.type)) for device in fake.devices] == [
        (24001, "Bathroom", 7),
        (24002, "Kitchen", 2),
        (24003, "Bathroom floor", 6),
        (24004, "Well", 2),
    ]
    assert [counter.id for counter in fake.counters] == list(range(38001, 38006))
    assert all(len(device.line_names) >= 4 for device in fake.devices if device.type in (2, 7))
    assert all(sensor.name for device in fake.devices for sensor in device.sensors)


def test_devices_are_found_by_name() -> None:
    cloud = FakeCloud([demo_account(), every_device_account()])
    assert cloud.device("Well") is cloud.devices[3]
    assert cloud.device("OKE-20").type == 5
    with pytest.raises(LookupError, match="'Attic'"):
        cloud.device("Attic")
