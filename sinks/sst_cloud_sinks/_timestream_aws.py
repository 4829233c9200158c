"""Access to AWS: lazy clients, calls with timeouts, errors that say what to do."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import attrs

from sst_cloud.errors import SinkError, SinkRefusedError, SinkUnavailableError

WRITE: Final = "timestream-write"
QUERY: Final = "timestream-query"

CREDENTIALS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""In the order that a session takes them."""

_CONNECT: Final = 5.0
_ATTEMPTS: Final = 3
_PASSING: Final = frozenset(
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
_BOTH: Final = "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_SETTINGS: Final = {
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a profile",
    "PartialCredentialsError": _BOTH,
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


@attrs.frozen
class Refusal(Exception):  # noqa: N818  an answer of the service, not yet an error of the sink
    """The service responded with an error that the caller wants to inspect."""

    code: str
    message: str
    details: dict[str, Any] = attrs.field(repr=False)

    @property
    def retried(self) -> bool:
        """Whether the request had been sent before, with an unknown outcome."""
        return bool(self.details.get("ResponseMetadata", {}).get("RetryAttempts"))


@attrs.define(eq=False)
class Connection:
    """Timestream clients. Each is created once and reused; an injected one is never closed."""

    table: str
    region: str | None
    profile: str | None
    endpoint_url: str | None
    credentials: Mapping[str, str] = attrs.field(repr=False)
    at_once: int
    limits: dict[str, float]
    """Seconds that a call to a service may take, including retries."""
    clients: dict[str, Any] = attrs.field(repr=False)
    _session: Any = attrs.field(default=None, init=False, repr=False)
    _stack: AsyncExitStack = attrs.field(factory=AsyncExitStack, init=False, repr=False)
    _made: set[str] = attrs.field(factory=set, init=False)
    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False, repr=False)

    async def open(self, service: str) -> Any:
        """The client of a service, created in a thread; concurrent callers wait for it."""
        async with self._lock:
            if service not in self.clients:
                self.clients[service] = await self._make(service)
                self._made.add(service)
        return self.clients[service]

    async def close(self) -> None:
        """Close what was opened here."""
        for service in self._made:
            del self.clients[service]
        self._made.clear()
        await self._stack.aclose()

    async def call(self, service: str, operation: str, *expected: str, **request: Any) -> Any:
        """Call the service, within its timeout. An expected error is raised as `Refusal`.

        Any other raises `SinkUnavailableError` or `SinkRefusedError`.
        """
        limit = self.limits[service]
        try:
            async with asyncio.timeout(limit):
                client = await self.open(service)
                return await getattr(client, operation)(**request)
        except TimeoutError:
            raise SinkUnavailableError(f"{self.table} did not respond within {limit:g} s") from None
        except Exception as error:
            details = getattr(error, "response", None)
            if isinstance(details, dict) and "Error" in details:
                code = details["Error"].get("Code", "")
                message = details["Error"].get("Message") or details.get("Message") or ""
                if code in expected:
                    raise Refusal(code, message, details) from error
                status = details.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
                raise self._refused(code, message, status) from error
            if (failure := self._failed(error)) is None:
                raise
            raise failure from error

    async def _make(self, service: str) -> Any:
        try:
            client = await asyncio.to_thread(self._prepare, service)
            return await self._stack.enter_async_context(client)
        except ImportError:
            raise SinkRefusedError(
                "the timestream sink needs one more package: pip install 'sst-cloud[timestream]'"
            ) from None
        except Exception as error:
            if (failure := self._failed(error)) is None:
                raise
            raise failure from error

    def _prepare(self, service: str) -> Any:
        """Do the slow parts: the import, and loading the service's description."""
        import aioboto3  # noqa: PLC0415  a quarter of a second, and an extra

        if self._session is None:
            self._session = aioboto3.Session(
                *self._credentials(), profile_name=self.profile, region_name=self.region
            )

        async def make() -> Any:
            async with self._client(service) as client:
                return client

        return asyncio.run(make())  # not connected yet, it can be entered again in any loop

    def _credentials(self) -> Sequence[str | None]:
        """Key, secret and token, unless AWS finds them by itself or the profile has them."""
        given = [self.credentials.get(name) or None for name in CREDENTIALS]
        theirs = [os.environ.get(name) or None for name in CREDENTIALS]
        if self.profile is not None or given == theirs or given[0] is None:
            return ()
        if given[1] is None:
            raise SinkRefusedError(f"the AWS credentials are incomplete; {_BOTH}")
        return given

    def _client(self, service: str) -> Any:
        from aiobotocore.config import AioConfig  # noqa: PLC0415

        from ._timestream_http import HTTPSession  # noqa: PLC0415

        limit = self.limits[service]
        config = AioConfig(
            connect_timeout=min(_CONNECT, limit),
            read_timeout=limit / 2,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=self.at_once,
            # The records are valid by construction; validating them takes a quarter of the CPU
            # time of a write.
            parameter_validation=False,
            # An endpoint from the environment would apply only to endpoint discovery: the data
            # would still go to AWS.
            ignore_configured_endpoint_urls=True,
            http_session_cls=HTTPSession,
        )
        return self._session.client(service, config=config, endpoint_url=self.endpoint_url)

    def _refused(self, code: str, message: str, status: int) -> SinkError:
        said = f"({code}: {message})" if message else f"({code})"
        if code in _PASSING or status == 429 or status >= 500:
            return SinkUnavailableError(f"{self.table} is not available now {said}; try again")
        if code in _BAD_CREDENTIALS:
            return SinkRefusedError(f"AWS rejected the credentials {said}; renew them")
        if code == "ResourceNotFoundException":
            return SinkRefusedError(
                f"there is no table {self.table} {said}; check its name and the region, or create "
                f"it with: sst-cloud timestream create {self.table}"
            )
        if code in ("AccessDeniedException", "AccessDenied"):
            return SinkRefusedError(
                f"these AWS credentials are not allowed to do that with {self.table} {said}; allow "
                "timestream:WriteRecords (timestream:Select to read) on the table and "
                "timestream:DescribeEndpoints on *"
            )
        if code == "InvalidEndpointException":
            return SinkRefusedError(
                f"the endpoint does not serve {self.table} {said}; omit endpoint_url to let AWS "
                "choose the right one"
            )
        return SinkRefusedError(f"{self.table} refused the request {said}")

    def _failed(self, error: Exception) -> SinkError | None:
        """The sink's error for a client-side error."""
        names = [kind.__name__ for kind in type(error).__mro__]
        for name, remedy in _SETTINGS.items():
            if name in names:
                return SinkRefusedError(f"{_sentence(error)}; {remedy}")
        if "InvalidEndpointConfigurationError" in names or isinstance(error, ValueError):
            return SinkRefusedError(f"{_sentence(error)}; check endpoint_url and region")
        if "BotoCoreError" in names or isinstance(error, OSError):
            return SinkUnavailableError(f"{self.table} cannot be reached: {_sentence(error)}")
        return None


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
