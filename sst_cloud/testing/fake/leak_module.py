"""A simulated leak module: lines, wireless sensors, valves, and how it reacts.

A leak closes the valves of its group when it starts, not while it lasts: if opened again on
purpose, they stay open. In floor-washing mode leaks are ignored.
"""

from collections.abc import Iterator
from typing import Any, Final

import attrs

LINES: Final = 4
"""Wired inputs of a module."""


def line_key(line: int) -> str:
    """The key of a wired line in the cloud's objects. Never recorded; this one is made up."""
    return f"line_{line}"


def on_off(flag: object) -> str:
    """A switch in the cloud's format."""
    return "on" if flag else "off"


def yes_no(flag: object) -> str:
    """An alarm in the cloud's format."""
    return "yes" if flag else "no"


def opened_closed(flag: object) -> str:
    """A valve in the cloud's format."""
    return "opened" if flag else "closed"


@attrs.define(kw_only=True, eq=False)
class FakeSensor:
    """A wireless leak sensor. Set `leak` or `lost`, and the next response shows it."""

    name: str | None = None
    line: int = 1
    """The line it belongs to (types 2 and 4)."""
    group: int = 1
    """The valve group it belongs to (type 7)."""
    serial: int = 0
    """Type 7 only; 0: assigned by the cloud."""
    battery: int = 100
    """Percent."""
    signal: int = 3
    """0 to 4, while the link is up."""
    leak: bool = False
    lost: bool = False

    @property
    def battery_low(self) -> bool:
        """Whether it reports a low battery."""
        return self.battery <= 10

    @property
    def reported_signal(self) -> int:
        """The signal as seen by the module: 0 when the sensor is lost."""
        return 0 if self.lost else self.signal

    def payload(self, *, smart: bool) -> dict[str, Any]:
        """The sensor's payload: a Neptun Smart's, or an older module's."""
        if smart:
            return {
                "name": self.name,
                "battery": self.battery,
                "attention": self.leak,
                "sensor_lost": self.lost,
                "battery_discharge": self.battery_low,
                "serial_number": self.serial,
            }
        return {
            "line": self.line,
            "battery": self.battery,
            "attention": self.leak,
            "signal_level": self.reported_signal,
            "name": self.name,
        }


@attrs.define(kw_only=True, eq=False)
class FakeModule:
    """The state of a leak module. Types 2 and 4 have one group, number 1."""

    sensors: list[FakeSensor] = attrs.field(factory=list)
    wet_lines: set[int] = attrs.field(factory=set)
    """Numbers of the wired lines, from 1, that detect water."""
    counting: set[int] = attrs.field(factory=set)
    """Wired lines with a meter instead of a leak sensor; set from its meters on a ProW+."""
    two_groups: bool = False
    line_groups: tuple[int, int, int, int] = (1, 1, 2, 2)
    """The valve group of each wired line; only used with `two_groups`."""
    opened: dict[int, bool] = attrs.field(factory=lambda: {1: True, 2: True})
    """Group → whether its valves are open."""
    washing: bool = False
    close_on_lost: bool = False
    """Whether a lost sensor closes valves as a leak does."""
    locked: bool = False
    """Whether the module's own buttons are locked."""
    _handled: set[object] = attrs.field(factory=set, init=False, repr=False)
    """The leaks and losses that have already closed valves."""

    def react(self) -> None:
        """Close the valves for any leak or loss that has started since the last call."""
        causes = {} if self.washing else dict(self._causes())
        for cause, group in causes.items():
            if cause not in self._handled:
                self.set_valves(group, opened=False)
        self._handled = set(causes)

    def set_valves(self, group: int, *, opened: bool) -> None:
        """Open or close the valves of a group: all of them, unless there are `two_groups`."""
        for number in self.opened:
            if number == group or not self.two_groups:
                self.opened[number] = opened

    def groups_of(self, group: int) -> int:
        """Bit 0 for the first group, bit 1 for the second; with one group, both are set."""
        return group if self.two_groups else 3

    def alarms(self) -> tuple[bool, bool]:
        """Whether there is a leak in the first and in the second group, in any mode.

        With one group, both have the same alarm, as they do for valves.
        """
        if self.washing:
            return False, False
        return self._by_group([group for _, group in self._leaks()])

    def closed_by_lost(self) -> tuple[bool, bool]:
        """Whether the valves of the first and of the second group were closed by lost sensors."""
        if self.washing or not self.close_on_lost:
            return False, False
        return self._by_group([sensor.group for sensor in self.sensors if sensor.lost])

    def _by_group(self, groups: list[int]) -> tuple[bool, bool]:
        if not self.two_groups:
            return bool(groups), bool(groups)
        return 1 in groups, 2 in groups

    def _leaks(self) -> Iterator[tuple[object, int]]:
        for line in sorted(self.wet_lines - self.counting):
            yield line, self.line_groups[line - 1]
        for sensor in self.sensors:
            if sensor.leak:
                yield (sensor, "leak"), sensor.group

    def _causes(self) -> Iterator[tuple[object, int]]:
        yield from self._leaks()
        for sensor in self.sensors:
            if sensor.lost and self.close_on_lost:
                yield (sensor, "lost"), sensor.group

    def prow(self) -> dict[str, Any]:
        """The fields specific to types 2 and 4.

        The values in `status` are not recorded; `on` and `off` are those that a client handles.
        """
        alarm, _ = self.alarms()
        return {
            "settings": {
                "valve_settings": opened_closed(self.opened[1]),
                "dry_flag": on_off(self.washing),
                "close_valve_flag": on_off(self.close_on_lost),
                "lines_in": {
                    line_key(line): "counter" if line in self.counting else "wired_sensor"
                    for line in range(1, LINES + 1)
                },
                "status": {
                    "alert": on_off(alarm),
                    "dry_flag": on_off(self.washing),
                    "sensors_lost": on_off(any(sensor.lost for sensor in self.sensors)),
                },
            },
            "lines_status": self._lines(),
        }

    def smart(self, meters: list[tuple[int, int]]) -> dict[str, Any]:
        """The fields specific to type 7; `meters` are (litres, litres per pulse)."""
        first, second = self.alarms()
        first_lost, second_lost = self.closed_by_lost()
        return {
            "slots_settings": self._slots(meters),
            "module_settings": {
                "module_config": {
                    "grouping": "two_groups" if self.two_groups else "one_group",
                    "keyboard_block_state": "blocked" if self.locked else "unblocked",
                    "first_group_valves_state": opened_closed(self.opened[1]),
                    "second_group_valves_state": opened_closed(self.opened[2]),
                    "close_valves_for_lost_sensor": on_off(self.close_on_lost),
                },
                "module_status": {
                    "first_group_alarm": yes_no(first),
                    "second_group_alarm": yes_no(second),
                    "washing_floors_mode": on_off(self.washing),
                    "wireless_sensors_lost": yes_no(any(s.lost for s in self.sensors)),
                    "wireless_device_connection": "no",
                    "wireless_sensors_battery_discharge": yes_no(
                        any(sensor.battery_low for sensor in self.sensors)
                    ),
                    "close_valves_for_lost_sensor_at_first_group": yes_no(first_lost),
                    "close_valves_for_lost_sensor_at_second_group": yes_no(second_lost),
                },
                "wire_lines_status": self._lines(),
            },
        }

    def _lines(self) -> dict[str, str]:
        wet = self.wet_lines - self.counting
        return {line_key(line): yes_no(line in wet) for line in range(1, LINES + 1)}

    def _slots(self, meters: list[tuple[int, int]]) -> list[dict[str, Any]]:
        """Four slots, the first always empty, in the order of the module's own frame."""
        slots: list[dict[str, Any]] = [{"type": "empty", "config": {}}]
        if self.sensors:
            slots.append({"type": "radio", "config": {}})
        for start in range(0, len(meters), 2):
            counters = [
                {
                    "line": line,
                    "step": step,
                    "error": "none",
                    "value": litres,
                    "status": "on",
                    "connection_type": "none",
                }
                for line, (litres, step) in enumerate(meters[start : start + 2], start=1)
            ]
            slots.append({"type": "counters", "config": {"counters": counters}})
        slots += [{"type": "empty", "config": {}}] * (4 - len(slots))
        return [{**slot, "number": number} for number, slot in enumerate(slots, start=1)]
