"""Logging in, lists, and error messages."""

import io
import json
import resource
import stat
import sys
from pathlib import Path

import platformdirs
import pytest

from sst_cloud.testing import FakeCloud, Html, Status

from .conftest import Run


def test_houses_are_listed(sst: Run, logged_in: FakeCloud) -> None:
    status, out, err = sst("houses")
    assert (status, err) == (0, "")
    assert out.splitlines()[0].split() == ["id", "name", "time", "zone", "occupied"]
    assert "Summer house  Europe/Moscow  yes" in out


def test_devices_of_a_house_are_listed(sst: Run, logged_in: FakeCloud) -> None:
    status, out, _ = sst("devices", "--house", "Flat")
    assert status == 0
    assert "Kitchen         Neptun ProW+ WiFi  available  2026-01-01 00:00Z" in out
    assert "Well" not in out


def test_counters_are_listed(sst: Run, logged_in: FakeCloud) -> None:
    status, out, _ = sst("counters")
    assert status == 0
    assert out.count("cold") == 5  # three that are cold, two of them by name too
    assert "Summer house  Well      Garden        cold   1" in out


@pytest.mark.parametrize(
    "command", ["houses", "devices", "counters", "tree", "read", "collect --once --sink stdout:"]
)
def test_account_without_houses_gives_one_hint(
    sst: Run, logged_in: FakeCloud, command: str
) -> None:
    logged_in.account.houses.clear()
    status, _, err = sst(*command.split())
    assert status == 0
    assert err.count(" has no houses; if the account was migrated to the ATLAS app") == 1


@pytest.mark.parametrize(
    "command",
    [
        "devices",
        "counters",
        "tree",
        "read",
        "watch --polls 1",
        "check",
        "collect --once --sink stdout:",
    ],
)
def test_houses_are_requested_once(sst: Run, logged_in: FakeCloud, command: str) -> None:
    assert sst(*command.split(), "--house", "Flat").status == 0
    assert [request.path for request in logged_in.requests].count("/houses/") == 1


@pytest.mark.parametrize("command", ["houses", "devices", "counters"])
def test_lists_as_json_have_no_private_fields(sst: Run, logged_in: FakeCloud, command: str) -> None:
    status, out, _ = sst(command, "--json")
    assert status == 0
    items = json.loads(out)
    assert len(items) == {"houses": 2, "devices": 4, "counters": 5}[command]
    assert logged_in.email not in out
    assert not {"raw", "owner", "mac_address", "configuration"} & set(items[0])


def test_login_saves_the_token(sst: Run, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{cloud.password}\n"))
    status, out, err = sst("login", "--email", cloud.email)
    file = platformdirs.user_config_path("sst-cloud") / "credentials.json"
    assert (status, out) == (0, "")
    assert str(file) in err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {cloud.url: cloud.token}
    assert cloud.token not in err
    assert cloud.password not in file.read_text() + err
    assert sst("houses").status == 0
    assert [entry.name for entry in file.parent.iterdir()] == ["credentials.json"]


def test_saved_token_is_printed_for_a_service(sst: Run, cloud: FakeCloud, tmp_path: Path) -> None:
    status, out, err = sst("token")
    assert (status, out) == (3, "")
    assert err == f"Error: there is no saved token for {cloud.url}. Run `sst-cloud login` first.\n"
    assert sst("login", "--email", cloud.email, "--password", cloud.password).status == 0
    assert sst("token") == (0, f"{cloud.token}\n", "")
    file = tmp_path / "token"
    file.write_text(sst("token").out)
    file.chmod(0o600)
    assert sst("--token-file", str(file), "houses").status == 0


def test_logout_deletes_and_revokes_the_token(sst: Run, cloud: FakeCloud) -> None:
    file = platformdirs.user_config_path("sst-cloud") / "credentials.json"
    assert sst("logout") == (0, "", f"Not logged in to {cloud.url}.\n")
    sst("login", "--email", cloud.email, "--password", cloud.password)
    token = cloud.token
    message = f"Logged out of {cloud.url}. The token was deleted from {file}"
    assert sst("logout") == (0, "", f"{message}\n")
    assert json.loads(file.read_text()) == {}
    assert sst("houses", "--token", token).status == 3
    assert "not logged in" in sst("houses").err
    sst("login", "--email", cloud.email, "--password", cloud.password)
    token = cloud.token
    assert sst("logout", "--local") == (0, "", f"{message}\n")
    assert sst("houses", "--token", token).status == 0


def test_failed_logout_still_deletes_the_saved_token(sst: Run, cloud: FakeCloud) -> None:
    sst("login", "--email", cloud.email, "--password", cloud.password)
    cloud.inject(Status(500), path="/auth/logout/")
    status, _, err = sst("logout")
    assert status == 0
    assert ", but may still be valid: " in err
    assert sst("token").status == 3


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (("--email", "me@example.com"), "the e-mail needs a password"),
        (("--password", "secret"), "the password needs an e-mail"),
    ],
)
def test_incomplete_login_names_the_missing_part(
    sst: Run, cloud: FakeCloud, words: tuple[str, ...], missing: str
) -> None:
    message = f"Error: not logged in to {cloud.url}; {missing}\n"
    assert sst("houses", *words) == (3, "", message)


def test_unreachable_cloud_is_reported_in_plain_words(sst: Run, unused_tcp_port: int) -> None:
    words = ("--url", f"http://127.0.0.1:{unused_tcp_port}", "--token", "0" * 40)
    status, _, err = sst("houses", *words)
    assert status == 4
    assert err.splitlines()[-1].endswith("cannot be reached: Connection refused")


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("colect", "; did you mean collect?"),
        ("dead-leters", "; did you mean dead-letters?"),
        ("x", ""),
    ],
)
def test_unknown_command_gets_a_hint(sst: Run, word: str, hint: str) -> None:
    assert sst(word, "--json") == (
        2,
        "",
        f"Error: there is no command '{word}'{hint}\nSee: sst-cloud --help\n",
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sst-cloud us", ["plain,usage"]),
        ("sst-cloud dead-letters re", ["plain,replay"]),
        ("sst-cloud usage --by w", ["plain,week"]),
        ("sst-cloud usage --tim", ["plain,--timezone"]),
    ],
)
def test_a_shell_completes_commands_and_options(
    sst: Run, monkeypatch: pytest.MonkeyPatch, line: str, words: list[str]
) -> None:
    monkeypatch.setenv("_SST_CLOUD_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    assert sst().out.splitlines() == words


def test_login_keeps_tokens_of_other_clouds(
    sst: Run, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = platformdirs.user_config_path("sst-cloud") / "credentials.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"https://elsewhere.example": "abc"}')
    monkeypatch.setenv("SST_CLOUD_EMAIL", cloud.email)
    monkeypatch.setenv("SST_CLOUD_PASSWORD", cloud.password)
    assert sst("login").status == 0
    assert set(json.loads(file.read_text())) == {"https://elsewhere.example", cloud.url}


def test_full_disk_leaves_the_credentials_file_unchanged(sst: Run, cloud: FakeCloud) -> None:
    file = platformdirs.user_config_path("sst-cloud") / "credentials.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"https://elsewhere.example": "abc"}')
    before = file.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), hard))
    try:
        outcome = sst("login", "--email", cloud.email, "--password", cloud.password)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert outcome.status == 1
    assert f"the token cannot be saved to {file}: File too large" in outcome.err
    assert [entry.name for entry in file.parent.iterdir()] == ["credentials.json"]
    assert file.read_bytes() == before


def test_wrong_password_is_reported(sst: Run, cloud: FakeCloud) -> None:
    outcome = sst("login", "--email", cloud.email, "--password", "hunter2")
    assert (outcome.status, outcome.out) == (3, "")
    assert outcome.err == (
        "Error: the e-mail or the password was refused: "
        "Unable to log in with provided credentials.\n"
    )


def test_empty_password_is_refused(
    sst: Run, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    status, _, err = sst("login", "--email", cloud.email)
    assert (status, err) == (3, "Error: both an e-mail and a password are needed to log in\n")


def test_login_without_a_terminal_needs_an_email(
    sst: Run, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    status, _, err = sst("login")
    assert status == 3
    assert err.splitlines()[-1].startswith(
        "Error: cannot ask without a terminal: pass --email, and"
    )


def test_command_without_login_explains_how_to_log_in(sst: Run, cloud: FakeCloud) -> None:
    status, _, err = sst("houses")
    assert status == 3
    assert f"not logged in to {cloud.url}: there is no token" in err
    assert "; run `sst-cloud login`, or set SST_CLOUD_TOKEN" in err


def test_revoked_token_is_reported(sst: Run, logged_in: FakeCloud) -> None:
    logged_in.expire_tokens()
    status, _, err = sst("houses")
    assert status == 3
    assert err == (
        "Error: the token was refused: Invalid token. Run `sst-cloud login` for a new one.\n"
    )


def test_malformed_token_is_refused_and_not_shown(sst: Run, cloud: FakeCloud) -> None:
    status, _, err = sst("houses", "--token", "two words")
    assert status == 3
    assert "two words" not in err


def test_misspelt_token_variable_of_old_deployments_works(
    sst: Run, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SST_CLOUT_TOKEN", cloud.token)
    assert sst("houses").status == 0


@pytest.mark.parametrize("place", ["before", "after"])
def test_options_win_over_the_environment(
    sst: Run, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("SST_CLOUD_TOKEN", "stale")
    monkeypatch.setenv("SST_CLOUD_URL", "http://127.0.0.1:1")
    options = ("--token", cloud.token, "--url", cloud.url)
    words = (*options, "houses") if place == "before" else ("houses", *options)
    assert sst(*words).status == 0


def test_email_and_password_from_the_environment(
    sst: Run, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SST_CLOUD_EMAIL", cloud.email)
    monkeypatch.setenv("SST_CLOUD_PASSWORD", cloud.password)
    assert sst("houses").status == 0


def test_unknown_house_error_lists_the_houses(sst: Run, logged_in: FakeCloud) -> None:
    status, _, err = sst("counters", "--house", "Palace")
    flat, summer_house = logged_in.houses
    assert status == 1
    assert err == (
        f"Error: there is no house 'Palace'; SST Cloud at {logged_in.url[7:]} has: "
        f"Flat ({flat.id}), Summer house ({summer_house.id})\n"
    )


def test_unreachable_cloud_is_retried_and_then_an_error(sst: Run, unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    status, _, err = sst("houses", "--token", "x", "--url", url)
    assert status == 4
    assert "attempt 4 in" in err
    assert "Error: 127.0.0.1 cannot be reached" in err


def test_invalid_url_is_refused_without_showing_its_password(sst: Run) -> None:
    status, _, err = sst("houses", "--token", "x", "--url", "ftp://me:hunter2@host")
    assert status == 2
    assert "must look like https://" in err
    assert "hunter2" not in err


@pytest.mark.parametrize("command", ["token", "logout"])
def test_password_in_the_url_is_not_shown(sst: Run, command: str) -> None:
    _, out, err = sst(command, "--url", "https://me:hunter2@cloud.example")
    assert "***" in err
    assert "hunter2" not in out + err


def test_html_answer_is_an_error(sst: Run, logged_in: FakeCloud) -> None:
    logged_in.inject(Html(title="Technical works"))
    assert sst("houses") == (
        1,
        "",
        "Error: /houses/: expected JSON, got an HTML page (Technical works)\n",
    )


def test_server_error_is_reported_on_one_line(sst: Run, logged_in: FakeCloud) -> None:
    logged_in.inject(Status(500))
    status, _, err = sst("houses")
    assert status == 4
    assert err.count("\n") == 1


def test_unreadable_device_is_a_warning(sst: Run, logged_in: FakeCloud) -> None:
    logged_in.devices[0].overrides["type"] = "?"
    status, out, err = sst("devices")
    assert status == 0
    assert "Kitchen" in out
    assert err.startswith("Warning: device ")


def test_verbose_logs_go_to_stderr_without_secrets(
    sst: Run, cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    sst("houses", "-v", "--email", cloud.email, "--password", cloud.password)
    assert "GET /houses/: 200" in caplog.text
    for secret in (cloud.email, cloud.password, cloud.token):
        assert secret not in caplog.text


def test_broken_credentials_file_is_an_error(sst: Run, cloud: FakeCloud) -> None:
    file = platformdirs.user_config_path("sst-cloud") / "credentials.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    status, _, err = sst("houses")
    assert status == 1
    assert "remove it and log in again" in err


def test_uncreatable_config_folder_is_an_error(
    sst: Run, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{cloud.password}\n"))
    status, _, err = sst("login", "--email", cloud.email)
    assert status == 1
    assert "cannot be" in err


@pytest.mark.parametrize("words", [("nope",), ("houses", "--nope"), ("collect", "--every", "x")])
def test_wrong_usage_is_an_error_with_a_hint(sst: Run, words: tuple[str, ...]) -> None:
    status, _, err = sst(*words)
    assert status == 2
    assert err.startswith("Error: ")
    assert err.splitlines()[1].startswith("See: sst-cloud")


@pytest.mark.parametrize("words", [("--help",), ("-h",), ("collect", "--help"), ("--version",)])
def test_help_is_printed(sst: Run, words: tuple[str, ...]) -> None:
    status, out, _ = sst(*words)
    assert status == 0
    assert "sst-cloud" in out


def test_command_without_arguments_shows_the_help(sst: Run) -> None:
    status, _, err = sst()
    assert status == 2
    assert "Commands:" in err


def test_login_asks_on_a_terminal(
    sst: Run, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts: dict[str, bool] = {}

    def prompt(text: str, *, hide_input: bool = False) -> str:
        prompts[text] = hide_input
        return cloud.password if hide_input else cloud.email

    monkeypatch.setattr("click.prompt", prompt)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    status, out, err = sst("login")
    assert (status, out) == (0, "")
    assert prompts == {"E-mail": False, "Password": True}
    assert cloud.password not in err


HOSTILE = "Ev\x1b[31mil\nname\u202e"


@pytest.mark.parametrize(
    "command",
    [
        "houses",
        "devices",
        "counters",
        "tree",
        "watch --polls 1",
        "counters --house nowhere",
        "valves close --device nowhere",
        "valves close --device {}",
        "read --sink stdout:?format=table",
    ],
)
def test_control_characters_in_names_do_not_reach_the_terminal(
    sst: Run, logged_in: FakeCloud, command: str
) -> None:
    for house in logged_in.houses:
        house.name = HOSTILE
        for device in house.devices:
            device.name = HOSTILE
            for counter in device.counters:
                counter.name = HOSTILE
    device_id = str(logged_in.houses[0].devices[0].id)
    _, out, err = sst(*(word.format(device_id) for word in command.split()))
    assert "Ev�[31mil name�" in out + err
    assert not set("\x1b\u202e") & set(out + err)
    assert "\nname" not in out + err


def test_names_are_unchanged_in_json(sst: Run, logged_in: FakeCloud) -> None:
    logged_in.houses[0].name = HOSTILE
    assert json.loads(sst("houses", "--json").out)[0]["name"] == HOSTILE
