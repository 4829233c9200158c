"""HTTP as all clients use it: how much is read, what failures mean, when to retry."""

import logging
import os
import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Final

import aiohttp

from .redaction import redact_text

_log = logging.getLogger(__name__)

ERROR_LIMIT: Final = 256 * 1024
"""Bytes of an error's body that are read; nobody explains an error at greater length."""
DETAIL: Final = 4096
"""Characters of a body that are looked at to describe it."""

_SECONDS: Final = re.compile(r"\d{1,9}")
_HTML: Final = ("<!doctype", "<html", "<head", "<body", "<h1")
_SHOWN: Final = 60
_MAX_REASON: Final = 300


async def read_body(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    """The body, decompressed, and whether that is all of it: reading ends beyond `limit` bytes.

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


def describe(text: str, mask: Callable[[str], str] = redact_text) -> str:
    """What a body is that should have been JSON; `mask` removes secrets from what is shown."""
    text = text[:DETAIL]
    if page := html_page(text, mask):
        return page
    if text.lstrip()[:1] in ("{", "["):
        return "truncated or malformed JSON"
    return f"text ({_short(mask(text))})"


def html_page(text: str, mask: Callable[[str], str] = redact_text) -> str | None:
    """What a body is if it is HTML, with its title; None if it is not."""
    text = text[:DETAIL]
    folded = text.lower() if text.isascii() else "".join(map(_folded, text))
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


def _folded(char: str) -> str:
    """In lower case, if that is one character, too."""
    lower = char.lower()
    return lower if len(lower) == 1 else char


def _short(text: str) -> str:
    return " ".join(text.split())[:_SHOWN]


def is_this_machine(host: str | None) -> bool:
    """Whether a host name or address is this machine's own, so that nobody can listen in."""
    name = (host or "").lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


class PlainHttpWarning:
    """Warns once of credentials that are sent unencrypted, where somebody may listen in."""

    def __init__(self, scheme: str, host: str | None, name: str | None = None) -> None:
        """`name` is what the message calls the server, by default `host`."""
        self._name = name or host
        self._is_due = scheme == "http" and not is_this_machine(host)

    def credentials_sent(self) -> None:
        """To be called before they are."""
        if self._is_due:
            self._is_due = False
            _log.warning(
                "credentials are sent to %s unencrypted: anyone on the way can read them; use a "
                "URL that begins with https://",
                self._name,
            )


def what_failed(
    error: Exception,
    host: str,
    *,
    limit: float,
    connect_limit: float,
    mask: Callable[[str], str] = redact_text,
) -> str:
    """Why a request got no response, in a sentence; limits are in seconds.

    `mask` removes secrets from what the server sent.
    """
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "verification failed")
        return f"the TLS certificate of {host} is not trusted: {reason}"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"could not connect to {host} within {connect_limit:g} s"
    if isinstance(error, TimeoutError):
        return f"{host} did not respond within {limit:g} s"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{host} cannot be reached: {_said(error.os_error)}"
    # The text of a ClientResponseError contains the whole URL.
    text = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    text = " ".join(mask(text[:DETAIL]).split())[:_MAX_REASON]
    return f"the connection to {host} was lost: {text or type(error).__name__}"


def _said(error: OSError) -> str:
    """The system's error message, without the address that asyncio adds."""
    if error.errno and not isinstance(error, socket.gaierror):  # which has its own numbers
        return os.strerror(error.errno)
    return error.strerror or str(error)


def seconds_until(retry_after: str | None, now: datetime) -> float | None:
    """A Retry-After header, seconds or a date, as seconds from now."""
    if retry_after is None:
        return None
    if _SECONDS.fullmatch(retry_after.strip()):
        return float(retry_after)
    moment = http_date(retry_after)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def http_date(text: str) -> datetime | None:
    """The time in a header; None if it contains none."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
