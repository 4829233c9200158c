"""Nested and encoded parts of payloads → fields of models.

Lenient throughout: what cannot be read is None or empty. Facts come from recorded payloads where
available, otherwise from public clients of the API.
"""

from collections.abc import Mapping
from typing import Any, Final

from sst_cloud import tlv_frame
from sst_cloud.enums import AccessStatus, Water
from sst_cloud.models import (
    Counter,
    Device,
    NeptunProW,
    NeptunSmart,
    Thermostat,
    UnknownDevice,
    WirelessSensor,
)

from .device_types import DeviceType
from .devices.neptun_prow import neptun_prow_fields
from .devices.neptun_smart import neptun_smart_fields
from .devices.thermostat import thermostat_fields
from .devices.wireless_sensor import wireless_sensor_fields
from .payload_values import (
    Read,
    flag,
    parse_embedded_json,
)

_DEVICE_CLASSES: Final[Mapping[int, type[Device]]] = {
    DeviceType.MCS300: Thermostat,
    DeviceType.MCS350: Thermostat,
    DeviceType.NEPTUN_PROW: NeptunProW,
    DeviceType.EQUATION: Thermostat,
    DeviceType.EQUATION_PROW: NeptunProW,
    DeviceType.OKE_20: Thermostat,
    DeviceType.ECOSMART_25: Thermostat,
    DeviceType.NEPTUN_SMART: NeptunSmart,
}


def device_class(number: int) -> type[Device]:
    """The class of a device, by its type number."""
    return _DEVICE_CLASSES.get(number, UnknownDevice)


def model_fields(payload: Mapping[str, Any], type_: type, read: Read) -> dict[str, Any]:
    """The fields of a model that need more than renaming a key of its payload."""
    if issubclass(type_, Counter):
        hot = flag(payload.get("for_hot_water"))
        return {"water": None if hot is None else Water.HOT if hot else Water.COLD}
    if issubclass(type_, WirelessSensor):
        return wireless_sensor_fields(payload, read)
    return _device_fields(payload, type_, read) if issubclass(type_, Device) else {}


def _device_fields(payload: Mapping[str, Any], type_: type[Device], read: Read) -> dict[str, Any]:
    parsed = parse_embedded_json(payload.get("parsed_configuration"))
    frame = _frame(payload.get("configuration"), read)
    values = _common_fields(payload, parsed, frame, read)
    if type_ is NeptunProW:
        values |= neptun_prow_fields(payload, parsed, read)
    elif type_ is NeptunSmart:
        values |= neptun_smart_fields(payload, parsed, read)
    elif type_ is Thermostat:
        values |= thermostat_fields(parsed, frame, read)
    return values


def _frame(configuration: Any, read: Read) -> tlv_frame.Frame:
    if not isinstance(configuration, str) or not configuration:
        return tlv_frame.Frame({})
    decoded = read(configuration, tlv_frame.Frame)
    return decoded if isinstance(decoded, tlv_frame.Frame) else tlv_frame.Frame({})


def _common_fields(
    payload: Mapping[str, Any], parsed: Mapping[str, Any], frame: tlv_frame.Frame, read: Read
) -> dict[str, Any]:
    device_id = read(parsed.get("device_id"), str) or frame.device_id or ""
    digits = device_id[2:]
    return {
        "access_status": read(parsed.get("access_status"), AccessStatus | str),
        "signal_level": read(parsed.get("signal_level"), int),
        "firmware": ".".join(digits) if digits.isdecimal() and digits.isascii() else None,
        "reported_at": frame.clock,
        "lines_enabled": read(
            payload.get("lines_enabled", payload.get("lines_enable")),
            tuple[bool | str | None, ...],
        )
        or (),
    }
