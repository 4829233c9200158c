"""What takes entries from the outbox: a sink or an event handler, possibly third-party."""

import logging
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Protocol, Self

from sst_cloud.errors import SinkRefusedError, SinkUnavailableError, SSTCloudError
from sst_cloud.http_bodies import EXCERPT_LENGTH
from sst_cloud.readings import Reading
from sst_cloud.redaction import redact_text

_log = logging.getLogger(__name__)

_MESSAGE_LENGTH: Final = 1000
"""Most characters of an error's message, which is stored in the outbox."""
_TRACEBACK_FRAMES: Final = 20
_TRACEBACK_LENGTH: Final = 20_000
"""Most frames of each error, and characters in all, that are logged."""


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


def as_library_error(error: Exception, name: str) -> SSTCloudError:
    """Convert any error of a sink into an `SSTCloudError` with a printable, short message."""
    if _log.isEnabledFor(logging.DEBUG):
        # As text, so that it can be redacted: its causes may hold anything that was sent.
        text = "".join(traceback.format_exception(error, limit=-_TRACEBACK_FRAMES))
        _log.debug("%s raised:\n%s", name, redact_text(text[:_TRACEBACK_LENGTH]))
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  its __str__ fails
        message = ""
    masked = redact_text(message[:EXCERPT_LENGTH])
    if not (isinstance(error, SSTCloudError) and message):
        return SinkUnavailableError(f"{type(error).__name__}: {masked}"[:_MESSAGE_LENGTH])
    if masked == message and len(message) <= _MESSAGE_LENGTH:
        return error
    if isinstance(error, SinkRefusedError):
        return SinkRefusedError(masked[:_MESSAGE_LENGTH])
    return SinkUnavailableError(
        masked[:_MESSAGE_LENGTH], retry_after=getattr(error, "retry_after", None)
    )


def rejections_of(report: Any, items: Sequence[Any]) -> Sequence[Any]:
    """The rejections in a report. Raises `SinkUnavailableError` for an invalid one."""
    try:
        field = "reading" if isinstance(items[0], Reading) else "event"
        rejections = tuple(report.rejected)
        rejected = [
            getattr(rejection, field) for rejection in rejections if hasattr(rejection, "reason")
        ]
    except (AttributeError, TypeError):
        rejected, rejections = [], (None,)
    is_valid = len(rejected) == len(rejections) <= len(items)
    if not is_valid or not all(isinstance(item, type(items[0])) for item in rejected):
        masked = redact_text(repr(report)[:EXCERPT_LENGTH])
        raise SinkUnavailableError(f"its write did not return a report, but: {masked:.100}")
    return rejections
