"""Event handlers of third parties, found by their entry points."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plugins import cabin_source, plugin
from sst_cloud.cli.app import run
from sst_cloud.errors import SinkOptionsError, UnknownSinkError
from sst_cloud.monitoring.events import Event, EventKind
from sst_cloud.notify import handler_from
from sst_cloud.notify.command import CommandHandler
from sst_cloud.plugins import declared_secrets

BELL = """
import json
from datetime import UTC, datetime
from pathlib import Path

from sst_cloud.notify import Handler
from sst_cloud.sink import Option


class Bell(Handler):
    "Rings into a file."
    target = "PATH"
    options = (Option("tone", "how it sounds, default high"),)
    secrets = ("BELL_KEY",)

    def __init__(self, path, key, tone="high"):
        super().__init__()
        self.name, self.path, self.key, self.tone = f"bell {path.name}", path, key, tone

    @classmethod
    def from_url(cls, url):
        return cls(url.path(), url.secrets.get("BELL_KEY"), **url.convert(cls.options))

    async def check(self):
        pass

    async def send(self, content):
        with self.path.open("a") as file:
            file.write(json.dumps([self.tone, self.key, content["message"]]) + "\\n")
"""


@pytest.fixture(autouse=True)
def bell(plugins: Path) -> None:
    plugin(plugins, "bell-handler", "bell = bell_handler:Bell", BELL, "sst_cloud.handlers")


async def test_event_reaches_an_installed_handler(tmp_path: Path) -> None:
    event = Event(time=datetime.now(UTC), kind=EventKind.LEAK, message="Leak: Bathroom")
    url = f"bell:{tmp_path / 'rung'}?tone=low"
    async with handler_from(url, env={"BELL_KEY": "of the file"}) as handler:
        report = await handler.write([event])
    assert (handler.name, report.accepted) == ("bell rung", 1)
    rung = json.loads((tmp_path / "rung").read_text())
    assert rung == ["low", "of the file", "Leak: Bathroom"]


def test_secrets_of_a_handler_are_declared() -> None:
    assert "BELL_KEY" in declared_secrets()


def test_unknown_option_of_a_handler_is_refused() -> None:
    with pytest.raises(SinkOptionsError, match=r"no option 'volume' \(it knows: tone\)"):
        handler_from("bell:x?volume=11")


@pytest.mark.parametrize("text", ["true bell:x", "gong:x", "c:x", "bell"])
def test_other_texts_are_commands(text: str) -> None:
    assert isinstance(handler_from(text), CommandHandler)


def test_handler_that_cannot_be_loaded_is_named(plugins: Path) -> None:
    broken = "raise RuntimeError('oh no')"
    plugin(plugins, "sad-handler", "sad = sad_handler:Sad", broken, "sst_cloud.handlers")
    with pytest.raises(UnknownSinkError, match=r"the sad handler of sad-handler 1.2 cannot be"):
        handler_from("sad:")


def test_handlers_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["handlers"]) == 0
    out = capsys.readouterr().out
    assert "bell:PATH\n" in out
    assert "Rings into a file." in out
    assert "how it sounds" in out


def test_check_uses_an_installed_handler(
    plugins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cabin_source(plugins)
    words = ["check", "--json", "--state", str(tmp_path), "--on-event", f"bell:{tmp_path / 'rung'}"]
    assert run([*words, "--source", "cabin:Cabin"]) == 0
    *_, handler = json.loads(capsys.readouterr().out)
    assert handler == {"name": "bell rung", "ok": True, "detail": ""}
