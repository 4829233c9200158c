"""`--config FILE`: strict, because a typo could go unnoticed for years."""

import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sst_cloud import CredentialsError
from sst_cloud.cli.collect_options import metrics_option, on_event_option
from sst_cloud.cli.config import ConfigError, config_option
from sst_cloud.cli.params import Duration, FiniteRange, Size
from sst_cloud.cli.selection import house_option
from sst_cloud.cli.settings import Settings, account_options
from sst_cloud.testing import FakeCloud

from .conftest import Run

Options = dict[str, Any]


@click.command()
@config_option
@click.option("--sink", "sinks", multiple=True)
@click.option("--every", type=Duration(), default="20m")
@click.option("--polls", type=click.IntRange(min=1))
@click.option("--max-flow", type=FiniteRange(min=0), default=5.0)
@click.option("--state", type=click.Path(path_type=Path))
@click.option("-q", "--quiet", is_flag=True)
@metrics_option
@on_event_option
@house_option
@account_options
@click.pass_obj
def collect(settings: Settings, /, **options: Any) -> Options:
    return {**options, "settings": settings}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "collect.toml"


@pytest.fixture
def read_options(file: Path) -> Callable[..., Options]:
    """Run a command that has options of every kind on a file with this text."""
    file.parent.mkdir()

    def read_options(text: str, *args: str) -> Options:
        file.write_text(text, encoding="utf-8")
        words = ["--config", str(file), *args]
        with collect.make_context("collect", words, obj=Settings()) as ctx:
            options_read: Options = collect.invoke(ctx)
        return options_read

    return read_options


ReadOptions = Callable[..., Options]
EVERYTHING = """
sink = ["sqlite:home.db", "influxdb:http://localhost:8086/home"]
every = "15m"
polls = 3
max_flow = 2
state = "var"
quiet = true
metrics = 9100
on_event = ["notify --loud 'a b'"]
house = ["Flat", "7"]
[account]
url = "https://cloud.example"
email = "me@example.com"
"""


def test_every_option_can_be_set_in_the_file(read_options: ReadOptions, file: Path) -> None:
    options = read_options(EVERYTHING)
    assert options.pop("settings").config_account.email == "me@example.com"
    assert options == {
        "sinks": ("sqlite:home.db", "influxdb:http://localhost:8086/home"),
        "every": timedelta(minutes=15),
        "polls": 3,
        "max_flow": 2.0,
        "state": file.parent / "var",
        "quiet": True,
        "metrics": ("127.0.0.1", 9100),
        "on_event": ("notify --loud 'a b'",),
        "house_names": ("Flat", "7"),
    }


def test_command_line_wins_over_the_file(read_options: ReadOptions) -> None:
    options = read_options(
        EVERYTHING, "--sink", "stdout:", "--every", "1h", "--metrics", "[::]:9200"
    )
    assert options["sinks"] == ("stdout:",)
    assert options["every"] == timedelta(hours=1)
    assert options["metrics"] == ("::", 9200)
    assert options["polls"] == 3


@pytest.mark.parametrize("text", ["1" * 5_000 + "GB", "0 MB", "512", "MB"])
def test_invalid_sizes_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a size; write 512MB or 2GB"):
        Size().convert(text, None, None)


def test_empty_file_leaves_the_defaults(read_options: ReadOptions) -> None:
    options = read_options("# nothing\n")
    assert (options["sinks"], options["every"], options["quiet"]) == (
        (),
        timedelta(minutes=20),
        False,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sinks = []", "there is no 'sinks' here; did you mean sink"),
        ("evry = '1m'", "there is no 'evry' here; did you mean every?"),
        ("xyzzy = 1", "there is no 'xyzzy' here; use one of source, sink, every"),
        ("config = 'x'", "there is no 'config' here"),
        ("sink = 'stdout:'", 'sink must be a list, like ["…"], not text in quotes'),
        ("sink = [1]", "an item of sink must be text in quotes, not a whole number"),
        ("every = 20", "every must be text in quotes, not a whole number"),
        ("every = 'soon'", "every: 'soon' is not a duration; write 20m"),
        (f"every = '{'1' * 5_000}s'", "is not a duration; write 20m"),
        (f"every = '{'1' * 5_000}'", "is not a duration; write 20m"),
        ("every = 1979-05-27", "every must be text in quotes, not a date"),
        ("polls = true", "polls must be a whole number, not true or false"),
        ("polls = 1.5", "polls must be a whole number, not a number"),
        ("polls = 0", "polls: 0 is not in the range x>=1"),
        ("max_flow = '5'", "max_flow must be a whole number, not text"),
        ("max_flow = nan", "max_flow: nan is not a finite number"),
        ("max_flow = inf", "max_flow: inf is not a finite number"),
        ("quiet = 1", "quiet must be true or false, not a whole number"),
        ("metrics = 99999", "metrics: 99999 is not a port like 9100"),
        ("metrics = ['9100']", "metrics must be text in quotes, not a list"),
        ("account = 1", "[account] must be a table, not a whole number"),
        ("token = 'x'", "token belongs in the table [account]"),
        ("password_file = 'x'", "password_file belongs in the table [account]"),
        ("[account]\ntoken = 's3cret'", 'write token_file = "…" or token_env = "…"'),
        ("[account]\npassword = 's3cret'", 'write password_file = "…" or password_env'),
        ("[account]\nmail = 'x'", "there is no 'mail' here; did you mean email?"),
        ("[account]\nurl = 1", "url in [account] must be text in quotes"),
        ("[account]\ntoken_env = 'NOWHERE_SET'", "'NOWHERE_SET' is not set"),
        ("[account]\ntoken_env = 'A'\ntoken_file = 'b'", "both token_file and token_env"),
        ("[secrets]\nA = 's3cret'", 'write A = { file = "…" } or { env = "…" }'),
        ("[secrets]\nA = { file = 'a', env = 'b' }", 'write A = { file = "…" }'),
        ("[secrets]\nA = { file = 1 }", 'write A = { file = "…" }'),
        ("[secrets]\nA = { env = 'NOWHERE_SET' }", "'NOWHERE_SET' is not set"),
        ('[secrets]\n"a b" = { env = "HOME" }', "'a b' in [secrets] is not a valid name"),
        ("[secrets]\nA = { env = 's3cret' }", "the environment variable '***' is not set"),
        ("[account]\npassword_env = 's3cret'", "the environment variable '***' is not set"),
        ("[secrets]\nSST_CLOUD_TOKEN = { env = 'HOME' }", "write token_file or token_env in"),
        ("[secrets]\nSST_CLOUD_PASSWORD = { env = 'HOME' }", "write password_file or"),
        ("handlers = 1", "[handlers] must be a table, not a whole number"),
        ("[handlers]\nenv = 1", "[handlers.env] must be a table, not a whole number"),
        ("[handlers]\nenvv = {}", "there is no 'envv' here; did you mean env?"),
        ("[handlers.env]\nA = 's3cret'", 'write A = { file = "…" } or { env = "…" }'),
        ("[handlers.env]\nA = { env = 'NOWHERE_SET' }", "'NOWHERE_SET' is not set"),
        ('[handlers.env]\n"a=b" = { env = "HOME" }', "'a=b' in [handlers.env] is not a valid"),
        ("[secrets", "is not TOML: "),
        ("sink = [\nevery = '1m'", "is not TOML: "),
    ],
)
def test_invalid_setting_is_named_in_the_error(
    read_options: ReadOptions, file: Path, text: str, words: str
) -> None:
    with pytest.raises(click.ClickException) as caught:
        read_options(text)
    assert caught.value.message.startswith(f"{file}: ")
    assert words in caught.value.message
    assert "s3cret" not in caught.value.message
    assert caught.value.exit_code == 2


def test_unreadable_file_is_an_error(read_options: ReadOptions, file: Path) -> None:
    with pytest.raises(click.ClickException, match="cannot be read: No such file"):
        collect.make_context("collect", ["--config", "nowhere.toml"], obj=Settings())
    file.write_bytes(b'sink = ["\xff"]')
    with pytest.raises(click.ClickException, match="is not TOML: "):
        collect.make_context("collect", ["--config", str(file)], obj=Settings())


KEYS = [
    *re.findall(r"(?m)^\w+", EVERYTHING),
    *("account", "secrets", "account.token_file", "handlers", "handlers.env", "handlers.env.A"),
]
VALUES = ["0", "-1", "1.5", "inf", "true", '""', '"x"', '"\\u0000"', "[]", '["a"]', "{}", "[[1]]"]
LINES = st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES)).map(" = ".join)


@example(r'state = "\u0000"')
@example(r'account.token_file = "~\u0000"')
@given(st.text() | st.lists(LINES, max_size=4).map("\n".join))
def test_any_file_content_raises_only_config_errors(text: str) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder, "collect.toml")
        file.write_text(text, encoding="utf-8", newline="")
        with suppress(ConfigError):
            collect.make_context("collect", ["--config", str(file)], obj=Settings())


def secret(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(f"{text}\n")
    file.chmod(0o600)
    return file


def test_file_sets_secrets_for_sinks(
    read_options: ReadOptions,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OTHER", "from elsewhere")
    monkeypatch.setenv("ALREADY", "as it was")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(file.parent))
    for name in ("FIRST", "SECOND", "THIRD"):
        monkeypatch.setenv(name, "")
    secret(file.parent, "first.secret", "one ")
    settings = read_options(
        "[secrets]\n"
        "FIRST = { file = 'first.secret' }\n"
        "SECOND = { env = 'OTHER' }\n"
        "THIRD = { file = '$CREDENTIALS_DIRECTORY/first.secret' }\n"
        "ALREADY = { env = 'OTHER' }\n"
    )["settings"]
    assert settings.secrets["FIRST"] == "one "
    assert settings.secrets["SECOND"] == "from elsewhere"
    assert settings.secrets["THIRD"] == "one "
    assert settings.secrets["ALREADY"] == "as it was", "the environment wins over the file"
    assert os.environ["FIRST"] == os.environ["SECOND"] == os.environ["THIRD"] == ""
    assert "from elsewhere" not in repr(settings)
    with pytest.raises(CredentialsError, match=r"the FIRST cannot be read from .*nowhere"):
        read_options("[secrets]\nFIRST = { file = 'nowhere' }")
    assert capsys.readouterr().err == ""


def test_file_sets_the_account(
    read_options: ReadOptions, file: Path, cloud: FakeCloud, sst: Run
) -> None:
    """Tested with `check`, which has the options of the real `collect`."""
    secret(file.parent, "password", cloud.password)
    text = f'[account]\nemail = "{cloud.email}"\npassword_file = "password"\n'
    for encoding in ("utf-8", "utf-8-sig"):  # editors on Windows add a byte order mark
        file.write_text(text, encoding=encoding)
        (file.parent / "password").write_text(cloud.password, encoding=encoding)
        assert sst("check", "--config", str(file)).status == 0


@pytest.mark.parametrize(
    ("args", "environ"),
    [
        (["--token", "TOKEN"], {}),
        (["--token-file", "FILE"], {}),
        (["--token-file", "FILE"], {"SST_CLOUD_TOKEN": "stale"}),
        (["--email", "EMAIL", "--password", "PASSWORD"], {"SST_CLOUD_TOKEN": "stale"}),
        (["--email", "EMAIL", "--password-file", "PASSWORD_FILE"], {}),
        (["--password", "PASSWORD"], {"SST_CLOUD_EMAIL": "EMAIL"}),
        ([], {"SST_CLOUD_TOKEN": "TOKEN"}),
        ([], {"SST_CLOUD_TOKEN_FILE": "FILE"}),
        ([], {"SST_CLOUD_EMAIL": "EMAIL", "SST_CLOUD_PASSWORD_FILE": "PASSWORD_FILE"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("of_file", ["", "token_env = 'STALE'"], ids=["alone", "over a file"])
def test_credentials_are_used_in_order_of_precedence(
    *,
    file: Path,
    cloud: FakeCloud,
    sst: Run,
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    environ: dict[str, str],
    of_file: str,
) -> None:
    file.parent.mkdir()
    placeholders = {
        "TOKEN": cloud.token,
        "EMAIL": cloud.email,
        "PASSWORD": cloud.password,
        "FILE": str(secret(file.parent, "token", cloud.token)),
        "PASSWORD_FILE": str(secret(file.parent, "password", cloud.password)),
    }
    monkeypatch.setenv("STALE", "stale")
    for name, word in environ.items():
        monkeypatch.setenv(name, placeholders.get(word, word))
    file.write_text(f"[account]\n{of_file}\n")
    words = [placeholders.get(word, word) for word in args]
    status, out, err = sst("check", "--config", str(file), *words)
    assert (status, err) == (0, ""), out


def test_credentials_come_from_the_file_if_nothing_else_is_set(
    file: Path, cloud: FakeCloud, sst: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.parent.mkdir()
    monkeypatch.setenv("MY_TOKEN", cloud.token)
    monkeypatch.delenv("SST_CLOUD_URL")
    file.write_text(f'[account]\nurl = "{cloud.url}"\ntoken_env = "MY_TOKEN"\n')
    monkeypatch.setenv("SST_CLOUD_CONFIG", str(file))
    assert sst("check").status == 0
    monkeypatch.setenv("MY_TOKEN", "stale")
    assert "Invalid token" in sst("check").out


def test_token_file_is_read_again_after_a_rejection(
    tmp_path: Path, cloud: FakeCloud, sst: Run
) -> None:
    file = secret(tmp_path, "token", "stale")
    status, out, _ = sst("check", "--token-file", str(file))
    assert status == 1
    assert "Invalid token" in out
    assert "stale" not in out


def test_password_without_an_email_is_not_enough(
    cloud: FakeCloud, sst: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SST_CLOUD_PASSWORD", cloud.password)
    status, _, err = sst("houses")
    assert status == 3
    assert "not logged in" in err


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"", "it is empty"), (b"\n", "it is empty"), (b"\xff", "not text")],
)
def test_invalid_secret_file_is_an_error(
    tmp_path: Path, cloud: FakeCloud, sst: Run, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    status, _, err = sst("houses", "--token-file", str(file))
    assert status == 3
    assert err.startswith(f"Error: the token cannot be read from {file}: ")
    assert reason in err


def test_world_readable_secret_file_is_a_warning(
    tmp_path: Path, cloud: FakeCloud, sst: Run
) -> None:
    file = secret(tmp_path, "token", cloud.token)
    assert sst("houses", "--token-file", str(file)).err == ""
    file.chmod(0o644)
    status, _, err = sst("houses", "--token-file", str(file))
    assert status == 0
    assert err == f"{file} is readable by everyone on this machine; run chmod 600 on it\n"


def test_login_takes_its_password_from_a_file(tmp_path: Path, cloud: FakeCloud, sst: Run) -> None:
    file = secret(tmp_path, "password", cloud.password)
    assert sst("login", "--email", cloud.email, "--password-file", str(file)).status == 0
    shutil.rmtree(tmp_path)
    assert sst("houses").status == 0


@pytest.mark.parametrize(
    "command",
    [
        "status",
        "dead-letters list",
        "latest sqlite:a.db --quantity volume",
        "usage sqlite:a.db",
        "report sqlite:a.db",
    ],
)
def test_other_commands_take_the_state_folder_from_the_config_file(
    sst: Run, logged_in: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("collect.toml").write_text('sink = ["sqlite:a.db"]\nstate = "my state"\n')
    assert sst("collect", "--once", "--config", "collect.toml").status == 0
    status, out, err = sst(*command.split(), "--config", "collect.toml")
    assert status == 0, err
    assert "this machine's time zone" not in err, "the houses of that state tell it"
    assert command != "status" or "my state" in out
