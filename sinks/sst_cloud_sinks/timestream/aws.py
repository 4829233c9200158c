"""Access to AWS: lazy clients, calls with timeouts, errors that say what to do."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import attrs

from sst_cloud.errors import SinkError, SinkRefusedError, SinkUnavailableError, StoreMissingError
from sst_cloud.extras import require
from sst_cloud.http_bodies import EXCERPT_LENGTH
from sst_cloud.sent_secrets import Secrets

WRITE: Final = "timestream-write"
QUERY: Final = "timestream-query"

CREDENTIALS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""In the order that a session takes them."""

_CONNECT_TIMEOUT: Final = 5.0
_ATTEMPTS: Final = 3
_TRANSIENT: Final = frozenset(
    {
        "InternalServerException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_BAD_CREDENTIALS: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_SET_BOTH_KEYS: Final = "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_REMEDIES: Final = {
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a profile",
    "PartialCredentialsError": _SET_BOTH_KEYS,
    "NoRegionError": "set one with ?region=… or AWS_DEFAULT_REGION",
    "InvalidRegionError": "use one like eu-central-1",
    "ProfileNotFound": "use one from ~/.aws/config, or none",
    "ConfigParseError": "fix the file, or use another with AWS_CONFIG_FILE",
    "SSOTokenLoadError": "log in with `aws sso login`",
    "TokenRetrievalError": "log in with `aws sso login`",
    "UnauthorizedSSOTokenError": "log in with `aws sso login`",
    "UnknownEndpointError": "Timestream is not available there; use another region",
    "EndpointProviderError": "use a region that has Timestream, or give the full endpoint URL",
    "ParamValidationError": "this is a bug in the sink: please report it",
}
"""How to fix errors that retries cannot, by the name of botocore's error."""
_PARSE_ERRORS: Final = (RecursionError, AttributeError, KeyError, TypeError)
"""What botocore raises for JSON that is nested too deeply, or of an unexpected form."""
_MAX_REASON: Final = 300


@attrs.frozen
class RejectedRecord:
    """A record that was not stored."""

    index: int
    reason: str
    existing_version: int | None


@attrs.frozen
class Refusal(Exception):  # noqa: N818  a response of the service, not yet an error of the sink
    """The service responded with an error that the caller wants to inspect."""

    code: str
    message: str
    """Without secrets, as are the reasons."""
    rejected: Sequence[RejectedRecord] = ()
    retried: bool = False
    """Whether the request had been sent before, with an unknown outcome."""


@attrs.define(eq=False)
class Connection:
    """Timestream clients. Each is created once and reused; an injected one is never closed."""

    table: str
    region: str | None
    profile: str | None
    endpoint_url: str | None
    credentials: Mapping[str, str] = attrs.field(repr=False)
    max_concurrency: int
    limits: dict[str, float]
    """Seconds that a call to a service may take, including retries."""
    clients: dict[str, Any] = attrs.field(repr=False)
    _session: Any = attrs.field(default=None, init=False, repr=False)
    _stack: AsyncExitStack = attrs.field(factory=AsyncExitStack, init=False, repr=False)
    _own_services: set[str] = attrs.field(factory=set, init=False)
    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False, repr=False)
    _secrets: Secrets = attrs.field(factory=Secrets, init=False)
    _last_credentials: object = attrs.field(default=None, init=False, repr=False)
    """The credentials last used."""

    async def open(self, service: str) -> Any:
        """The client of a service, created in a thread; concurrent callers wait for it."""
        async with self._lock:
            if service not in self.clients:
                self.clients[service] = await self._create_client(service)
                self._own_services.add(service)
        return self.clients[service]

    async def close(self) -> None:
        """Close the clients that were created here."""
        for service in self._own_services:
            del self.clients[service]
        self._own_services.clear()
        await self._stack.aclose()

    async def call(self, service: str, operation: str, *expected: str, **request: Any) -> Any:
        """Call the service, within its timeout. An expected error is raised as `Refusal`.

        Any other raises `SinkUnavailableError` or `SinkRefusedError`.
        """
        limit = self.limits[service]
        failure: Exception
        try:
            async with asyncio.timeout(limit):
                client = await self.open(service)
                await self._note_credentials(client)
                return await getattr(client, operation)(**request)
        except SinkError:
            raise
        except TimeoutError:
            failure = SinkUnavailableError(f"{self.table} did not respond within {limit:g} s")
        except Exception as error:
            service_error = self._service_error(error, expected)
            if (sink_error := service_error or self._client_error(error)) is None:
                raise
            failure = sink_error
        raise failure  # here, so that botocore's error, which holds what was sent, is no part of it

    async def _note_credentials(self, client: Any) -> None:
        """Note the credentials, which may have been renewed, to mask them in responses."""
        signer = getattr(client, "_request_signer", None)
        if (credentials := getattr(signer, "_credentials", None)) is None:
            return
        current = await credentials.get_frozen_credentials()
        if current != self._last_credentials:
            self._last_credentials = current
            self._secrets.add(current.access_key, current.secret_key, current.token or "")

    def _service_error(self, error: Exception, expected: Sequence[str]) -> Exception | None:
        """The error for an error response of the service; None if `error` is something else."""
        details = getattr(error, "response", None)
        if not (isinstance(details, dict) and isinstance(details.get("Error"), dict)):
            return None
        metadata = details.get("ResponseMetadata", {})
        code = self.shorten(details["Error"].get("Code") or "")
        message = self.shorten(details["Error"].get("Message") or details.get("Message") or "")
        if code not in expected:
            return self._error_for_code(code, message, metadata.get("HTTPStatusCode", 0))
        rejected = [
            RejectedRecord(
                item.get("RecordIndex", -1),
                self.shorten(item.get("Reason") or ""),
                item.get("ExistingVersion"),
            )
            for item in details.get("RejectedRecords") or ()
        ]
        return Refusal(code, message, rejected, bool(metadata.get("RetryAttempts")))

    async def _create_client(self, service: str) -> Any:
        failure: SinkError
        try:
            client = await asyncio.to_thread(self._prepare_client, service)
            return await self._stack.enter_async_context(client)
        except Exception as error:
            if (known_error := self._client_error(error)) is None:
                raise
            failure = known_error
        raise failure

    def _prepare_client(self, service: str) -> Any:
        """Do the slow parts: the import, and loading the service's description."""
        require("the timestream sink", "aioboto3", extra="timestream", error=SinkRefusedError)
        import aioboto3  # noqa: PLC0415  a quarter of a second, and an extra

        if self._session is None:
            self._session = aioboto3.Session(
                *self._credentials(), profile_name=self.profile, region_name=self.region
            )

        async def create() -> Any:
            async with self._client_context(service) as client:
                return client

        return asyncio.run(create())  # not connected yet, it can be entered again in any loop

    def _credentials(self) -> Sequence[str | None]:
        """Key, secret and token, unless AWS finds them by itself or the profile has them."""
        keys = [self.credentials.get(name) or None for name in CREDENTIALS]
        from_environment = [os.environ.get(name) or None for name in CREDENTIALS]
        if self.profile is not None or keys == from_environment or keys[0] is None:
            return ()
        if keys[1] is None:
            raise SinkRefusedError(f"the AWS credentials are incomplete; {_SET_BOTH_KEYS}")
        return keys

    def _client_context(self, service: str) -> Any:
        from aiobotocore.config import AioConfig  # noqa: PLC0415

        from .http import HTTPSession  # noqa: PLC0415

        limit = self.limits[service]
        config = AioConfig(
            connect_timeout=min(_CONNECT_TIMEOUT, limit),
            read_timeout=limit / 2,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=self.max_concurrency,
            # The records are valid by construction; validating them takes a quarter of the CPU
            # time of a write.
            parameter_validation=False,
            # An endpoint from the environment would apply only to endpoint discovery: the data
            # would still go to AWS.
            ignore_configured_endpoint_urls=True,
            http_session_cls=HTTPSession,
        )
        return self._session.client(service, config=config, endpoint_url=self.endpoint_url)

    def _error_for_code(self, code: str, message: str, status: int) -> SinkError:
        reason = f"({code}: {message})" if message else f"({code})"
        if code in _TRANSIENT or status == 429 or status >= 500:
            return SinkUnavailableError(f"{self.table} is not available now {reason}; try again")
        if code in _BAD_CREDENTIALS:
            return SinkRefusedError(f"AWS rejected the credentials {reason}; renew them")
        if code == "ResourceNotFoundException":
            return StoreMissingError(
                f"there is no table {self.table} {reason}; check its name and region, or create it"
            )
        if code in ("AccessDeniedException", "AccessDenied"):
            return SinkRefusedError(
                f"these AWS credentials may not do that with {self.table} {reason}; allow "
                "timestream:WriteRecords (timestream:Select to read) on the table and "
                "timestream:DescribeEndpoints on *"
            )
        if code == "InvalidEndpointException":
            return SinkRefusedError(
                f"the endpoint does not serve {self.table} {reason}; omit endpoint_url to let AWS "
                "choose the right one"
            )
        return SinkRefusedError(f"{self.table} refused the request {reason}")

    def _client_error(self, error: Exception) -> SinkError | None:
        """The sink's error for an error on this side; None if it is unknown."""
        names = [kind.__name__ for kind in type(error).__mro__]
        reason = self.shorten(str(error)).rstrip(".") or type(error).__name__
        for name, remedy in _REMEDIES.items():
            if name in names:
                return SinkRefusedError(f"{reason}; {remedy}")
        if "InvalidEndpointConfigurationError" in names or isinstance(error, ValueError):
            return SinkRefusedError(f"{reason}; check endpoint_url and region")
        if "BotoCoreError" in names or isinstance(error, OSError):
            return SinkUnavailableError(f"{self.table} cannot be reached: {reason}")
        if "ResponseParserError" in names or isinstance(error, _PARSE_ERRORS):
            return self.unreadable_error()
        return None

    def unreadable_error(self) -> SinkError:
        """The error for a response that is not what the service promises."""
        return SinkUnavailableError(f"{self.table} sent an answer that cannot be read")

    def shorten(self, text: str) -> str:
        """Without secrets, on one line, and cut to a readable length."""
        return " ".join(self._secrets.mask(text[:EXCERPT_LENGTH]).split())[:_MAX_REASON]
