"""Reading JSON as this API sends it."""

import json
from typing import Any


def loads(text: str | bytes) -> Any:
    """Read JSON; NaN and the infinities, which are not JSON, read as null. Raises ValueError."""
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
