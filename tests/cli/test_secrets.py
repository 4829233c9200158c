"""The secrets of the command line are passed to sinks and nowhere else."""

import ast
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

import sst_cloud.cli
from plugins import asking_sink
from sst_cloud import Rejection
from sst_cloud.outbox import DeadLetters
from sst_cloud.redaction import SECRET_VARIABLES
from sst_cloud.testing import FakeCloud
from sst_cloud.testing.sink_contract import sample_reading

from .conftest import Run

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SST_CLOUD_STATE", "state")
    return tmp_path


def stored(sst: Run, folder: Path) -> None:
    """A store with readings in it, as an import leaves it."""
    readings = [sample_reading(), sample_reading(time=NOW.replace(year=2025))]
    lines = [",".join(readings[0].as_dict())]
    for reading in readings:
        values = reading.as_dict().values()
        lines.append(",".join("" if value is None else str(value) for value in values))
    (folder / "readings.csv").write_text("\n".join(lines) + "\n")
    assert sst("import", "readings.csv", "--sink", "sqlite:home.db").status == 0


COMMANDS = {
    "collect --once --sink asking:": True,
    "check --sink asking:": True,
    "read --sink asking:": False,
    "latest asking:": True,
    "usage asking:": True,
    "report asking:": True,
    "import readings.csv --sink asking:": False,
    "dead-letters replay": True,
}
"""Command → whether it takes a file."""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_passes_secrets_to_its_sinks(  # noqa: PLR0917  fixtures have no order
    sst: Run,
    logged_in: FakeCloud,
    folder: Path,
    plugins: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    asking_sink(plugins)
    (folder / "readings.csv").write_text("")
    DeadLetters(folder / "state").add("asking:", [Rejection(sample_reading(), "too old")], NOW)
    monkeypatch.setenv("ASKED", "of the environment")
    _, out, err = sst(*command.split())
    assert "the secret is of the environment" in out + err
    if COMMANDS[command]:
        monkeypatch.setenv("ASKED", "")
        (folder / "secret").write_text("of the file")
        (folder / "secret").chmod(0o600)
        (folder / "collect.toml").write_text("[secrets]\nASKED = { file = 'secret' }\n")
        _, out, err = sst(*command.split(), "--config", "collect.toml")
        assert "the secret is of the file" in out + err
    assert "of the file" not in os.environ.values()


def test_sinks_are_opened_only_by_the_module_with_their_secrets() -> None:
    """Only the settings module has the secrets."""
    folder = Path(sst_cloud.cli.__file__).parent
    imports = {
        file.name: {
            name.name
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom)
            for name in node.names
        }
        for file in folder.rglob("*.py")
    }
    assert [file for file, names in imports.items() if "open_sink" in names] == ["settings.py"]
    assert [file for file, names in imports.items() if "handler_from" in names] == ["collect.py"]


@pytest.fixture
def with_secrets(folder: Path, logged_in: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put secrets in every place that may hold one; returns their values."""
    variables = {
        **{name: f"hunter2 of {name}" for name in SECRET_VARIABLES - {"SST_CLOUD_TOKEN"}},
        "INFLUXDB_TOKEN": "hunter2 of InfluxDB",
        "AWS_SECRET_ACCESS_KEY": "hunter2 of AWS",
        "MY_TOKEN": "hunter2-of-token_env",
        "MY_PASSWORD": "hunter2 of password_env",
        "OTHER": "hunter2 of env",
        "COPY": logged_in.token,
        "FOR_HANDLER": "hunter2 for the command",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PLACE", "home")
    (folder / "vault").write_text("hunter2 of a file")
    (folder / "vault").chmod(0o600)
    (folder / "collect.toml").write_text(
        "[account]\ntoken_env = 'MY_TOKEN'\npassword_env = 'MY_PASSWORD'\n"
        "[secrets]\nVAULT = { file = 'vault' }\nNAMED = { env = 'OTHER' }\n"
        "[handlers.env]\nPIN = { env = 'FOR_HANDLER' }\n"
    )
    (folder / "dump").write_text("#!/bin/sh\nenv >> environment\n")
    (folder / "dump").chmod(0o755)
    return [logged_in.token, *variables.values(), "hunter2"]


@pytest.mark.parametrize(
    "command", ["collect --once --sink csv:a.csv --on-event", "report sqlite:home.db --send-to"]
)
def test_no_secret_is_in_the_environment_of_a_command(
    sst: Run, logged_in: FakeCloud, folder: Path, with_secrets: list[str], command: str
) -> None:
    stored(sst, folder)
    logged_in.devices[0].module.wet_lines.add(1)
    status, _, err = sst(*command.split(), f"{folder}/dump", "--config", "collect.toml")
    assert status == 0, err
    environment = (folder / "environment").read_text()
    assert "PIN=hunter2 for the command\n" in environment
    assert "PLACE=home\n" in environment
    rest = environment.replace("PIN=hunter2 for the command\n", "")
    assert [secret for secret in with_secrets if secret in rest] == []


def test_command_line_secret_is_not_inherited_under_another_name(
    sst: Run, cloud: FakeCloud, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", cloud.token)
    (folder / "dump").write_text("#!/bin/sh\nenv > environment\n")
    (folder / "dump").chmod(0o755)
    cloud.devices[0].module.wet_lines.add(1)
    words = ("collect", "--once", "--sink", "csv:a.csv", "--on-event", f"{folder}/dump")
    status, _, err = sst(*words, "--token", cloud.token)
    assert status == 0, err
    assert cloud.token not in (folder / "environment").read_text()


def test_mail_server_can_be_set_in_the_config_file(
    sst: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(sst, folder)
    monkeypatch.setenv("SERVER", "smtp://me@127.0.0.1:1")
    monkeypatch.setenv("WORD", "hunter2")
    words = ("report", "sqlite:home.db", "--send-to", "mailto:me@example.com")
    file = folder / "collect.toml"
    file.write_text("[secrets]\nSST_CLOUD_SMTP = { env = 'SERVER' }\n")
    status, _, err = sst(*words, "--config", "collect.toml")
    assert (status, "also set SST_CLOUD_SMTP_PASSWORD" in err) == (2, True)
    file.write_text(f"{file.read_text()}SST_CLOUD_SMTP_PASSWORD = {{ env = 'WORD' }}\n")
    status, _, err = sst(*words, "--config", "collect.toml")
    assert (status, "the mail server 127.0.0.1 cannot be reached" in err) == (1, True)
    assert "hunter2" not in err


URLS = (
    "influxdb:http://127.0.0.1:1/home?org=me&token=hunter2",
    "influxdb:http://127.0.0.1:1/home?tokn=hunter2",
    "influxdb:http://127.0.0.1:1/home?hunter2==",
    "influxdb:https://me:hun/hunter2@127.0.0.1/home",
    "influxdb:hunter2@https://127.0.0.1/home",
    "sqlite:home.db?passphrase=hunter2",
    "home.db?tokn=hunter2",
    "me:hunter2@host/x",
)


@pytest.mark.not_quick
@pytest.mark.parametrize("url", URLS)
def test_refused_sink_url_is_masked_by_every_command(
    sst: Run, logged_in: FakeCloud, folder: Path, url: str
) -> None:
    (folder / "readings.csv").write_text("")
    printed = {
        command: "".join(map(str, sst(*command.split(), url)))
        for command in (
            "check --sink",
            "check --json --sink",
            "collect --once --sink",
            "read --sink",
            "import readings.csv --sink",
            "latest",
            "usage",
            "report",
            "dead-letters drop --sink",
            "demo --store",
        )
    }
    assert [command for command, text in printed.items() if "hunter2" in text] == []


def test_token_in_a_file_name_is_masked_everywhere(
    sst: Run, logged_in: FakeCloud, folder: Path
) -> None:
    """Without a ? before it, it is not an option but part of the file name."""
    stored(sst, folder)
    url = "csv:a.csv&token=hunter2"
    for words in (
        ("check", "--sink", url),
        ("collect", "--once", "--sink", url),
        ("status",),
        ("status", "--json"),
        ("import", "readings.csv", "--sink", url),
        ("dead-letters", "list", "--sink", url),
    ):
        status, out, err = sst(*words)
        assert status == 0, err
        assert "hunter2" not in out + err
    assert "csv:a.csv&token=***…" in sst("status").out


def test_check_masks_all_secrets(sst: Run, folder: Path) -> None:
    words = ("--url", "http://me:hunter2@127.0.0.1:1", "--state", "/proc/me@hunter2.com")
    handlers = ("me@hunter2.com", "TOKEN=hunter2 ring", "/no/me@hunter2.com --now")
    given = [word for text in handlers for word in ("--on-event", text)]
    for form in ((), ("--json",)):
        status, out, err = sst("check", *words, *given, "--token", "hunter2", *form)
        assert status == 1
        assert "hunter2" not in out + err
    assert len(json.loads(out)) == 5


def test_mail_address_without_mailto_is_refused(sst: Run, folder: Path) -> None:
    stored(sst, folder)
    status, _, err = sst("report", "sqlite:home.db", "--send-to", "me@example.com")
    assert (status, err.splitlines()[0]) == (
        2,
        "Error: --send-to: write mailto:ADDRESS to send it by mail",
    )
    for address in ("me@example.com", "mailto:me@example.com"):
        status, _, err = sst("collect", "--once", "--sink", "csv:a.csv", "--on-event", address)
        assert (status, err.splitlines()[0]) == (
            2,
            "Error: --on-event: a handler must be a command or a URL, not a mail address",
        )


@pytest.mark.parametrize("command", ["houses", "status", "latest sqlite:home.db"])
def test_unexpected_argument_is_masked_in_the_error(sst: Run, folder: Path, command: str) -> None:
    status, _, err = sst(*command.split(), "me@example.com", "a" * 40)
    assert status == 2
    assert "***" in err
    assert "example" not in err
    assert "a" * 40 not in err


def test_secret_given_as_a_file_name_is_masked(sst: Run, cloud: FakeCloud) -> None:
    status, _, err = sst("houses", "--token-file", "a" * 40)
    assert (status, "the token cannot be read from ***: " in err) == (3, True)


def test_sinks_lists_the_names_of_secrets(sst: Run) -> None:
    listed = {sink["scheme"]: sink for sink in json.loads(sst("sinks", "--json").out)}
    assert listed["influxdb"]["secrets"] == ["INFLUXDB_TOKEN", "INFLUXDB_PASSWORD"]
    assert listed["sqlite"]["secrets"] == []
    assert "INFLUXDB_TOKEN, INFLUXDB_PASSWORD" in sst("sinks").out
