"""A water meter, read by a leak module that counts its pulses."""

import attrs

from sst_cloud.enums import Water

from ._base import Entity, model


@model
class Counter(Entity):
    """A water meter."""

    id: int
    house_id: int
    device_id: int
    value_l: int
    """The meter's cumulative total in litres."""
    point_id: str = attrs.field(default=attrs.Factory(lambda self: str(self.id), takes_self=True))
    """Stable within the device."""
    name: str | None = None
    line: int | None = None
    """The input line of the module that the meter is wired to."""
    water: Water | None = None
    step_l: int | None = None
    """Litres per pulse."""
    max_value: int | None = None
    """Meaning unknown; 0 has been seen."""
    previous_value_l: int | None = None
    previous_step_l: int | None = None

    @property
    def value_m3(self) -> float:
        """The meter's cumulative total in cubic metres."""
        return self.value_l / 1000
