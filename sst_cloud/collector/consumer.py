"""What takes entries from the outbox: a sink or an event handler, possibly third-party."""

import logging
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Protocol, Self

from sst_cloud.errors import SinkRefusedError, SinkUnavailableError, SSTCloudError
from sst_cloud.over_http import DETAIL
from sst_cloud.readings import Reading
from sst_cloud.redaction import redact_text

_log = logging.getLogger(__name__)

_REASON: Final = 1000
"""Characters of a message, which is kept in the outbox."""
_FRAMES: Final = 20
_TRACEBACK: Final = 20_000
"""Frames of each error, and characters in all, that are logged."""


class Report(Protocol):
    """The outcome of a write; see `WriteReport`."""

    @property
    def accepted(self) -> int:
        """How many were accepted."""
        ...

    @property
    def rejected(self) -> Sequence[Any]:
        """Those that will never be accepted, each with a `reason`."""
        ...


class Consumer(Protocol):
    """A `Sink`, or something that takes events in the same way."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None: ...

    async def write(self, items: Sequence[Any], /) -> Report:
        """Take the next items; raises the same errors as `Sink.write`."""
        ...


def one_of_ours(error: Exception, name: str) -> SSTCloudError:
    """Convert whatever a sink raised into one of our errors, with a printable, short message."""
    if _log.isEnabledFor(logging.DEBUG):
        # As a text: the errors behind it may hold whatever was sent.
        lines = "".join(traceback.format_exception(error, limit=-_FRAMES))
        _log.debug("%s raised:\n%s", name, redact_text(lines[:_TRACEBACK]))
    try:
        words = str(error)
    except Exception:  # noqa: BLE001  its __str__ fails
        words = ""
    masked = redact_text(words[:DETAIL])
    if not (isinstance(error, SSTCloudError) and words):
        return SinkUnavailableError(f"{type(error).__name__}: {masked}"[:_REASON])
    if masked == words and len(words) <= _REASON:
        return error
    if isinstance(error, SinkRefusedError):
        return SinkRefusedError(masked[:_REASON])
    return SinkUnavailableError(masked[:_REASON], retry_after=getattr(error, "retry_after", None))


def rejections_of(report: Any, items: Sequence[Any]) -> Sequence[Any]:
    """The rejections of a report, if it is one. Raises `SinkUnavailableError`."""
    try:
        about = "reading" if isinstance(items[0], Reading) else "event"
        found = tuple(report.rejected)
        told = [getattr(rejection, about) for rejection in found if hasattr(rejection, "reason")]
    except (AttributeError, TypeError):
        told, found = [], (None,)
    sensible = len(told) == len(found) <= len(items)
    if not sensible or not all(isinstance(item, type(items[0])) for item in told):
        shown = redact_text(repr(report)[:DETAIL])
        raise SinkUnavailableError(f"its write did not return a report, but: {shown:.100}")
    return found
