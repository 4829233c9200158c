"""The figures of the documentation are the code's, and the site that is built is whole."""

import importlib.util
import re
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest

import sst_cloud
from sst_cloud import transport
from sst_cloud.collector import collector, courier, grid, handlers
from sst_cloud.collector.outbox import Limits
from sst_cloud.sink import InstalledSink, installed_sinks

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_figures_of_resiliency() -> None:
    limits, waits = Limits(), [transport.FIRST_WAIT * 2**n for n in range(transport.ATTEMPTS - 1)]
    said = " ".join((DOCS / "resiliency.md").read_text("utf-8").split())
    first, second, third = waits
    for figure in (
        f"at most {transport.ATTEMPTS} attempts",
        f"up to {first:g}, {second:g} and {third:g} s",
        f"would come to more than {transport.MAX_WAITING:g} s",
        f"every {grid.EVERY // timedelta(minutes=1)} minutes",
        f"a write under way {collector.GRACE:g} s to end",
        f"after {courier.FIRST_WAIT:g} s and up to {courier.FIRST_WAIT:g} s more",
        f"up to {4 * courier.FIRST_WAIT:g}, {8 * courier.FIRST_WAIT:g}",
        f"… {courier.LONGEST_WAIT:g} s; never earlier",
        f"warns after {courier.TOO_LONG / 60:g} minutes",
        f"Up to {courier.AT_ONCE} readings go in one write",
        f"an attempt has {handlers.LIMIT:g} s",
        f"nothing for {limits.age.days} days or {limits.size >> 20} MB",
    ):
        assert figure in said
    assert timedelta(hours=1).total_seconds() == courier.PAUSE
    assert timedelta(days=1) == handlers.TOO_LATE
    assert "pauses it for an hour" in said
    assert "after **a day** it is dropped" in said


@pytest.mark.parametrize("shown", ["architecture.md", "drawings/house.svg"])
def test_every_module_is_shown(shown: str) -> None:
    modules = {
        path.stem for path in Path(sst_cloud.__path__[0]).glob("[a-z]*") if path.suffix != ".typed"
    }
    assert len(modules) > 20
    assert modules <= set(re.findall(r"\w+", (DOCS / shown).read_text("utf-8")))


OURS = [sink for sink in installed_sinks() if sink.distribution.startswith("sst-cloud ")]


@pytest.mark.parametrize("sink", OURS, ids=lambda sink: sink.scheme)
def test_a_page_for_each_sink_tells_its_promise_and_its_options(sink: InstalledSink) -> None:
    page = (DOCS / "sinks" / f"{sink.scheme}.md").read_text("utf-8")
    section = page.split("## Guarantee\n")[1].split("\n## ")[0]
    assert f"**{sink.load().guarantee.capitalize()}" in section
    section = page.split("## Options\n")[1].split("\n## ")[0]
    told = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert told == [option.name for option in sink.load().options]


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        "<img alt='x' src='http://example.com/x.png'>",
        "<td><code>Sentinel.UNSET</code></td>",
        "default: <function x at 0x7f00>",
    ],
)
def test_what_a_built_page_must_not_hold(hooks: ModuleType, html: str) -> None:
    assert len(hooks.complaints(html)) == 1


def test_what_a_built_page_may_hold(hooks: ModuleType) -> None:
    html = (
        '<a href="https://toml.io">TOML</a> <link rel="canonical" href="https://docs.example/">'
        '<img src="pictures/x.svg" data-src="//x"> <script src="assets/x.js"></script>'
    )
    assert hooks.complaints(html) == []
