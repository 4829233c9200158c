"""The runtime API of AWS Lambda on the loopback interface."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import attrs
from aiohttp import web

_BASE: Final = "/2018-06-01/runtime"
LIMIT: Final = 60.0
"""Seconds that an invocation may take, and that the runtime is waited for."""


class FailedRunError(Exception):
    """The function raised; `args` are the error's type and message, as the runtime tells them."""


@attrs.define
class RuntimeApi:
    """Hands out invocations one at a time, and collects their results."""

    seconds: float = LIMIT
    """The remaining time reported to the function."""
    _waiting: asyncio.Queue[asyncio.Future[Any]] = attrs.field(factory=asyncio.Queue, init=False)
    _current: asyncio.Future[Any] | None = attrs.field(default=None, init=False)
    _runner: web.AppRunner | None = attrs.field(default=None, init=False)
    address: str = attrs.field(default="", init=False)

    async def invoke(self) -> Any:
        """Let the function run once. Raises `FailedRunError` if it fails."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self._waiting.put(done)
        return await asyncio.wait_for(done, LIMIT)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get(f"{_BASE}/invocation/next", self._next)
        app.router.add_post(f"{_BASE}/invocation/{{id}}/response", self._response)
        app.router.add_post(f"{_BASE}/invocation/{{id}}/error", self._error)
        app.router.add_post(f"{_BASE}/init/error", self._init_error)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.address = "{}:{}".format(*self._runner.addresses[0])
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _next(self, request: web.Request) -> web.Response:
        self._current = await self._waiting.get()
        headers = {
            "Lambda-Runtime-Aws-Request-Id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + self.seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:1:function:f",
        }
        return web.json_response({}, headers=headers)

    async def _response(self, request: web.Request) -> web.Response:
        self._settle().set_result(await request.json())
        return web.Response(status=202)

    async def _error(self, request: web.Request) -> web.Response:
        error = await request.json()
        self._settle().set_exception(FailedRunError(error["errorType"], error["errorMessage"]))
        return web.Response(status=202)

    async def _init_error(self, request: web.Request) -> web.Response:
        self._current = await self._waiting.get()
        return await self._error(request)

    def _settle(self) -> asyncio.Future[Any]:
        assert self._current is not None
        return self._current


@attrs.define
class Function:
    """A process of the runtime with the code of a function."""

    process: Process
    api: RuntimeApi

    async def invoke(self) -> Any:
        return await self.api.invoke()

    async def logs(self) -> list[str]:
        """End the process; returns all that it printed, line by line."""
        if self.process.returncode is None:
            self.process.terminate()
        out, _ = await asyncio.wait_for(self.process.communicate(), LIMIT)
        return out.decode().splitlines()

    async def json_logs(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in await self.logs()]


async def start(api: RuntimeApi, code: Path, runtime: Path, environ: dict[str, str]) -> Function:
    """Run code as Lambda does: with nothing on the path but it, the runtime, and Python's own."""
    env = {
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "LAMBDA_TASK_ROOT": str(code),
        "PYTHONPATH": os.pathsep.join([str(code), str(runtime)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": os.environ["PATH"],
        **environ,
    }
    command = (sys.executable, "-S", "-m", "awslambdaric", "handler.handler")
    process = await asyncio.create_subprocess_exec(
        *command, cwd=code, env=env, stdout=PIPE, stderr=asyncio.subprocess.STDOUT
    )
    return Function(process, api)
