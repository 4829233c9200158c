"""Every error this library raises on purpose.

Messages are one or two sentences that say what to do, and never hold a secret.
"""

from typing import Final


class SSTCloudError(Exception):
    """The root: catch this to catch everything the library raises on purpose."""


class TransportError(SSTCloudError):
    """No answer was received; `request_sent` says whether the request may have arrived."""

    def __init__(self, message: str, *, request_sent: bool = True) -> None:
        super().__init__(message)
        self.request_sent = request_sent


class ConnectionFailedError(TransportError):
    """The connection could not be made, or broke."""


class RequestTimeoutError(TransportError, TimeoutError):
    """The answer did not come within the time limit."""


class ApiError(SSTCloudError):
    """The cloud answered with an error status."""

    def __init__(self, status: int, detail: str, path: str) -> None:
        super().__init__(status, detail, path)
        self.status = status
        self.detail = detail
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.detail} (HTTP {self.status})"


class AuthenticationError(ApiError):
    """The cloud does not know who is asking."""


class BadCredentialsError(AuthenticationError):
    """E-mail or password were refused."""


class TokenRejectedError(AuthenticationError):
    """The token is unknown to the cloud, or has been revoked."""


class AccessDeniedError(ApiError):
    """The account may not do this."""


class NotFoundError(ApiError):
    """No such house, device or page in this account."""


class RateLimitedError(ApiError):
    """Too many requests; `retry_after` is how long the cloud asks to wait, in seconds."""

    def __init__(
        self, status: int, detail: str, path: str, retry_after: float | None = None
    ) -> None:
        super().__init__(status, detail, path)
        self.retry_after = retry_after


class ServiceUnavailableError(ApiError):
    """The cloud has a fault of its own (5xx); `retry_after` is in seconds, if it named a time."""

    def __init__(
        self, status: int, detail: str, path: str, retry_after: float | None = None
    ) -> None:
        super().__init__(status, detail, path)
        self.retry_after = retry_after


class PayloadError(SSTCloudError):
    """The answer is not what we can read."""

    def __init__(self, reason: str, path: str) -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class CommandError(SSTCloudError):
    """A command could not be carried out."""


class AlarmActiveError(CommandError):
    """A valve stays closed because its leak alarm is on."""


class CommandRejectedError(CommandError):
    """The cloud or the device refused the command."""


class SinkError(SSTCloudError):
    """A sink could not be found, opened or written to."""


class UnknownSinkError(SinkError):
    """No installed sink has this name, or the one that has it cannot be loaded."""


class SinkOptionsError(SinkError):
    """The sink's URL is malformed, or holds an option the sink does not know."""


class SinkUnavailableError(SinkError):
    """The store cannot take the readings now: try again later.

    `retry_after` is how long the store asks to wait, in seconds, if it named a time.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SinkRefusedError(SinkError):
    """The store will not take the readings until somebody mends something: do not try again."""


class OutboxError(SSTCloudError):
    """The collector's own store cannot be used: it is another's, or the disk is full."""


PASSING: Final = (
    TransportError,
    ServiceUnavailableError,
    RateLimitedError,
    PayloadError,
    SinkUnavailableError,
)
"""What may be gone at the next try. Anything else needs somebody to mend it."""
