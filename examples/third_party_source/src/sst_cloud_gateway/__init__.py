"""A source for sst-cloud: a gateway at home that speaks JSON over HTTP."""

import math
from base64 import b64encode
from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any, ClassVar, Self

import aiohttp
from yarl import URL

from sst_cloud.bounded_json import loads
from sst_cloud.clock import Clock, SystemClock
from sst_cloud.commands import Command, SetBrightness, SetTargetTemperature, SetValves, describe
from sst_cloud.controls import Controls
from sst_cloud.enums import ValveState
from sst_cloud.errors import (
    ApiError,
    AuthenticationError,
    CommandError,
    CommandRejectedError,
    ConnectionFailedError,
    PayloadError,
    RequestTimeoutError,
    ServiceUnavailableError,
    SourceError,
    SourceOptionsError,
    SSTCloudError,
    TransportError,
)
from sst_cloud.http_bodies import EXCERPT_LENGTH, describe_body, read_body
from sst_cloud.http_errors import failure_reason
from sst_cloud.models import Device, Snapshot
from sst_cloud.sent_secrets import Secrets
from sst_cloud.source import Option, SourceURL

from ._home import snapshot_from

_HOME = "/home"
_MAX_BYTES = 256 * 1024
"""Bytes of an answer that are read."""
_MAX_DETAIL = 200


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < math.inf:
        raise ValueError("a number of seconds above 0")
    return seconds


class GatewaySource(Controls):
    """Reads a gateway in the home network, and switches its valves and thermostats."""

    target: ClassVar[str] = "HOST[:PORT]"
    options: ClassVar[Sequence[Option]] = (
        Option("timeout", "seconds to wait for an answer, default 3", _seconds),
    )
    secrets: ClassVar[Sequence[str]] = ("GATEWAY_PASSWORD",)
    refresh: timedelta = timedelta(seconds=30)
    _first_pause = 0.2  # the gateway shows at once what was set

    def __init__(
        self,
        address: str,
        *,
        password: str = "",
        timeout: float = 3.0,
        clock: Clock | None = None,
    ) -> None:
        """`address` is `HOST[:PORT]`; `timeout` is in seconds. Raises ValueError."""
        self._url = URL(f"http://{address}")
        if self._url != self._url.origin():
            raise ValueError("an address is HOST or HOST:PORT, and nothing else")
        self.name = f"gateway {self._url.authority}"
        login = b64encode(f"sst-cloud:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}"} if password else {}
        self._secrets = Secrets(password)
        self._timeout = timeout
        self._clock = clock or SystemClock()
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_url(cls, url: SourceURL) -> Self:
        """`gateway:HOST[:PORT]`; the password is in `url.secrets`."""
        values = url.convert(cls.options)
        try:
            return cls(url.target, password=url.secrets.get("GATEWAY_PASSWORD", ""), **values)
        except ValueError:
            raise SourceOptionsError(
                "the gateway source needs an address: gateway:HOST[:PORT]"
            ) from None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=self._timeout)
        self._session = aiohttp.ClientSession(self._url, headers=self._headers, timeout=timeout)
        return self

    async def close(self) -> None:
        """Cancel pending commands, and close the connection."""
        await super().close()
        if self._session is not None:
            await self._session.close()

    async def snapshot(self) -> Snapshot:
        """The home, in one request."""
        time = self._clock.now()
        home = self._parse(await self._request("GET", _HOME), _HOME)
        return snapshot_from(home, time, _HOME)

    async def device(self, house_id: int, device_id: int) -> Device:
        """One device, read now. Raises `SourceError` if there is none with these ids."""
        for device in (await self.snapshot()).devices:
            if (device.house_id, device.id) == (house_id, device_id):
                return device
        raise SourceError(f"{self.name} has no device {device_id} in a house {house_id}")

    async def _send(self, command: Command) -> None:
        content: dict[str, Any]
        match command:
            case SetValves(device=device, state=state):
                path, content = f"/modules/{device.id}/valve", {"open": state is ValveState.OPENED}
            case SetTargetTemperature(device=device, celsius=celsius):
                path, content = f"/heating/{device.id}/target", {"celsius": celsius}
            case SetBrightness(device=device):
                raise CommandError(f"{describe(device)} has no brightness setting")
            case _:
                raise CommandError(
                    f"{self.name} sets only valves and target temperatures, nothing else of "
                    f"{describe(command.device)}"
                )
        await self._request("POST", path, content)  # aiohttp would repeat a PUT

    async def _request(self, method: str, path: str, json: Any = None) -> bytes:
        """The body of a successful answer."""
        if self._session is None:
            raise RuntimeError("use the source as an async context manager")
        failure: SSTCloudError
        try:
            # A redirect might take the password elsewhere.
            async with self._session.request(
                method, path, json=json, allow_redirects=False
            ) as response:
                status = response.status
                body, is_whole = await read_body(response, _MAX_BYTES)
        except (aiohttp.ClientError, OSError) as error:
            failure = self._transport_error(error)
        else:
            if status >= 300:
                raise self._refusal(method, path, status, body)
            if not is_whole:
                raise PayloadError(f"the answer is longer than {_MAX_BYTES >> 10} kB", path)
            return body
        raise failure  # here, so that aiohttp's error, which holds the password, is no part of it

    def _transport_error(self, error: Exception) -> TransportError:
        limits = {"limit": self._timeout, "connect_limit": self._timeout}
        reason = failure_reason(error, self._url.authority, mask=self._secrets.mask, **limits)
        is_sent = not isinstance(error, aiohttp.ClientConnectorError)
        kind = RequestTimeoutError if isinstance(error, TimeoutError) else ConnectionFailedError
        return kind(reason, request_sent=is_sent)

    def _refusal(self, method: str, path: str, status: int, body: bytes) -> SSTCloudError:
        """The error for a status; the gateway gives its reason as plain text."""
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            detail = f"{self.name} does not accept the password; set GATEWAY_PASSWORD"
            return AuthenticationError(status, detail, path)
        text = self._secrets.mask(body[:EXCERPT_LENGTH].decode("utf-8", "replace"))
        detail = " ".join(text.split())[:_MAX_DETAIL] or "no reason given"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return ServiceUnavailableError(status, detail, path)
        if method == "POST":
            return CommandRejectedError(f"{self.name} refused the command: {detail}")
        return ApiError(status, detail, path)

    def _parse(self, body: bytes, path: str) -> Any:
        try:
            return loads(body)
        except ValueError:
            text = body[:EXCERPT_LENGTH].decode("utf-8", "replace")
        # Raised here, as JSON's own error holds the whole body.
        description = describe_body(text, self._secrets.mask)
        raise PayloadError(f"expected JSON, got {description}", path)
