"""The fake cloud's responses to OPTIONS, as Django REST framework describes a page."""

from typing import Any, Final

_FIELDS: Final = (
    ("id", "integer", True),
    ("configuration", "field", False),
    ("parsed_configuration", "field", True),
    ("timeout", "field", True),
    ("time_setting", "nested object", False),
    ("group", "field", False),
    ("active_network", "field", False),
    ("specific_settings", "field", False),
    ("created_at", "datetime", True),
    ("updated_at", "datetime", True),
    ("name", "string", False),
    ("type", "choice", False),
    ("previous_mode", "string", False),
    ("is_active", "boolean", True),
    ("is_connected", "boolean", False),
    ("mac_address", "string", False),
    ("power", "integer", False),
    ("power_relay_time", "string", True),
    ("chart_temperature_comfort", "integer", False),
    ("chart_temperature_economical", "integer", False),
    ("wireless_sensors_names", "field", False),
    ("line_names", "field", False),
    ("lines_enabled", "field", False),
    ("house", "field", False),
)
"""The fields of a device: name, kind, whether read-only."""
_LIMITS: Final[dict[str, dict[str, int]]] = {
    "previous_mode": {"max_length": 10},
    "mac_address": {"max_length": 20},
    "power": {"min_value": 0, "max_value": 2**31 - 1},
}


def options_page(name: str, *, device_list: bool = False) -> dict[str, Any]:
    """The description of a page."""
    page: dict[str, Any] = {
        "name": name,
        "description": "",
        "renders": ["application/json", "text/html"],
        "parses": [
            "application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
        ],
    }
    if device_list:
        page["actions"] = {"POST": {field[0]: _field_description(*field) for field in _FIELDS}}
    return page


def _field_description(name: str, kind: str, read_only: bool) -> dict[str, Any]:  # noqa: FBT001  a row
    label = "ID" if name == "id" else name.replace("_", " ").capitalize()
    common = {"type": kind, "required": False, "read_only": read_only, "label": label}
    return common | _LIMITS.get(name, {})
