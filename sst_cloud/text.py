"""Text that others have written, as a terminal may show it."""

import re
from typing import Final

_BREAKS: Final = re.compile(r"[\t\n\r]+")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""The control characters of Unicode, and those that turn the direction of writing."""


def printable(text: str) -> str:
    """On one line, and without what a terminal would obey instead of showing it."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _BREAKS.sub(" ", text))
