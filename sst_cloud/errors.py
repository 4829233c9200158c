"""The library's exceptions.

Messages are one or two sentences that say what to do, and never contain a secret.
"""

from typing import Final


class SSTCloudError(Exception):
    """Base class of all the library's exceptions."""


class TransportError(SSTCloudError):
    """No response was received; `request_sent` says whether the request may have arrived."""

    def __init__(self, message: str, *, request_sent: bool = True) -> None:
        super().__init__(message)
        self.request_sent = request_sent


class ConnectionFailedError(TransportError):
    """The connection could not be established, or was lost."""


class RequestTimeoutError(TransportError, TimeoutError):
    """The response did not arrive within the timeout."""


class ApiError(SSTCloudError):
    """The server responded with an error status."""

    def __init__(self, status: int, detail: str, path: str) -> None:
        super().__init__(status, detail, path)
        self.status = status
        self.detail = detail
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.detail} (HTTP {self.status})"


class AuthenticationError(ApiError):
    """The credentials are missing or were not accepted."""


class BadCredentialsError(AuthenticationError):
    """The e-mail or password is wrong."""


class TokenRejectedError(AuthenticationError):
    """The token is unknown or has been revoked."""


class AccessDeniedError(ApiError):
    """The account is not allowed to do this."""


class NotFoundError(ApiError):
    """The account has no such house, device or page."""


class RateLimitedError(ApiError):
    """Too many requests; `retry_after` is how long to wait, in seconds, if the server says so."""

    def __init__(
        self, status: int, detail: str, path: str, retry_after: float | None = None
    ) -> None:
        super().__init__(status, detail, path)
        self.retry_after = retry_after


class ServiceUnavailableError(ApiError):
    """Server error (5xx); `retry_after` is how long to wait, in seconds, if it says so."""

    def __init__(
        self, status: int, detail: str, path: str, retry_after: float | None = None
    ) -> None:
        super().__init__(status, detail, path)
        self.retry_after = retry_after


class PayloadError(SSTCloudError):
    """The response could not be parsed."""

    def __init__(self, reason: str, path: str) -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class CredentialsError(SSTCloudError):
    """The credentials are incomplete, or cannot be read or used."""


class NotLoggedInError(CredentialsError):
    """There are no credentials at all."""


class CommandError(SSTCloudError):
    """A command could not be carried out."""


class AlarmActiveError(CommandError):
    """Valves were not opened: there is a leak, or may be one."""


class CommandRejectedError(CommandError):
    """The source or the device refused the command."""


class SourceError(SSTCloudError):
    """A source could not be found or opened, or lacks what is asked for."""


class UnknownSourceError(SourceError):
    """No installed source has this name, or the one that has it cannot be loaded."""


class SourceOptionsError(SourceError):
    """The source's URL is malformed or has an option that the source does not know."""


class SinkError(SSTCloudError):
    """A sink could not be found, opened or written to."""


class UnknownSinkError(SinkError):
    """No installed sink has this name, or the one that has it cannot be loaded."""


class SinkOptionsError(SinkError):
    """The sink's URL is malformed or has an option that the sink does not know."""


class SinkUnavailableError(SinkError):
    """The store cannot accept the readings now: retry later.

    `retry_after` is how long to wait, in seconds, if the store says so.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SinkRefusedError(SinkError):
    """The store refuses the readings until something is fixed: do not retry."""


class SinkClosedError(SinkRefusedError):
    """Nobody will take readings from the sink again: the reader of a pipe has closed it."""


class StoreMissingError(SinkRefusedError):
    """The store does not exist, and the sink can create it: see `Provisioned`."""


class OutboxError(SSTCloudError):
    """The outbox cannot be used: it is not an outbox, is damaged, or the disk is full."""


class OutboxInUseError(OutboxError):
    """Another collector is using the folder."""


class OutboxMissingError(OutboxError):
    """There is no outbox in the folder: no collector has been started with it yet."""


TRANSIENT: Final = (
    TransportError,
    ServiceUnavailableError,
    RateLimitedError,
    PayloadError,
    SinkUnavailableError,
)
"""Errors that may go away on a retry. Anything else has to be fixed first."""
