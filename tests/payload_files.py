"""The payloads in `payloads/`: what devices and pages of the cloud look like, a file per case.

`payloads/<model>/<endpoint>[_case].json`: the folder is the model as the cloud numbers it, or what
an account holds besides devices.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sst_cloud import Counter, Device, DeviceType, House, Snapshot, WirelessSensor
from sst_cloud.cloud.devices.wireless_sensor import sensor_list_fields
from sst_cloud.cloud.structuring import Structurer

ROOT: Final = Path(__file__).parent / "payloads"
RECORDED: Final = Path(
    os.environ.get("SST_CLOUD_PAYLOADS", Path(__file__).parents[2] / "shared/facts/payloads")
)
"""Recorded payloads, if they are available beside the project; they are private."""
NO_RECORDINGS: Final = "the recorded payloads are not beside the project"
NOW: Final = datetime(2026, 11, 23, 9, 2, tzinfo=UTC)
"""The time of the request: a Monday noon in Moscow."""
ALL: Final = sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.rglob("*.*"))
MODELS: Final[tuple[str, ...]] = (*(type_.name.lower() for type_ in DeviceType), "unknown")
ENDPOINTS: Final = (
    "device",
    "counters",
    "wireless_sensors",
    "house",
    "network",
    "group",
    "news",
    "user",
)


def folder(name: str) -> str:
    """`neptun_smart` of `neptun_smart/device_alarm`."""
    return name.partition("/")[0]


def endpoint(name: str) -> str:
    """`device` of `neptun_smart/device_alarm`."""
    file = name.partition("/")[2]
    return max((e for e in ENDPOINTS if f"{file}_".startswith(f"{e}_")), key=len)


def of(endpoint_name: str) -> list[str]:
    """The names of all payloads of one endpoint."""
    return [name for name in ALL if endpoint(name) == endpoint_name]


def load(name: str) -> Any:
    """The payload."""
    return json.loads((ROOT / f"{name}.json").read_text(encoding="utf-8"))


def device(name: str, structurer: Structurer | None = None) -> Device:
    """A device as the library reads it."""
    return (structurer or Structurer()).one(load(name), Device, f"/{name}/")


def counters(name: str) -> list[Counter]:
    """Meters as the library reads them."""
    listing = Structurer().listing(load(name), Counter, f"/{name}/", house_id=1377)
    assert listing.unreadable == ()
    return listing


def sensors(name: str) -> list[WirelessSensor]:
    """Radio sensors as the library reads them."""
    payload, owner = load(name), load(f"{folder(name)}/device")
    listing = Structurer().listing(
        payload,
        WirelessSensor,
        f"/{name}/",
        element_fields=sensor_list_fields(payload),
        house_id=owner["house"],
        device_id=owner["id"],
    )
    assert listing.unreadable == ()
    return listing


def snapshot(name: str) -> Snapshot:
    """A minimal account with this payload."""
    house = Structurer().one(load("house/house"), House, "/")
    kind, model = endpoint(name), folder(name)
    owners = [model] if model in MODELS else ["neptun_prow", "neptun_smart"]
    devices = [device(name)] if kind == "device" else [device(f"{own}/device") for own in owners]
    return Snapshot(
        time=NOW,
        houses=(house,),
        devices=tuple(devices),
        counters=tuple(counters(name)) if kind == "counters" else (),
        wireless_sensors=tuple(sensors(name)) if kind == "wireless_sensors" else (),
    )
