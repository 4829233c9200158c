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
from sst_cloud.http_bodies import EXCERPT_LENGTH
from sst_cloud.redaction import display_name, redact_text
from sst_cloud.sent_secrets import Secrets

from .base import TIMEOUT, CommandFailedError, Handler, as_json
from .environment import environment

_log = logging.getLogger(__name__)

_LOGGED_LENGTH: Final = 2000
"""Most characters of a command's output that are logged."""
_MAX_OUTPUT: Final = 16 * 1024 * 1024
"""Bytes of output, in a temporary file, beyond which a command is killed."""
_OUTPUT_CHECK: Final = 0.1
"""Seconds between two checks of the output's size."""
_SHORT_ARGUMENT: Final = 5
"""Arguments up to this length are not treated as secrets."""
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


class CommandHandler(Handler):
    """Runs a command for every event, with the event as JSON on stdin. No shell is used.

    It inherits the environment without the secrets of this program and its sinks. Its output is
    logged: stdout at DEBUG, stderr at WARNING. Its arguments and `env` may be secret, so they are
    masked there.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        withheld: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        limit: float = TIMEOUT,
    ) -> None:
        """`env` is added to what the command inherits, secrets `withheld` (by name) are removed.

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
        self._env = environment(env, withheld or {})
        self._secrets = _secrets((*argv[1:], *env.values()))
        self.name: str = display_name(argv[0], shlex.join(argv))

    async def check(self) -> None:
        """Check that the command exists and is executable."""
        if shutil.which(self._argv[0], path=self._env.get("PATH")) is None:
            raise self._missing()

    async def send(self, content: Mapping[str, Any]) -> None:
        """Run the command. An exit status other than 0 means: retry later."""
        # Files, not pipes: a child that outlives it (a sound player, say) must not block us.
        with TemporaryFile() as stdin, TemporaryFile() as stdout, TemporaryFile() as stderr:
            stdin.write(as_json(content) + b"\n")
            stdin.seek(0)
            status = await self._run(stdin, stdout, stderr)
            errors = _read_output(stderr, self._secrets)
            output = (
                (logging.DEBUG, _read_output(stdout, self._secrets)),
                (logging.WARNING, errors),
            )
            for level, text in output:
                if text:
                    _log.log(level, "%s: %s", self.name, text)
        if status is None:
            raise CommandFailedError(
                f"the command took longer than {self._limit:g} s and was killed"
            )
        if status:
            reason = f"exit status {status}" if status > 0 else f"signal {-status}"
            raise CommandFailedError(
                f"the command failed ({reason}){f': {errors}' if errors else ''}"
            )

    async def _run(self, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]) -> int | None:
        """The exit status; None if it timed out."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
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
                await self._wait(process, (stdout, stderr))
        except TimeoutError:
            return None
        else:
            return process.returncode
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    async def _wait(
        self, process: asyncio.subprocess.Process, outputs: Sequence[IO[bytes]]
    ) -> None:
        """Wait for the process. Raises `CommandFailedError` if it prints too much."""
        wait_task = asyncio.ensure_future(process.wait())
        try:
            while not (await asyncio.wait([wait_task], timeout=_OUTPUT_CHECK))[0]:
                if any(os.fstat(file.fileno()).st_size > _MAX_OUTPUT for file in outputs):
                    raise CommandFailedError(
                        f"the command printed more than {_MAX_OUTPUT >> 20} MB and was killed"
                    )
        finally:
            wait_task.cancel()

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
        if len(word) > _SHORT_ARGUMENT
    }
    return sorted(words, key=len, reverse=True)


def _read_output(file: IO[bytes], secrets: Sequence[str]) -> str:
    """The start of a command's output, on one line, without secrets."""
    file.seek(0)
    output = file.read(EXCERPT_LENGTH)
    words = output.decode("utf-8", "replace").split()
    if len(output) == EXCERPT_LENGTH:  # the last word may be part of a secret
        words = words[:-1]
    return Secrets(*secrets).mask(" ".join(words))[:_LOGGED_LENGTH]
