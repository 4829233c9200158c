"""Failed HTTP requests: the reason in a sentence, and when to retry."""

import os
import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from .redaction import redact_text

_SECONDS: Final = re.compile(r"\d{1,9}")
_EXCERPT_LENGTH: Final = 4096
"""Most characters of an error that are searched for secrets."""
_REASON_LENGTH: Final = 300


def failure_reason(
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
        return f"{host} cannot be reached: {_os_message(error.os_error)}"
    # The text of a ClientResponseError contains the whole URL.
    text = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    text = " ".join(mask(text[:_EXCERPT_LENGTH]).split())[:_REASON_LENGTH]
    return f"the connection to {host} was lost: {text or type(error).__name__}"


def _os_message(error: OSError) -> str:
    """The system's error message, without the address that asyncio adds."""
    if error.errno and not isinstance(error, socket.gaierror):  # it has its own numbers
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
