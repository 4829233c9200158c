"""Devices, with the fields that all of them have."""

from datetime import datetime, time

from sst_cloud.enums import AccessStatus

from ._base import Entity, model


@model
class TimeSetting(Entity):
    """Ranges of local time, for workdays and days off."""

    id: int | None = None
    device_id: int | None = None
    workday_time_range: tuple[tuple[time, time], ...] = ()
    vacation_time_range: tuple[tuple[time, time], ...] = ()


@model
class Device(Entity):
    """A leak module or thermostat. All fields but `id` and `house_id` may be missing."""

    id: int
    house_id: int
    name: str = ""
    model: str = ""
    """The product name, such as `Neptun ProW+ WiFi`."""
    is_active: bool | None = None
    """Whether the device has been activated."""
    is_connected: bool | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    access_status: AccessStatus | str | None = None
    """Anything but `available` means unreachable."""
    signal_level: int | None = None
    """0 to 4."""
    firmware: str | None = None
    """For example `1.1.5`."""
    reported_at: datetime | None = None
    """The device's own clock when it last reported, UTC. It stops when the device is gone, even if
    the source keeps showing its last state."""
    group_id: int | None = None
    active_network_id: int | None = None
    line_names: tuple[str | None, ...] = ()
    """Names of the input lines, by position; there may be fewer names than lines."""
    lines_enabled: tuple[bool | str | None, ...] = ()
    wireless_sensors_names: tuple[str | None, ...] = ()
    timeout: int | None = None
    """Presumably seconds without contact after which the device counts as offline."""
    time_setting: TimeSetting | None = None
    previous_mode: str | None = None
    power: int | None = None
    """Heater power, presumably in watts."""
    power_relay_time: str | None = None
    """Operating time of the relay; the format is unknown."""
    chart_temperature_comfort: int | None = None
    """Degrees Celsius."""
    chart_temperature_economical: int | None = None
    """Degrees Celsius."""
    mac_address: str | None = None


@model
class UnknownDevice(Device):
    """A device of an unknown type, with the fields that all devices have."""
