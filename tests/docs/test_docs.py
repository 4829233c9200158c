"""The snippets of the documentation work."""

import asyncio
import configparser
import importlib.util
import json
import os
import re
import shlex
import sqlite3
import struct
import subprocess
import sys
import tomllib
from asyncio.subprocess import PIPE, STDOUT
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import click
import pytest
import yaml
from yarl import URL

import sst_cloud
from docs.snippets import (
    Snippet,
    arguments_of_ours,
    command_lines,
    link_targets,
    parse_options,
    run_python,
    snippets,
)
from sst_cloud import ManualClock, SSTCloud, SystemClock, TokenAuth, Water, open_sink, readings_from
from sst_cloud.cloud import transport
from sst_cloud.monitoring.events import Event, EventKind
from sst_cloud.testing import FakeAccount, FakeCloud, demo_account
from sst_cloud.testing.sink_contract import sample_reading

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINKED = [
    *PAGES,
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "examples").glob("*/README.md")),
]
ALL = [snippet for page in LINKED for snippet in snippets(page)]
RUN_HERE = [snippet for snippet in ALL if snippet.file in PAGES]
"""CONTRIBUTING has a test of its own; what an example's README shows needs it installed."""

TESTED_BY = {
    "python": "test_python_snippets_run here, and project/test_contributing.py",
    "shell": "test_shell_snippets_run runs it",
    # These need root, a service, a container or AWS.
    "sh": "test_snippets_that_are_not_run_have_valid_syntax_and_options",
    "crontab": "test_cron_line_is_valid",
    "json": "test_event_example_is_valid_and_all_kinds_are_documented",
    "text": "test_report_example_matches_the_output_of_its_command, "
    "test_documented_error_tree_matches_the_classes",
    "toml": "test_configuration_snippets_are_valid",
    "ini": "test_configuration_snippets_are_valid",
    "yaml": "test_configuration_snippets_are_valid, test_home_assistant_sensor_reads_the_meter",
    "sql": "SQL_TESTED_BY",
    "flux": "not run, as the page says",
}
SQL_TESTED_BY = {
    "docs/lambda.md": "timestream/test_read.py",
    "docs/notebook.md": "test_docs_queries.py",
    "docs/sinks/csv.md": "test_docs_queries.py",
    "docs/sinks/influxdb.md": "influxdb/test_documented_queries.py; which are not, the page says",
    "docs/sinks/sqlite.md": "test_docs_queries.py",
    "docs/sinks/timestream.md": "timestream/test_read.py",
}
INTERACTIVE = ("login", "fake")
"""Commands that prompt, or run until stopped: only their options are checked."""

PAST = [
    sample_reading(
        house="Flat",
        time=datetime(2026, 9, 26, tzinfo=UTC) + timedelta(days=day),
        value=1000 * day,
        water=Water.HOT,
    )
    for day in range(60)
]
"""Readings of a user who has collected before, in October 2026."""


def where(snippet: Snippet) -> str:
    return f"{snippet.file.relative_to(ROOT)}:{snippet.line}"


@pytest.fixture
def account() -> FakeAccount:
    account = demo_account()
    account.email, account.password = "me@example.com", "secret"
    return account


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    """The program that draws the pictures; the pages show its household."""
    spec = importlib.util.spec_from_file_location(
        "make_pictures", ROOT / "tools" / "make_pictures.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("snippet", [s for s in RUN_HERE if s.language == "python"], ids=where)
async def test_python_snippets_run(
    snippet: Snippet,
    account: FakeAccount,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_sink("sqlite:home.db") as sink:
        await sink.write(PAST)
    async with FakeCloud([account], clock=SystemClock()) as cloud:
        monkeypatch.setattr(transport, "BASE_URL", cloud.url)
        monkeypatch.setattr("sst_cloud.cloud.client.BASE_URL", cloud.url)
        monkeypatch.setattr("sst_cloud.cloud.credentials.BASE_URL", cloud.url)
        await run_python(snippet, {"__name__": "snippet", "token": account.token})


@pytest.mark.parametrize("snippet", [s for s in RUN_HERE if s.language == "shell"], ids=where)
async def test_shell_snippets_run(snippet: Snippet, account: FakeAccount, tmp_path: Path) -> None:
    for name in ("home.db", "demo.db"):
        async with open_sink(f"sqlite:{tmp_path / name}") as sink:
            await sink.write(PAST)
    async with FakeCloud([account], clock=SystemClock()) as cloud:
        env = os.environ | {"SST_CLOUD_URL": cloud.url, "SST_CLOUD_TOKEN": account.token}
        env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
        for line in snippet.text.splitlines():
            words = next(command_lines(line), ["#"])
            arguments = arguments_of_ours(words)
            if arguments is None:
                assert words[0] in ("#", "git", "make", "pip", "."), line
                continue
            parse_options(arguments)
            if arguments[0] in INTERACTIVE:
                continue
            endless = arguments[0] == "collect" and "--once" not in arguments
            command = f"{line} --polls 1" if endless else line
            program = await asyncio.create_subprocess_shell(
                command, env=env, cwd=tmp_path, stdout=PIPE, stderr=STDOUT
            )
            printed, _ = await program.communicate()
            assert program.returncode == 0, f"{line}\n{printed.decode()}"


@pytest.mark.parametrize("snippet", [s for s in ALL if s.language == "sh"], ids=where)
def test_snippets_that_are_not_run_have_valid_syntax_and_options(snippet: Snippet) -> None:
    """The shell syntax is valid, and `sst-cloud` has all options used."""
    checked = subprocess.run(
        ["sh", "-n"], check=False, input=snippet.text, text=True, capture_output=True
    )
    assert checked.returncode == 0, checked.stderr
    assert snippet.text.strip()
    for words in command_lines(snippet.text):
        arguments = arguments_of_ours(words)
        if arguments is not None:
            parse_options(arguments)


def test_documented_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    shells = [snippet.text for snippet in ALL if snippet.language in ("sh", "shell")]
    called = {
        words[1] for text in shells for words in command_lines(text) if words[0] == "make"
    } | set(re.findall(r"`make ([a-z-]+)[` ]", "".join(page.read_text("utf-8") for page in LINKED)))
    assert len(called) >= 8
    assert called <= set(re.findall(r"(?m)^([a-z-]+):.*## ", makefile))


def test_unknown_options_are_detected() -> None:
    (words,) = command_lines("sudo TZ=UTC sst-cloud status --stat /x >y")
    arguments = arguments_of_ours(words)
    assert arguments == ["status", "--stat", "/x"]
    with pytest.raises(click.UsageError):
        parse_options([*arguments, "--no-such-option"])
    with pytest.raises(click.UsageError):
        parse_options(["usage", "sqlite:home.db", "--by", "fortnight"])
    assert parse_options(["dead-letters", "list"]) == "list"


def test_every_snippet_is_covered_by_a_test() -> None:
    for snippet in ALL:
        assert snippet.language in TESTED_BY, where(snippet)
    pages = {str(s.file.relative_to(ROOT)) for s in ALL if s.language == "sql"}
    assert pages == set(SQL_TESTED_BY)
    texts = [s.file.name for s in ALL if s.language == "text"]
    assert sorted(texts) == ["client.md", "usage.md"]


def test_configuration_snippets_are_valid() -> None:
    for snippet in ALL:
        if snippet.language == "toml":
            assert tomllib.loads(snippet.text), where(snippet)
        elif snippet.language == "yaml":
            assert yaml.safe_load(snippet.text), where(snippet)
        elif snippet.language == "ini":
            parser = configparser.ConfigParser()
            parser.read_string(snippet.text)
            assert parser.sections(), where(snippet)


async def test_home_assistant_sensor_reads_the_meter(tmp_path: Path) -> None:
    page = ROOT / "docs" / "home-assistant.md"
    _, configuration = (yaml.safe_load(s.text) for s in snippets(page) if s.language == "yaml")
    (sensor,) = configuration["sql"]
    clock = ManualClock()
    async with (
        FakeCloud(clock=clock) as fake,
        SSTCloud(TokenAuth(fake.token), base_url=fake.url, clock=clock) as cloud,
        open_sink(f"sqlite:{tmp_path / 'home.db'}") as sink,
    ):
        for _ in range(2):
            clock.advance(3600)
            snapshot = await cloud.snapshot()
            await sink.write(readings_from(snapshot))
    (meter,) = (c for c in snapshot.counters if c.name == sensor["name"])
    connection = sqlite3.connect(tmp_path / "home.db")
    connection.row_factory = sqlite3.Row
    (row,) = connection.execute(sensor["query"])
    connection.close()
    assert row[sensor["column"]] == float(meter.value_m3)


def test_cron_line_is_valid() -> None:
    (crontab,) = (s.text for s in ALL if s.language == "crontab")
    *settings, line = crontab.splitlines()
    assert all(re.match(r"[A-Z_]+=\S", setting) for setting in settings)
    minute, hour, day, month, weekday, *words = shlex.split(line)
    assert (minute, hour, month, weekday) == ("0", "9", "*", "*")
    arguments = arguments_of_ours(words)
    assert arguments is not None
    parse_options(arguments)
    assert int(day) == int(arguments[arguments.index("--day") + 1]) + 1


async def test_report_example_matches_the_output_of_its_command(
    pictures: ModuleType, tmp_path: Path
) -> None:
    blocks = list(snippets(ROOT / "docs" / "usage.md"))
    (place,) = (n for n, block in enumerate(blocks) if block.language == "text")
    readings = [r for r in pictures.readings() if r.time >= datetime(2026, 9, 1, tzinfo=UTC)]
    async with open_sink(f"sqlite:{tmp_path / 'home.db'}") as sink:
        await sink.write(readings)
    (command,) = command_lines(blocks[place - 1].text)
    printed = subprocess.run(  # noqa: ASYNC221  nothing else is going on
        [Path(sys.executable).parent / command[0], *command[1:]],
        cwd=tmp_path,
        env=os.environ | {"TZ": "Europe/Moscow"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    expected = [line.rstrip() for line in blocks[place].text.splitlines()]
    assert [
        line.rstrip().replace("\N{NO-BREAK SPACE}", " ") for line in printed.splitlines()
    ] == expected


def test_documented_error_tree_matches_the_classes() -> None:
    (tree,) = (s.text for s in snippets(ROOT / "docs" / "client.md") if s.language == "text")
    above: list[type] = []
    for line in tree.splitlines():
        indent, name = re.findall(r"^(\W*)(\w+)", line)[0]
        error = getattr(sst_cloud, name)
        del above[len(indent) // 3 :]
        assert not above or error.__bases__[0] is above[-1], name
        above.append(error)
    public = {name for name in dir(sst_cloud) if name.endswith("Error")}
    assert set(re.findall(r"\w+Error", tree)) == public | {"TimeoutError"}


def test_event_example_is_valid_and_all_kinds_are_documented() -> None:
    page = ROOT / "docs" / "validation.md"
    (example,) = (json.loads(s.text) for s in snippets(page) if s.language == "json")
    event = Event.from_dict(example)
    assert list(event.as_dict().items()) == list(example.items())
    table = [line.split("`")[1] for line in page.read_text("utf-8").splitlines() if "| `" in line]
    assert set(EventKind) <= set(table)


def commands(page: Path) -> list[object]:
    """The code of a page: Python unchanged, shell lines without comments."""
    return [
        [shlex.split(line, comments=True) for line in snippet.text.splitlines()]
        if snippet.language == "shell"
        else snippet.text
        for snippet in snippets(page)
    ]


def test_readme_has_the_same_commands_in_both_languages() -> None:
    english, russian = commands(ROOT / "README.md"), commands(ROOT / "README.ru.md")
    assert len(english) >= 3
    assert english == russian


def test_readme_links_to_the_same_pages_in_both_languages() -> None:
    english, russian = (
        set(link_targets((ROOT / name).read_text("utf-8")))
        for name in ("README.md", "README.ru.md")
    )
    assert english - russian == {"README.ru.md", "docs/index.md"}
    assert russian - english == {"README.md", "docs/ru/index.md"}


def test_russian_start_page_has_all_commands_of_the_english_one() -> None:
    english = commands(ROOT / "docs" / "index.md")
    russian = commands(ROOT / "docs" / "ru" / "index.md")
    assert len(english) >= 5
    assert [commands for commands in russian if commands in english] == english


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_are_valid(page: Path) -> None:
    """Links into the project have a target; external links are well-formed and not fetched.

    Links within the site are checked when it is built.
    """
    for target in link_targets(page.read_text("utf-8")):
        url = URL(target)
        if url.scheme:
            assert url.scheme in ("http", "https"), target
            assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", url.host or ""), target
        elif url.path:
            assert (page.parent / url.path).resolve().exists(), target


def test_readme_has_python_and_shell_snippets() -> None:
    assert {snippet.language for snippet in ALL if snippet.file.name == "README.md"} >= {
        "python",
        "shell",
    }


@pytest.mark.slow
@pytest.mark.source
def test_pictures_can_be_regenerated(tmp_path: Path) -> None:
    program = ROOT / "tools" / "make_pictures.py"
    subprocess.run([sys.executable, program, tmp_path], check=True)
    committed = list((ROOT / "docs" / "pictures").iterdir())
    assert {file.name for file in tmp_path.iterdir()} == {file.name for file in committed}
    for file in committed:
        generated = tmp_path / file.name
        if file.suffix == ".png":
            assert _size(generated) == _size(file)
        else:
            text = generated.read_text("utf-8")
            assert "sst-cloud&#160;" in text
            assert "@import" not in text
            assert "url(http" not in text


def _size(file: Path) -> tuple[int, int]:
    """Width and height of a PNG."""
    width, height = struct.unpack(">II", file.read_bytes()[16:24])
    return width, height
