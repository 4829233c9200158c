"""The environment of handler commands: inherited and explicit variables."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugins import plugin
from sst_cloud import ManualClock
from sst_cloud.errors import SinkOptionsError, SinkRefusedError, SinkUnavailableError
from sst_cloud.notify.command import CommandHandler
from sst_cloud.notify.environment import environment as environment_of
from sst_cloud.notify.factory import handler_from
from sst_cloud.redaction import SECRET_VARIABLES

Environment = Callable[..., Any]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A command that writes its environment to a file."""
    file = tmp_path / "dump"
    file.write_text(f"#!/bin/sh\nenv > {tmp_path}/environment\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def environment(script: Path) -> Environment:
    """The environment of a command whose handler is made with these options."""

    async def environment(**options: Any) -> dict[str, str]:
        handler = CommandHandler([str(script)], clock=ManualClock(), **options)
        await handler.send({})
        lines = (script.parent / "environment").read_text().splitlines()
        pairs = (line.partition("=") for line in lines)
        return {name: value for name, _, value in pairs}

    return environment


async def test_command_inherits_everything_but_secrets(
    environment: Environment, plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declaring = "class Sink: target, options, guarantee, from_url, secrets = '', (), '', 0, ['X']"
    plugin(plugins, "declaring-sink", "declaring = declaring_sink:Sink", declaring)
    plugin(plugins, "broken-sink", "broken = broken_sink:Sink", "raise RuntimeError")
    sinks = {"INFLUXDB_TOKEN", "INFLUXDB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "X"}
    for name in SECRET_VARIABLES | sinks:
        monkeypatch.setenv(name, f"secret of {name}")
    monkeypatch.setenv("PLACE", "home")
    inherited = await environment()
    assert inherited["PLACE"] == "home"
    assert "PATH" in inherited
    assert inherited.keys() & (SECRET_VARIABLES | sinks) == set()
    assert "secret of" not in str(inherited)


async def test_variables_with_a_secret_value_are_not_inherited(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "INFLUXDB_TOKEN": "secret one",
        "COPY": " secret one\n",
        "ANOTHER": "secret two",
        "NAMED": "secret three",
        "SHORT": "home",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    withheld = {"VAULT": "secret two", "NAMED": "", "COTTAGE": "home"}
    inherited = await environment(withheld=withheld)
    assert inherited.keys() & values.keys() == {"SHORT"}


async def test_a_command_gets_its_own_variables(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFLUXDB_TOKEN", "of the sink")
    monkeypatch.setenv("SST_CLOUD_TOKEN", "of the account")
    given = {"INFLUXDB_TOKEN": "of the command", "PIN": "0000"}
    inherited = await environment(env=given, withheld={"PIN": "1111"})
    assert inherited.items() >= given.items()
    assert "SST_CLOUD_TOKEN" not in inherited


async def test_variables_of_a_command_are_masked_in_its_output(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "sst_cloud")
    script = tmp_path / "noisy"
    script.write_text('#!/bin/sh\necho "using $PIN"; echo "no $PIN" >&2; exit 1\n')
    script.chmod(0o755)
    handler = handler_from(str(script), env={"PIN": "hunter2"}, clock=ManualClock())
    with pytest.raises(SinkUnavailableError, match=r"no \*\*\*") as caught:
        await handler.send({})
    assert "using ***" in caplog.text
    assert "hunter2" not in caplog.text + str(caught.value) + handler.name + repr(handler)


async def test_command_is_searched_in_its_own_path(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{script.parent}:/usr/bin:/bin"
    handler = CommandHandler(["dump"], env={"PATH": path}, clock=ManualClock())
    await handler.check()
    await handler.send({})
    assert f"PATH={path}\n" in (script.parent / "environment").read_text()


@pytest.mark.parametrize(
    "text",
    [
        "me@example.com",
        " me@example.com ",
        "mailto:me@example.com",
        "me@example.com,you@example.com",
        "Me <me@example.com>",
        "TOKEN=me@example.com notify",
    ],
)
def test_an_invalid_handler_is_not_shown(text: str) -> None:
    with pytest.raises(SinkOptionsError) as caught:
        handler_from(text)
    assert "example" not in str(caught.value)


def test_variable_in_front_of_a_command_is_refused(script: Path) -> None:
    with pytest.raises(SinkOptionsError, match="cannot begin with NAME=value") as caught:
        handler_from(f"TOKEN=hunter2 {script}")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(SinkOptionsError, match="NUL"):
        handler_from(str(script), env={"TOKEN": "hunter\0"})


async def test_command_name_may_contain_an_at_sign(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.rename(script.parent / "dump@home")
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    for text in ("dump@home", f"{script.parent}/dump@home", "dump@home --now"):
        await handler_from(text, clock=ManualClock()).check()


async def test_missing_command_is_masked_in_the_error() -> None:
    handler = handler_from("/no/me@example.com --now", clock=ManualClock())
    for attempt in (handler.check(), handler.send({})):
        with pytest.raises(SinkRefusedError, match=r"command '/no/\*\*\*' not found") as caught:
            await attempt
        assert "example" not in str(caught.value)


def test_a_variable_with_a_secret_inside_it_is_not_inherited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SST_CLOUD_PASSWORD", "p4ssw0rd-x")
    monkeypatch.setenv("COLLECT_ARGS", "--password p4ssw0rd-x")
    monkeypatch.setenv("OTHER_ARGS", "--verbose")
    inherited = environment_of({}, {})
    assert "COLLECT_ARGS" not in inherited
    assert inherited["OTHER_ARGS"] == "--verbose"
