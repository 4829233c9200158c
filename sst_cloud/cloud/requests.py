"""The request of each command, and which devices SST Cloud has it for."""

from collections.abc import Mapping
from typing import Any

import attrs

from sst_cloud.commands import (
    Command,
    SetBrightness,
    SetFloorWashing,
    SetMode,
    SetPower,
    SetTargetTemperature,
    SetValves,
    describe,
)
from sst_cloud.errors import CommandError
from sst_cloud.models import NeptunSmart

from .device_types import DeviceType, product_name


@attrs.frozen
class Request:
    """What is sent to the cloud."""

    method: str
    path: str
    body: Mapping[str, Any]


def request_for(command: Command) -> Request:
    """The request of a command. Raises `CommandError` if the cloud does not have it."""
    device = command.device
    method = "POST"
    body: Mapping[str, Any]
    match command:
        case SetValves(device=NeptunSmart()):
            names = {1: "first_group_valves_state", 2: "second_group_valves_state"}
            config = {names[number]: command.state.value for number in command.groups}
            method, page, body = "PATCH", "module_settings", {"module_config": config}
        case SetValves():
            page, body = "valve_settings", {"valve_settings": command.state.value}
        case SetFloorWashing(device=NeptunSmart()):
            body = {"washing_floors_mode": _on_off(command.on)}
            method, page = "PATCH", "module_settings"
        case SetFloorWashing():
            page, body = "dry_flag", {"dry_flag": _on_off(command.on)}
        case SetPower():
            page, body = "status", {"status": _on_off(command.on)}
        case SetMode():
            page, body = "mode", {"mode": command.mode.value}
        case SetTargetTemperature():
            page, body = "temperature", {"temperature_manual": command.celsius}
        case SetBrightness():
            if device.model != product_name(DeviceType.ECOSMART_25):
                raise CommandError(
                    f"{describe(device)} has no brightness setting; only EcoSmart 25 has one"
                )
            page, body = "bright", {"bright": command.level}
        case _:
            raise CommandError(f"SST Cloud has no command {type(command).__name__}")
    return Request(method, f"/houses/{device.house_id:d}/devices/{device.id:d}/{page}/", body)


def _on_off(on: bool) -> str:  # noqa: FBT001
    return "on" if on else "off"
