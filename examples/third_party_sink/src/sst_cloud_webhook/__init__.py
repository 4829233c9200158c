"""A sink for sst-cloud that posts readings to a web address."""

import json
from collections.abc import Sequence
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import aiohttp

from sst_cloud.errors import SinkOptionsError, SinkRefusedError, SinkUnavailableError
from sst_cloud.over_http import DETAIL, read_body, what_failed
from sst_cloud.readings import Reading
from sst_cloud.sent_secrets import Secrets
from sst_cloud.sink import Guarantee, Option, Rejection, SinkURL, WriteReport

_TRY_AGAIN = frozenset({408, 425, 429})
_TIMEOUT = 30.0
_LIMIT = 1024 * 1024
"""Bytes of an answer that are read."""
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What reading an answer raises that is not as agreed."""


def _batch(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("a whole number from 1 up")
    return int(text)


class WebhookSink:
    """Posts readings as JSON to a web address."""

    target: ClassVar[str] = "https://HOST/PATH"
    options: ClassVar[Sequence[Option]] = (
        Option("batch", "readings in one request, default 100", _batch),
    )
    guarantee: ClassVar[Guarantee] = Guarantee.APPENDS
    secrets: ClassVar[Sequence[str]] = ("WEBHOOK_TOKEN",)

    def __init__(self, address: str, *, batch: int = 100, token: str | None = None) -> None:
        self._address = address
        self._batch = batch
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._secrets = Secrets(token or "")
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_url(cls, url: SinkURL) -> Self:
        """`webhook:https://HOST/PATH`; the token is in `url.secrets`."""
        values = url.convert(cls.options)
        if not url.target.startswith(("http://", "https://")):
            raise SinkOptionsError("the webhook sink needs an address: webhook:https://HOST/PATH")
        return cls(url.target, token=url.secrets.get("WEBHOOK_TOKEN"), **values)

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def check(self) -> None:
        """Post no readings at all: a receiver that is there accepts that."""
        await self._post([])

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        """Post the readings, batch by batch."""
        rejected: list[Rejection] = []
        for start in range(0, len(readings), self._batch):
            rejected += await self._post(readings[start : start + self._batch])
        return WriteReport(len(readings) - len(rejected), tuple(rejected))

    async def _post(self, readings: Sequence[Reading]) -> list[Rejection]:
        if self._session is None:
            raise RuntimeError("use the sink as an async context manager")
        body = {"readings": [reading.as_dict() for reading in readings]}
        try:
            # A redirect would be followed without the readings, and look like success.
            async with self._session.post(
                self._address, json=body, allow_redirects=False
            ) as response:
                status = response.status
                has_answer = response.content_type == "application/json" and status < 300
                told, _ = await read_body(response, _LIMIT) if has_answer else (b"", True)
                rejected = self._rejected(readings, told)
        except (aiohttp.ClientError, OSError, *_UNREADABLE) as error:
            failure = self._unreachable(error)
        else:
            if status >= 500 or status in _TRY_AGAIN:
                raise SinkUnavailableError(f"the receiver answered {status}; try again later")
            if status >= 300:
                raise SinkRefusedError(f"the receiver answered {status}; check address and token")
            return rejected
        raise failure  # here, so that aiohttp's error, which holds the token, is no part of it

    def _rejected(self, readings: Sequence[Reading], told: bytes) -> list[Rejection]:
        answer: Any = json.loads(told) if told else {}
        return [
            Rejection(readings[entry["index"]], self._secrets.mask(entry["reason"][:DETAIL]))
            for entry in answer.get("rejected", ())
        ]

    def _unreachable(self, error: Exception) -> SinkUnavailableError:
        host = urlsplit(self._address).hostname or ""
        if not isinstance(error, aiohttp.ClientError | OSError):
            return SinkUnavailableError(f"{host} did not answer as agreed")
        seconds = {"limit": _TIMEOUT, "connect_limit": _TIMEOUT}
        return SinkUnavailableError(what_failed(error, host, mask=self._secrets.mask, **seconds))
