"""JSON and TOML nested a thousand deep: an error or a skipped line, never a traceback."""

from pathlib import Path

import attrs
import platformdirs
import pytest
from aiohttp import web

from sst_cloud.testing import FakeCloud
from sst_cloud.testing.fake.faults import Handler

from .conftest import Run

DEPTHS = (200, 1_000, 5_000)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@attrs.frozen
class Body:
    """Answers every request with this text."""

    text: str

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        return web.Response(text=self.text, content_type="application/json")


@pytest.mark.parametrize("depth", DEPTHS)
def test_dump_names_the_unreadable_answer(sst: Run, logged_in: FakeCloud, depth: int) -> None:
    logged_in.inject(Body(f'[{{"name": {nested(depth)}}}]'), path="/news/")
    status, out, err = sst("dump")
    assert (status, err) == (0, "")
    assert '"error": "PayloadError: /news/: expected JSON, got truncated or malformed JSON"' in out


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("command", ["dump", "tree", "devices"])
def test_deeply_nested_json_in_a_text_field_is_accepted(
    sst: Run, logged_in: FakeCloud, command: str, depth: int
) -> None:
    body = f'[{{"id": 1, "type": 7, "parsed_configuration": "{nested(depth)}"}}]'
    logged_in.inject(Body(body), path=f"/houses/{logged_in.houses[0].id}/devices/")
    assert sst(command).status == 0


@pytest.mark.parametrize("depth", DEPTHS)
def test_deeply_nested_dead_letter_is_skipped(sst: Run, tmp_path: Path, depth: int) -> None:
    (tmp_path / "dead-letters.jsonl").write_text(f'{{"time": {nested(depth)}}}\n')
    for command in ("list", "list --json", "replay"):
        status, _, err = sst("dead-letters", *command.split(), "--state", str(tmp_path))
        assert status == 0
        assert "skipped a line that is not a dead letter" in err


@pytest.mark.parametrize("depth", DEPTHS)
def test_deeply_nested_config_file_is_refused(sst: Run, tmp_path: Path, depth: int) -> None:
    config = tmp_path / "collect.toml"
    config.write_text(f"sink = {nested(depth)}\n")
    status, _, err = sst("check", "--config", str(config))
    assert status == 2
    assert "collect.toml" in err
    assert err.count("\n") <= 2


@pytest.mark.parametrize("depth", DEPTHS)
def test_deeply_nested_credentials_file_is_refused(sst: Run, cloud: FakeCloud, depth: int) -> None:
    file = platformdirs.user_config_path("sst-cloud") / "credentials.json"
    file.parent.mkdir(parents=True)
    file.write_text(nested(depth))
    status, _, err = sst("houses")
    assert status == 1
    assert "cannot be read; remove it" in err
