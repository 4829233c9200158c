"""A sink for sst-cloud that posts readings to a web address."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

import aiohttp

from sst_cloud.errors import SinkOptionsError, SinkRefusedError, SinkUnavailableError
from sst_cloud.http_bodies import EXCERPT_LENGTH, read_body
from sst_cloud.http_errors import failure_reason
from sst_cloud.readings import Reading
from sst_cloud.sent_secrets import Secrets
from sst_cloud.sink import Guarantee, Option, Rejection
from sst_cloud_sinks.base import BaseSink

_TRANSIENT = frozenset({408, 425, 429})
_TIMEOUT = 30.0
_MAX_BYTES = 1024 * 1024
"""Bytes of a response that are read."""
_PARSE_ERRORS = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What is raised for a response of the wrong form."""


def _batch_size(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("a whole number from 1 up")
    return int(text)


class WebhookSink(BaseSink):
    """Posts readings as JSON to a web address."""

    target: ClassVar[str] = "https://HOST/PATH"
    options: ClassVar[Sequence[Option]] = (
        Option("batch", "readings in one request, default 100", _batch_size),
    )
    guarantee: ClassVar[Guarantee] = Guarantee.APPENDS
    secrets: ClassVar[Sequence[str]] = ("WEBHOOK_TOKEN",)

    def __init__(self, address: str, *, batch: int = 100, token: str | None = None) -> None:
        if not address.startswith(("http://", "https://")):
            raise SinkOptionsError("the webhook sink needs an address: webhook:https://HOST/PATH")
        self._address = address
        self.batch_size = batch
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._secrets = Secrets(token or "")
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def pick_secrets(cls, secrets: Mapping[str, str]) -> Mapping[str, str | None]:
        """The token."""
        return {"token": secrets.get("WEBHOOK_TOKEN")}

    async def open(self) -> None:
        """Connections are kept between writes."""
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def check(self) -> None:
        """Post an empty list of readings: a working receiver accepts that."""
        await self.write_batch([])

    async def write_batch(self, readings: Sequence[Reading]) -> list[Rejection]:
        """Post the readings of one batch."""
        if self._session is None:
            raise RuntimeError("use the sink as an async context manager")
        body = {"readings": [reading.as_dict() for reading in readings]}
        try:
            # A redirect would be followed without the readings, and seem to succeed.
            async with self._session.post(
                self._address, json=body, allow_redirects=False
            ) as response:
                status = response.status
                has_report = response.content_type == "application/json" and status < 300
                content, _ = await read_body(response, _MAX_BYTES) if has_report else (b"", True)
                rejected = self._rejected(readings, content)
        except (aiohttp.ClientError, OSError, *_PARSE_ERRORS) as error:
            failure = self._unreachable(error)
        else:
            if status >= 500 or status in _TRANSIENT:
                raise SinkUnavailableError(f"the receiver answered {status}; try again later")
            if status >= 300:
                raise SinkRefusedError(f"the receiver answered {status}; check address and token")
            return rejected
        raise failure  # here, so that aiohttp's error, which holds the token, is no part of it

    def _rejected(self, readings: Sequence[Reading], content: bytes) -> list[Rejection]:
        report: Any = json.loads(content) if content else {}
        return [
            Rejection(
                readings[entry["index"]], self._secrets.mask(entry["reason"][:EXCERPT_LENGTH])
            )
            for entry in report.get("rejected", ())
        ]

    def _unreachable(self, error: Exception) -> SinkUnavailableError:
        host = urlsplit(self._address).hostname or ""
        if not isinstance(error, aiohttp.ClientError | OSError):
            return SinkUnavailableError(f"{host} did not answer as agreed")
        seconds = {"limit": _TIMEOUT, "connect_limit": _TIMEOUT}
        return SinkUnavailableError(failure_reason(error, host, mask=self._secrets.mask, **seconds))
