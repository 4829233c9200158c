"""What failures over HTTP mean, and when a server wants to be asked again."""

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
    """A request that brought no answer, in a sentence without secrets; limits are in seconds."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "it does not check")
        return f"the TLS certificate of {host} cannot be trusted: {reason}"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"{host} could not be connected to within {connect_limit:g} s"
    if isinstance(error, TimeoutError):
        return f"{host} did not answer in {limit:g} s"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{host} cannot be reached: {_said(error.os_error)}"
    # The text of a ClientResponseError holds the whole address.
    said = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return f"the connection to {host} broke: {redact_text(said) or type(error).__name__}"


def _said(error: OSError) -> str:
    """What the system says, without the address that asyncio puts into it."""
    if error.errno and not isinstance(error, socket.gaierror):  # whose numbers are others
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
    """The moment that a header names; None where it names none."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
