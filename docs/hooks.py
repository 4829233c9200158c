"""Hooks of mkdocs: the language of each page, and checks of what is built.

A check that fails is a warning, which `--strict` makes an error.
"""

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


def on_page_context(context: Any, *, page: Any, config: Any, nav: Any) -> Any:  # noqa: ARG001  as mkdocs calls it
    """Label each page, and word the theme's own texts, in the language of the page."""
    config.theme["language"] = "ru" if page.file.src_uri.startswith("ru/") else "en"
    return context


def on_post_page(output: str, *, page: Any, config: Any) -> str:  # noqa: ARG001  as mkdocs calls it
    """Check a page that is about to be written."""
    for complaint in complaints(output):
        _log.warning("%s %s", page.file.src_uri, complaint)
    return output
