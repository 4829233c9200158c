"""The devices of SST Cloud by their `type` number."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class DeviceType(IntEnum):
    """The `type` number of a device, according to public clients of the API."""

    MCS300 = 0
    MCS350 = 1
    NEPTUN_PROW = 2
    EQUATION = 3
    EQUATION_PROW = 4
    OKE_20 = 5
    ECOSMART_25 = 6
    NEPTUN_SMART = 7


PRODUCT_NAMES: Final[Mapping[int, str]] = {
    DeviceType.MCS300: "Teploluxe MCS300",
    DeviceType.MCS350: "Teploluxe MCS350",
    DeviceType.NEPTUN_PROW: "Neptun ProW+ WiFi",
    DeviceType.EQUATION: "Equation WiFi",
    DeviceType.EQUATION_PROW: "Equation ProW+ WiFi",
    DeviceType.OKE_20: "OK Electro OKE-20",
    DeviceType.ECOSMART_25: "EcoSmart 25",
    DeviceType.NEPTUN_SMART: "Neptun Smart",
}


def product_name(number: int) -> str:
    """The name that a type is sold under; `type 99` for an unknown one."""
    return PRODUCT_NAMES.get(number, f"type {number}")
