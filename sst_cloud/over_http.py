"""What HTTP failures mean, and when a server asks to be retried."""

import os
import re
import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from .redaction import redact_text

_SECONDS: Final = re.compile(r"\d{1,9}")


def what_failed(error: Exception, host: str, *, limit: float, connect_limit: float) -> str:
    """Why a request got no response, in a sentence without secrets; limits are in seconds."""
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
    said = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return f"the connection to {host} was lost: {redact_text(said) or type(error).__name__}"


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
