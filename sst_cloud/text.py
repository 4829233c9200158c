"""Text from outside, made safe for a terminal."""

import re
from typing import Final

_BREAKS: Final = re.compile(r"[\t\n\r]+")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Unicode's control characters, and those that change the writing direction."""


def printable(text: str) -> str:
    """On one line, without anything that a terminal would interpret rather than show."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _BREAKS.sub(" ", text))
