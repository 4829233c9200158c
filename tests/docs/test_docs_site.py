"""The figures in the documentation match the code, and the built site is complete."""

import enum
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import click
import pytest

import sst_cloud
from sst_cloud.cli.app import app
from sst_cloud.cloud import transport
from sst_cloud.collector import collector, schedule
from sst_cloud.controls import Controls
from sst_cloud.notify import base
from sst_cloud.outbox import delivery
from sst_cloud.outbox.delivery import EVENTS_PAUSE
from sst_cloud.outbox.entries import Limits
from sst_cloud.plugins import InstalledPlugin, installed_sinks, installed_sources
from sst_cloud.quantities import Quantity
from sst_cloud.sink import SinkType

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_figures_on_the_resiliency_page_match_the_code() -> None:
    limits, waits = Limits(), [transport.FIRST_WAIT * 2**n for n in range(transport.ATTEMPTS - 1)]
    text = " ".join((DOCS / "resiliency.md").read_text("utf-8").split())
    first, second, third = waits
    for figure in (
        f"at most {transport.ATTEMPTS} attempts",
        f"up to {first:g}, {second:g} and {third:g} s",
        f"would come to more than {transport.MAX_WAITING:g} s",
        f"every {schedule.EVERY // timedelta(minutes=1)} minutes",
        f"a write under way {collector.GRACE:g} s to end",
        f"after {delivery.FIRST_WAIT:g} s and up to {delivery.FIRST_WAIT:g} s more",
        f"up to {4 * delivery.FIRST_WAIT:g}, {8 * delivery.FIRST_WAIT:g}",
        f"… {delivery.LONGEST_WAIT:g} s; never earlier",
        f"warns after {delivery.HANGING_AFTER / 60:g} minutes",
        f"Up to {delivery.BATCH_SIZE} readings go in one write",
        f"an attempt has {base.TIMEOUT:g} s",
        f"nothing for {limits.age.days} days or {limits.size // 10**6} MB",
    ):
        assert figure in text
    assert timedelta(hours=1).total_seconds() == delivery.PAUSE
    assert f"pauses the handler for {EVENTS_PAUSE / 60:g} minutes" in text
    assert timedelta(days=1) == base.MAX_AGE
    assert "pauses it for an hour" in text
    assert "after **a day** it is dropped" in text


@pytest.mark.parametrize("page", ["architecture.md", "drawings/house.svg"])
def test_every_module_is_in_the_overview(page: str) -> None:
    modules = {
        path.stem for path in Path(sst_cloud.__path__[0]).glob("[a-z]*") if path.suffix != ".typed"
    }
    assert len(modules) > 20
    assert modules <= set(re.findall(r"\w+", (DOCS / page).read_text("utf-8")))


OURS = [sink for sink in installed_sinks() if sink.distribution.startswith("sst-cloud ")]


@pytest.mark.parametrize("sink", OURS, ids=lambda sink: sink.scheme)
def test_page_of_each_sink_has_its_guarantee_and_options(
    sink: InstalledPlugin[type[SinkType]],
) -> None:
    page = (DOCS / "sinks" / f"{sink.scheme}.md").read_text("utf-8")
    section = page.split("## Guarantee\n")[1].split("\n## ")[0]
    assert f"**{sink.load().guarantee.capitalize()}" in section
    section = page.split("## Options\n")[1].split("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert documented == [option.name for option in sink.load().options]


def test_sources_page_has_each_source_of_ours() -> None:
    """With whether it takes commands, and how often it knows something new."""
    page = (DOCS / "sources.md").read_text("utf-8")
    rows = re.findall(
        r"^\| \[`(\w+):`\]\(#\w+\) \| .+ \| (yes|no) \| about every (\d+) minutes \|",
        page,
        re.MULTILINE,
    )
    ours = [each for each in installed_sources() if each.distribution.startswith("sst-cloud ")]
    kinds: dict[str, Any] = {source.scheme: source.load() for source in ours}
    assert rows == [
        (
            scheme,
            "yes" if issubclass(kind, Controls) else "no",
            str(kind.refresh // timedelta(minutes=1)),
        )
        for scheme, kind in kinds.items()
    ]
    for scheme in kinds:
        assert f"\n## `{scheme}:`\n" in page


def test_sources_page_lists_the_commands_that_take_a_source() -> None:
    page = (DOCS / "sources.md").read_text("utf-8")
    section = page.split("## Naming a source\n")[1].split("\n## ")[0]
    listing = section.split("On the command line, ")[1].split("take a source")[0]
    assert set(re.findall(r"`([a-z-]+)`", listing)) == set(_commands_with_source(app, ""))


def _commands_with_source(group: click.Group, name: str) -> Iterator[str]:
    context = click.Context(group)
    for command_name in group.list_commands(context):
        command = group.get_command(context, command_name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands_with_source(command, name or command_name)
        elif any("--source" in param.opts for param in command.params):
            yield name or command_name


def test_every_quantity_is_in_the_documented_tables() -> None:
    """As a reading, as a metric and as a field of InfluxDB."""
    readings, metrics, fields = (
        (DOCS / page).read_text("utf-8")
        for page in ("sinks.md", "running-at-home.md", "sinks/influxdb.md")
    )
    row = r"^\| `(\w+)` \| ([a-z ]+) \| (?:`(.+)`)? ?\| (.+) \|$"
    rows = re.findall(row, readings, re.MULTILINE)
    assert rows == [(q.value, q.kind.value, q.unit, q.help) for q in Quantity]
    for quantity in Quantity:
        metric = f"{quantity.metric}_total" if quantity.is_total else quantity.metric
        assert re.search(rf"^\|.*`(sst_cloud|…)_{metric}`.*\|$", metrics, re.MULTILINE), metric
        field = quantity.name_with_unit
        assert re.search(rf"^\| `\w+` \| `.+` \| .*`{field}`.*\|$", fields, re.MULTILINE), field


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
def test_forbidden_content_of_a_built_page_is_reported(hooks: ModuleType, html: str) -> None:
    assert len(hooks.complaints(html)) == 1


def test_allowed_content_of_a_built_page_is_not_reported(hooks: ModuleType) -> None:
    html = (
        '<a href="https://toml.io">TOML</a> <link rel="canonical" href="https://docs.example/">'
        '<img src="pictures/x.svg" data-src="//x"> <script src="assets/x.js"></script>'
    )
    assert hooks.complaints(html) == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does it."""
    folder = tmp_path_factory.mktemp("site")
    program = Path(sys.executable).parent / "mkdocs"
    subprocess.run(
        [program, "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=DOCS.parent,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        check=True,
    )
    return folder


@pytest.mark.slow
@pytest.mark.source
def test_reference_page_has_every_public_name(site: Path) -> None:
    """Also the members of enums and the attributes of objects, each exactly once."""
    page = (site / "reference.html").read_text("utf-8")
    ids = re.findall(r'id="(sst_cloud[\w.]*)"', page)
    assert len(ids) == len(set(ids))
    for name in dir(sst_cloud):
        if name == "__version__":
            continue
        homes = [id_ for id_ in ids if id_.endswith(f".{name}")]
        assert len(homes) == 1, name
        public = getattr(sst_cloud, name)
        members: list[str] = []
        if inspect.isclass(public) and issubclass(public, enum.Enum):
            members = list(public.__members__)
        elif attrs.has(public):
            members = [field.name for field in attrs.fields(public)]
        family = [base.__name__ for base in public.__mro__] if members else []
        for member in members:
            anchors = [
                id_ for id_ in ids if id_.endswith(tuple(f".{base}.{member}" for base in family))
            ]
            assert anchors or member.startswith("_"), f"{name}.{member}"


@pytest.mark.slow
@pytest.mark.source
def test_each_page_declares_its_language(site: Path) -> None:
    for page in site.rglob("*.html"):
        language = "ru" if page.parent.name == "ru" else "en"
        assert f'<html lang="{language}"' in page.read_text("utf-8"), page.name
    assert "Поиск" in (site / "ru" / "index.html").read_text("utf-8")
