"""What mkdocs is told to check in the built pages: warnings, which `--strict` makes failures."""

import logging
import re
from typing import Any, Final

_log = logging.getLogger("mkdocs.hooks.pages")

_FETCHED: Final = re.compile(
    r"<(?:script|img|iframe|source|video|audio|link)\b[^>]*?"
    r"(?<![\w-])(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)",
    re.IGNORECASE,
)
_NO_ASSET: Final = re.compile(
    r'<link\b[^>]*rel="?(?:canonical|alternate|prev|next)\b', re.IGNORECASE
)
_INTERNALS: Final = re.compile(r"Sentinel\.\w+|<(?:object|function|class)\b[^>]* at 0x[0-9a-f]+")


def complaints(html: str) -> list[str]:
    """What is wrong with a page: it fetches from elsewhere, or shows Python's insides."""
    found = [
        f"fetches {match[1]}: the site must work without a network"
        for match in _FETCHED.finditer(html)
        if not _NO_ASSET.match(match[0])
    ]
    return found + [f"shows {match[0]}" for match in _INTERNALS.finditer(html)]


def on_post_page(output: str, *, page: Any, config: Any) -> str:  # noqa: ARG001  as mkdocs calls it
    """Check a page that is about to be written."""
    for complaint in complaints(output):
        _log.warning("%s %s", page.file.src_uri, complaint)
    return output
