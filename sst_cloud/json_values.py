"""Objects as plain JSON values."""

from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import attrs

from .redaction import is_sensitive


def json_value(value: Any) -> Any:
    """Models, reports, usage and lists of them as JSON values, without secrets and raw payloads."""
    if attrs.has(type(value)):
        return {
            field.name: json_value(getattr(value, field.name))
            for field in attrs.fields(type(value))
            if field.name != "raw" and not is_sensitive(field.name)
        }
    if isinstance(value, dict):
        return {key: json_value(item) for key, item in value.items() if not is_sensitive(str(key))}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date | time):
        return value.isoformat()
    return _number(value) if isinstance(value, Decimal | timedelta) else value


def _number(value: Decimal | timedelta) -> float:
    """An int if it has no fraction, else a float; a duration in seconds."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    return float(value) if value.as_tuple().exponent else int(value)
