"""Bodies of HTTP responses: reading them with a limit, and describing those that are not JSON."""

from collections.abc import Callable
from typing import Final

import aiohttp

from .redaction import redact_text

ERROR_LIMIT: Final = 256 * 1024
"""Most bytes of an error's body that are read."""
EXCERPT_LENGTH: Final = 4096
"""Most characters of a body that are read to describe it."""
_HTML: Final = ("<!doctype", "<html", "<head", "<body", "<h1")
_TITLE_LENGTH: Final = 60


async def read_body(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    """The body, decompressed, and whether it is complete: reading ends beyond `limit` bytes.

    Call it again for more. Leaving the response closes a connection that has more.
    """
    blocks: list[bytes] = []
    size = 0
    while size <= limit:
        block = await response.content.readany()
        if not block:
            return b"".join(blocks), True
        blocks.append(block)
        size += len(block)
    return b"".join(blocks), False


def describe_body(text: str, mask: Callable[[str], str] = redact_text) -> str:
    """What a body is that should have been JSON; `mask` removes secrets from its excerpt."""
    text = text[:EXCERPT_LENGTH]
    if page := html_page(text, mask):
        return page
    if text.lstrip()[:1] in ("{", "["):
        return "truncated or malformed JSON"
    return f"text ({_short(mask(text))})"


def html_page(text: str, mask: Callable[[str], str] = redact_text) -> str | None:
    """What a body is if it is HTML, with its title; None if it is not."""
    text = text[:EXCERPT_LENGTH]
    folded = text.lower() if text.isascii() else "".join(map(_lower_case, text))
    if not any(tag in folded for tag in _HTML):
        return None
    title = _short(mask(_between(text, folded, "title") or _between(text, folded, "h1")))
    return f"an HTML page ({title})" if title else "an HTML page"


def _between(text: str, folded: str, tag: str) -> str:
    """The text of the first element of this kind, without tags inside it."""
    start = folded.find(f"<{tag}")
    start = folded.find(">", start) + 1 if start >= 0 else 0
    end = folded.find("<", start) if start else 0
    return text[start:end] if end > start else ""


def _lower_case(char: str) -> str:
    """In lower case, unless that is more than one character."""
    lower = char.lower()
    return lower if len(lower) == 1 else char


def _short(text: str) -> str:
    return " ".join(text.split())[:_TITLE_LENGTH]
