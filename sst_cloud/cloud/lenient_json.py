"""Numbers as the cloud writes them."""

import re
from typing import Any, Final

_WHOLE: Final = re.compile(r"\s*[+-]?\d{1,19}\s*")


def whole_number(value: Any) -> int | None:
    """A whole number, however it is written: 3, 3.0, "3". None for anything else."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
