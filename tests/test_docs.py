"""What the documentation shows, runs."""

import asyncio
import json
import os
import re
import shlex
import struct
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from yarl import URL

from docs_snippets import Snippet, link_targets, run_python, snippets
from sst_cloud import SystemClock, Water, open_sink, transport
from sst_cloud.collector.events import Event, EventKind
from sst_cloud.testing import FakeAccount, FakeCloud, demo_account
from sst_cloud.testing.sink_contract import sample_reading

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINKED = [
    *PAGES,
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "examples").glob("*/README.md")),
]
ALL = [snippet for page in PAGES for snippet in snippets(page)]
FOREVER = ("fake", "collect", "watch")
"""Commands that end only when they are stopped."""

PAST = [
    sample_reading(
        house="Flat",
        time=datetime(2026, 9, 26, tzinfo=UTC) + timedelta(days=day),
        value=1000 * day,
        water=Water.HOT,
    )
    for day in range(60)
]
"""Who reads on has collected before, in October 2026."""


def where(snippet: Snippet) -> str:
    return f"{snippet.file.relative_to(ROOT)}:{snippet.line}"


@pytest.fixture
def account() -> FakeAccount:
    account = demo_account()
    account.email, account.password = "me@example.com", "secret"
    return account


@pytest.mark.parametrize("snippet", [s for s in ALL if s.language == "python"], ids=where)
async def test_python(
    snippet: Snippet,
    account: FakeAccount,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    async with FakeCloud([account], clock=SystemClock()) as cloud:
        monkeypatch.setattr(transport, "BASE_URL", cloud.url)
        monkeypatch.setattr("sst_cloud.client.BASE_URL", cloud.url)
        await run_python(snippet, {"__name__": "snippet", "token": account.token})


@pytest.mark.parametrize("snippet", [s for s in ALL if s.language == "shell"], ids=where)
async def test_shell(snippet: Snippet, account: FakeAccount, tmp_path: Path) -> None:
    async with open_sink(f"sqlite:{tmp_path / 'home.db'}") as sink:
        await sink.write(PAST)
    async with FakeCloud([account], clock=SystemClock()) as cloud:
        env = os.environ | {"SST_CLOUD_URL": cloud.url, "SST_CLOUD_TOKEN": account.token}
        env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
        for line in snippet.text.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] != ["sst-cloud"] or words[1] in ("login", "demo"):
                continue
            command = line
            if words[1] in FOREVER and "--once" not in words:
                command = f"sst-cloud {words[1]} --help"
            program = await asyncio.create_subprocess_shell(
                command, env=env, cwd=tmp_path, stdout=PIPE, stderr=STDOUT
            )
            printed, _ = await program.communicate()
            assert program.returncode == 0, f"{line}\n{printed.decode()}"


def test_the_event_that_is_shown_is_one_and_all_kinds_are_told_of() -> None:
    page = ROOT / "docs" / "judging.md"
    (shown,) = (json.loads(s.text) for s in snippets(page) if s.language == "json")
    event = Event.from_dict(shown)
    assert list(event.as_dict().items()) == list(shown.items())
    table = [line.split("`")[1] for line in page.read_text("utf-8").splitlines() if "| `" in line]
    assert set(EventKind) <= set(table)


def commands(page: Path) -> list[object]:
    """What a page has one run: Python as it is, shell lines without their comments."""
    return [
        [shlex.split(line, comments=True) for line in snippet.text.splitlines()]
        if snippet.language == "shell"
        else snippet.text
        for snippet in snippets(page)
    ]


def test_readme_says_the_same_in_both_languages() -> None:
    english, russian = commands(ROOT / "README.md"), commands(ROOT / "README.ru.md")
    assert len(english) >= 3
    assert english == russian


def test_readme_leads_to_the_same_pages_in_both_languages() -> None:
    english, russian = (
        set(link_targets((ROOT / name).read_text("utf-8")))
        for name in ("README.md", "README.ru.md")
    )
    assert english - russian == {"README.ru.md", "docs/index.md"}
    assert russian - english == {"README.md", "docs/ru/index.md"}


def test_the_start_in_russian_has_all_of_the_english_one() -> None:
    english = commands(ROOT / "docs" / "index.md")
    russian = commands(ROOT / "docs" / "ru" / "index.md")
    assert len(english) >= 5
    assert [commands for commands in russian if commands in english] == english


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    """Those into the project lead somewhere; those to elsewhere are well-formed, and not fetched.

    Links within the site are checked when it is built.
    """
    for target in link_targets(page.read_text("utf-8")):
        url = URL(target)
        if url.scheme:
            assert url.scheme in ("http", "https"), target
            assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", url.host or ""), target
        elif url.path:
            assert (page.parent / url.path).resolve().exists(), target


def test_there_is_something_to_run() -> None:
    assert {snippet.language for snippet in ALL if snippet.file.name == "README.md"} >= {
        "python",
        "shell",
    }


@pytest.mark.slow
@pytest.mark.source
def test_the_pictures_can_be_made_anew(tmp_path: Path) -> None:
    program = ROOT / "docs" / "make_pictures.py"
    subprocess.run([sys.executable, program, tmp_path], check=True)
    kept = list((ROOT / "docs" / "pictures").iterdir())
    assert {file.name for file in tmp_path.iterdir()} == {file.name for file in kept}
    for file in kept:
        made = tmp_path / file.name
        if file.suffix == ".png":
            assert _size(made) == _size(file)
        else:
            text = made.read_text("utf-8")
            assert "sst-cloud&#160;" in text
            assert "@import" not in text
            assert "url(http" not in text


def _size(file: Path) -> tuple[int, int]:
    """Width and height of a PNG."""
    width, height = struct.unpack(">II", file.read_bytes()[16:24])
    return width, height
