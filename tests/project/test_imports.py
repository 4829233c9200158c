"""Which module may import what, anywhere in a file."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
FILES: Final = sorted(
    file
    for root in (ROOT, ROOT / "sinks")
    for package in ("sst_cloud", "sst_cloud_sinks")
    for file in (root / package).rglob("*.py")
)
ANYWHERE: Final = frozenset({"attrs"})
"""Third-party packages that every module may import."""
ALLOWED: Final = {
    "aiobotocore": {"sst_cloud_sinks.timestream.aws", "sst_cloud_sinks.timestream.http"},
    "aioboto3": {"sst_cloud_sinks.timestream.aws"},
    "aiohttp": {
        "sst_cloud.cloud.client",
        "sst_cloud.notify.webhook",
        "sst_cloud.collector.bounded_server",
        "sst_cloud.collector.metrics",
        "sst_cloud.http_bodies",
        "sst_cloud.http_errors",
        "sst_cloud.testing",
        "sst_cloud.cloud.transport",
        "sst_cloud_sinks.influxdb.http",
        "sst_cloud_sinks.timestream.http",
        "sst_cloud_sinks.influxdb.sink",
    },
    "cattrs": {"sst_cloud.cloud.structuring"},
    "click": {"sst_cloud.cli"},
    "matplotlib": {"sst_cloud.display.plot"},
    "pandas": {"sst_cloud.display.dataframes"},
    "platformdirs": {"sst_cloud.cli", "sst_cloud.cloud.token_file"},
    "polars": {"sst_cloud.display.dataframes"},
    "prometheus_client": {"sst_cloud.collector.metrics"},
    "pytest": {"sst_cloud.testing.sink_contract", "sst_cloud.testing.source_contract"},
    "rich": {"sst_cloud.cli", "sst_cloud.display.terminal", "sst_cloud_sinks.stdout"},
    "sqlite3": {
        "sst_cloud.collector.stored_readings",
        "sst_cloud.outbox",
        "sst_cloud_sinks.sqlite",
    },
    "tzlocal": {"sst_cloud.cli"},
    "yarl": {
        "sst_cloud.notify.webhook",
        "sst_cloud.cloud.transport",
        "sst_cloud_sinks.influxdb.history",
        "sst_cloud_sinks.influxdb.http",
        "sst_cloud_sinks.influxdb.url",
    },
}
"""Package → the modules and packages that may import it."""
FOR_SINKS: Final = frozenset(
    {
        "sst_cloud.errors",
        "sst_cloud.atomic_files",
        "sst_cloud.extras",
        "sst_cloud.http_bodies",
        "sst_cloud.http_errors",
        "sst_cloud.readings",
        "sst_cloud.sent_secrets",
        "sst_cloud.sink",
        "sst_cloud.wording",
    }
)
"""What sinks may import from the library, the same for built-in and third-party sinks."""

pytestmark = pytest.mark.source


def module_of(file: Path) -> str:
    parts = [*file.relative_to(ROOT).with_suffix("").parts]
    names = parts[parts[0] == "sinks" :]
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def imports(file: Path) -> Iterator[str]:
    """The modules that a file imports, with their whole names; `from a import b` is `a`."""
    module = module_of(file).split(".")
    package = module if file.stem == "__init__" else module[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            yield ".".join([*base, *filter(None, [node.module])])


def within(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def test_import_rules_match_existing_modules() -> None:
    modules = {module_of(file) for file in FILES}
    assert {"sst_cloud", "sst_cloud.cli.app", "sst_cloud_sinks.sqlite.sink"} <= modules
    assert "sst_cloud.redaction" in imports(ROOT / "sst_cloud" / "http_errors.py")
    for allowed in (*ALLOWED.values(), FOR_SINKS):
        assert [name for name in allowed if not within(name, modules)] == []


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_third_party_packages_are_imported_only_where_allowed(file: Path) -> None:
    free = (sys.stdlib_module_names - ALLOWED.keys()) | ANYWHERE | {"sst_cloud", "sst_cloud_sinks"}
    module = module_of(file)
    roots = {name.partition(".")[0] for name in imports(file)} - free
    assert [root for root in roots if not within(module, ALLOWED.get(root, set()))] == []


@pytest.mark.parametrize(
    "file", [file for file in FILES if module_of(file).startswith("sst_cloud_sinks")], ids=module_of
)
def test_sinks_import_only_allowed_modules(file: Path) -> None:
    imported = {name for name in imports(file) if within(name, {"sst_cloud"})}
    assert imported <= FOR_SINKS
