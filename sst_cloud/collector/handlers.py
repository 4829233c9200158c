"""Handlers: commands and web addresses that events are handed to, as sinks are handed readings."""

import asyncio
import contextlib
import json
import logging
import os
import re
import shlex
import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any, Final, Self

import aiohttp
import attrs
from yarl import URL

from sst_cloud._version import __version__
from sst_cloud.clock import Clock, SystemClock
from sst_cloud.errors import SinkOptionsError, SinkRefusedError, SinkUnavailableError
from sst_cloud.over_http import seconds_until, what_failed
from sst_cloud.redaction import MASK, name_of, redact_text

from .events import Event

_log = logging.getLogger(__name__)

LIMIT: Final = 30.0
"""Seconds that one event may take."""
TOO_LATE: Final = timedelta(days=1)
"""An alarm older than this helps nobody any more."""

_SAID: Final = 2000
"""Characters of what a command says that are kept."""
_SHORT: Final = 5
"""Characters of an argument that is no secret."""
_CONNECT_LIMIT: Final = 10.0
_OK: Final = range(200, 300)
_FAULTS: Final = 500
_PASSING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_ABOUT_CONTENT: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
"""Answers that speak of this one event; any other refusal would meet every event."""


class NotWantedError(SinkRefusedError):
    """The receiver will never take this content; it may take other."""


class _FailedError(SinkUnavailableError):
    """The command ran and failed: it may still succeed with another event."""


@attrs.frozen
class EventRejection:
    """An event that will not be handed over, and why."""

    event: Event
    reason: str


@attrs.frozen
class EventReport:
    """What became of the events of one write."""

    accepted: int = 0
    rejected: tuple[EventRejection, ...] = ()


class Handler(ABC):
    """Takes events as a sink takes readings; an async context manager.

    Events of one thing (this leak, that battery) arrive in their order; one that fails holds up
    no other thing's.
    """

    name: str
    """For people, and to tell handlers apart from one run to the next; holds no secret."""

    def __init__(self, clock: Clock | None = None, limit: float = LIMIT) -> None:
        self._clock = clock or SystemClock()
        self._limit = limit
        # What a write has settled before it failed: its next try leaves that out.
        self._handed: list[Event] = []
        self._rejected: list[EventRejection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:  # noqa: B027  a command holds nothing open
        """Close what is open."""

    @abstractmethod
    async def check(self) -> None:
        """Ask whether it could work, as far as one can without an event."""

    @abstractmethod
    async def send(self, content: Mapping[str, Any]) -> None:
        """Hand over one JSON object.

        Raises `SinkUnavailableError` (try again), `NotWantedError` (never this one) or
        `SinkRefusedError` (somebody must mend something).
        """

    async def write(self, events: Sequence[Event]) -> EventReport:
        """Hand over events one by one. Raises as `send` does, after the others had their turn."""
        stuck: set[object] = set()
        failure: _FailedError | None = None
        settled = [*self._handed, *(rejection.event for rejection in self._rejected)]
        for event in events:
            thing = (event.kind, event.house_id, event.device_id, event.point, event.point_id)
            if thing in stuck or event in settled:
                continue
            try:
                await self._hand_over(event)
            except NotWantedError as error:
                self._rejected.append(EventRejection(event, str(error)))
            except _FailedError as error:
                failure = failure or error
                stuck.add(thing)
            else:
                self._handed.append(event)
        if failure is not None:
            raise failure
        rejected = tuple(rejection for rejection in self._rejected if rejection.event in events)
        # A try in vain is followed by one with fewer: what was settled of the others stays so.
        self._handed = [event for event in self._handed if event not in events]
        self._rejected = [rejection for rejection in self._rejected if rejection not in rejected]
        return EventReport(len(events) - len(rejected), rejected)

    async def _hand_over(self, event: Event) -> None:
        if self._clock.now() - event.time > TOO_LATE:
            _log.warning("%s: given up, too late by now: %s", self.name, event.message)
            raise NotWantedError("it was older than a day when its turn came")
        await self.send(event.as_dict())


class CommandHandler(Handler):
    """Runs a command for every event, with the event as JSON on its stdin. No shell.

    What it prints goes to the log: stdout at DEBUG, stderr at WARNING. Its arguments may be secret,
    and are masked in it.
    """

    def __init__(
        self, argv: Sequence[str], *, clock: Clock | None = None, limit: float = LIMIT
    ) -> None:
        """A command that takes longer than `limit` seconds is killed, and tried again later."""
        if not any(argv) or "\0" in "".join(argv):
            raise SinkOptionsError("a handler is a command with its arguments, or a web address")
        super().__init__(clock, limit)
        self._argv = tuple(argv)
        self._secrets = _secrets(argv[1:])
        self.name: str = name_of(argv[0], shlex.join(argv))

    async def check(self) -> None:
        """Look whether the command is there and may be run."""
        if shutil.which(self._argv[0]) is None:
            raise self._missing()

    async def send(self, content: Mapping[str, Any]) -> None:
        """Run the command. An exit status other than 0 means: try again later."""
        # Files, not pipes: a child that lives on, a player of alarm sounds, say, holds nothing up.
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(_json(content) + b"\n")
            given.seek(0)
            status = await self._run(given, out, err)
            said = _said(err, self._secrets)
            shown = ((logging.DEBUG, _said(out, self._secrets)), (logging.WARNING, said))
            for level, words in shown:
                if words:
                    _log.log(level, "%s: %s", self.name, words)
        if status is None:
            raise _FailedError(f"the command took longer than {self._limit:g} s and was killed")
        if status:
            ended = f"exit status {status}" if status > 0 else f"signal {-status}"
            raise _FailedError(f"the command failed ({ended}){f': {said}' if said else ''}")

    async def _run(self, given: IO[bytes], out: IO[bytes], err: IO[bytes]) -> int | None:
        """The exit status; None when it took too long."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv, stdin=given, stdout=out, stderr=err, start_new_session=True
            )
        except (FileNotFoundError, PermissionError):
            raise self._missing() from None
        except OSError as error:
            raise SinkUnavailableError(
                f"the command cannot be started: {error.strerror or error}"
            ) from None
        try:
            async with asyncio.timeout(self._limit):
                return await process.wait()
        except TimeoutError:
            return None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    def _missing(self) -> SinkRefusedError:
        return SinkRefusedError(
            f"there is no command {self._argv[0]!r} that may be run: check its path and its rights"
        )


class WebhookHandler(Handler):
    """Posts every event as JSON to a web address."""

    def __init__(self, url: str, *, clock: Clock | None = None, limit: float = LIMIT) -> None:
        """What stands in the URL after the host may be secret: only scheme and host are shown."""
        super().__init__(clock, limit)
        try:
            self._url = URL(url)
            self._host = self._url.host
        except ValueError:
            self._host = None
        if not self._host or self._url.scheme not in ("http", "https"):
            raise SinkOptionsError("a handler's address must look like https://host/path")
        port = "" if self._url.is_default_port() else f":{self._url.port}"
        self.name: str = name_of(f"{self._url.scheme}://{self._host}{port}/", str(self._url))
        self._timeout = aiohttp.ClientTimeout(total=limit, sock_connect=_CONNECT_LIMIT)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def check(self) -> None:
        """Nothing can be asked without posting; the address itself was looked at before."""

    async def send(self, content: Mapping[str, Any]) -> None:
        """Post one JSON object. Redirects are not followed."""
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"sst-cloud/{__version__}",
        }
        try:
            async with self._session.post(
                self._url,
                data=_json(content),
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                raise_for_status=False,
            ) as response:
                status = response.status
                asked = seconds_until(response.headers.get("Retry-After"), self._clock.now())
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            said = what_failed(
                error, str(self._host), limit=self._limit, connect_limit=_CONNECT_LIMIT
            )
            if isinstance(error, aiohttp.ClientConnectorCertificateError):
                raise SinkRefusedError(said) from None
            raise SinkUnavailableError(said) from None
        if status in _OK:
            return
        if status in _PASSING or status >= _FAULTS:
            raise SinkUnavailableError(
                f"{self._host} cannot take it now (HTTP {status})", retry_after=asked
            )
        if status in _ABOUT_CONTENT:
            raise NotWantedError(f"{self._host} will not take it (HTTP {status})")
        raise SinkRefusedError(f"{self._host} refuses (HTTP {status}); check the address")


def handler_from(text: str, *, clock: Clock | None = None) -> Handler:
    """A handler as options name it: a web address, or a command with its arguments.

    Raises `SinkOptionsError`.
    """
    if text.lower().startswith(("http://", "https://")):
        return WebhookHandler(text, clock=clock)
    try:
        return CommandHandler(shlex.split(text), clock=clock)
    except ValueError as error:
        raise SinkOptionsError(f"the command of a handler cannot be read: {error}") from None


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def _secrets(arguments: Sequence[str]) -> list[str]:
    """The arguments, and the words and values in them, but for short ones; longest first."""
    words = {
        word
        for argument in arguments
        for word in (" ".join(argument.split()), *re.split(r"[\s='\"]+", argument))
        if len(word) > _SHORT
    }
    return sorted(words, key=len, reverse=True)


def _said(file: IO[bytes], secrets: Sequence[str]) -> str:
    """The beginning of what a command has printed, on one line, without secrets."""
    file.seek(0)
    printed = file.read(_SAID * 4)
    words = printed.decode("utf-8", "replace").split()
    if len(printed) == _SAID * 4:  # the last word may be half a secret
        words = words[:-1]
    said = " ".join(words)
    for secret in secrets:
        said = said.replace(secret, MASK)
    return redact_text(said)[:_SAID]
