"""A command to run for every event."""

import asyncio
import contextlib
import logging
import os
import re
import shlex
import shutil
import signal
from collections.abc import Mapping, Sequence
from tempfile import TemporaryFile
from typing import IO, Any, Final

from sst_cloud.clock import Clock
from sst_cloud.errors import SinkOptionsError, SinkRefusedError, SinkUnavailableError
from sst_cloud.over_http import DETAIL
from sst_cloud.redaction import name_of, redact_text
from sst_cloud.sent_secrets import Secrets

from .environment import environment
from .handler import LIMIT, FailedError, Handler, as_json

_log = logging.getLogger(__name__)

_SAID: Final = 2000
"""Characters of a command's output that are kept."""
_PRINTED: Final = 16 * 1024 * 1024
"""Bytes of output, in a temporary file, at which a command is killed."""
_LOOK: Final = 0.1
"""Seconds between two looks at them."""
_SHORT: Final = 5
"""Shorter arguments are not treated as secrets."""
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


class CommandHandler(Handler):
    """Runs a command for every event, with the event as JSON on stdin. No shell is used.

    It inherits the environment without the secrets that are there for this program and its sinks.
    Its output is logged: stdout at DEBUG, stderr at WARNING. Its arguments and what it gets as
    `env` may be secret, so they are masked there.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        limit: float = LIMIT,
    ) -> None:
        """`env` is added to what the command inherits; `secrets`, by name, are kept from it, too.

        A command that takes longer than `limit` seconds is killed, and retried later.
        """
        env = env or {}
        if not any(argv) or "\0" in "".join(argv):
            raise SinkOptionsError("a handler must be a command with its arguments, or a URL")
        if "\0" in "".join(env.values()):
            raise SinkOptionsError("a variable in the environment of a handler contains a NUL")
        if _ASSIGNMENT.fullmatch(argv[0]):
            raise SinkOptionsError(
                "a handler's command is not run by a shell, so it cannot begin with NAME=value: "
                "give it the variable as part of its environment"
            )
        super().__init__(clock, limit)
        self._argv = tuple(argv)
        self._env = environment(env, secrets or {})
        self._secrets = _secrets((*argv[1:], *env.values()))
        self.name: str = name_of(argv[0], shlex.join(argv))

    async def check(self) -> None:
        """Check that the command exists and is executable."""
        if shutil.which(self._argv[0], path=self._env.get("PATH")) is None:
            raise self._missing()

    async def send(self, content: Mapping[str, Any]) -> None:
        """Run the command. An exit status other than 0 means: retry later."""
        # Files, not pipes: a child that outlives it (a sound player, say) must not block us.
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(as_json(content) + b"\n")
            given.seek(0)
            status = await self._run(given, out, err)
            said = _said(err, self._secrets)
            shown = ((logging.DEBUG, _said(out, self._secrets)), (logging.WARNING, said))
            for level, words in shown:
                if words:
                    _log.log(level, "%s: %s", self.name, words)
        if status is None:
            raise FailedError(f"the command took longer than {self._limit:g} s and was killed")
        if status:
            ended = f"exit status {status}" if status > 0 else f"signal {-status}"
            raise FailedError(f"the command failed ({ended}){f': {said}' if said else ''}")

    async def _run(self, given: IO[bytes], out: IO[bytes], err: IO[bytes]) -> int | None:
        """The exit status; None if it timed out."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=given,
                stdout=out,
                stderr=err,
                env=self._env,
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError):
            raise self._missing() from None
        except OSError as error:
            raise SinkUnavailableError(
                f"the command cannot be started: {error.strerror or error}"
            ) from None
        try:
            async with asyncio.timeout(self._limit):
                await self._end(process, (out, err))
        except TimeoutError:
            return None
        else:
            return process.returncode
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    async def _end(self, process: asyncio.subprocess.Process, printed: Sequence[IO[bytes]]) -> None:
        """Wait for the process. Raises `FailedError` if it fills the disk with its output."""
        end = asyncio.ensure_future(process.wait())
        try:
            while not (await asyncio.wait([end], timeout=_LOOK))[0]:
                if any(os.fstat(file.fileno()).st_size > _PRINTED for file in printed):
                    raise FailedError(
                        f"the command printed more than {_PRINTED >> 20} MB and was killed"
                    )
        finally:
            end.cancel()

    def _missing(self) -> SinkRefusedError:
        return SinkRefusedError(
            f"command {redact_text(self._argv[0])!r} not found or not executable: check its path "
            "and permissions"
        )


def _secrets(texts: Sequence[str]) -> list[str]:
    """Texts, and the words and values in them, except short ones; longest first."""
    words = {
        word
        for text in texts
        for word in (" ".join(text.split()), *re.split(r"[\s='\"]+", text))
        if len(word) > _SHORT
    }
    return sorted(words, key=len, reverse=True)


def _said(file: IO[bytes], secrets: Sequence[str]) -> str:
    """The start of a command's output, on one line, without secrets."""
    file.seek(0)
    printed = file.read(DETAIL)
    words = printed.decode("utf-8", "replace").split()
    if len(printed) == DETAIL:  # the last word may be part of a secret
        words = words[:-1]
    return Secrets(*secrets).mask(" ".join(words))[:_SAID]
