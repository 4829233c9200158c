"""An account at one moment."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, overload

from ._base import model
from ._notebook import Shown, frame
from .counter import Counter
from .device import Device
from .house import House
from .listing import Unreadable
from .wireless_sensor import WirelessSensor

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


@model
class Snapshot(Shown):
    """Everything read in one go; flat, linked by `house_id` and `device_id`."""

    time: datetime
    """When the cloud was polled, UTC."""
    houses: tuple[House, ...] = ()
    devices: tuple[Device, ...] = ()
    counters: tuple[Counter, ...] = ()
    wireless_sensors: tuple[WirelessSensor, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()

    @overload
    def to_frame(self, *, library: Literal["pandas"]) -> "pd.DataFrame": ...
    @overload
    def to_frame(self, *, library: Literal["polars"]) -> "pl.DataFrame": ...
    @overload
    def to_frame(self, *, library: None = None) -> Any: ...

    def to_frame(self, *, library: Literal["pandas", "polars"] | None = None) -> Any:
        """Its readings as a data frame: see `readings_frame`."""
        return frame(self, library)
