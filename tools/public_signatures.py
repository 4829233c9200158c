"""Write tests/typed/signatures.txt: every public name, its parameters and its type.

Run it as `make signatures` when the public API is meant to change. A test compares, so that
every change of the API is deliberate, and visible in review.
"""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

import griffe

ROOT: Final = Path(__file__).parents[1]
LISTING: Final = ROOT / "tests" / "typed" / "signatures.txt"
EXPORTING: Final = (
    "sst_cloud",
    "sst_cloud.collector",
    "sst_cloud.display.terminal",
    "sst_cloud.monitoring",
    "sst_cloud.notify",
    "sst_cloud.outbox",
    "sst_cloud.testing",
)
"""Packages all of whose exports are public."""
_DOCUMENTED: Final = re.compile(r"^::: (\S+)", re.MULTILINE)
_KINDS: Final = ("async", "classmethod", "staticmethod")
_DISPLAY_METHODS: Final = frozenset({"__repr__", "__str__", "__dir__"})

Item = griffe.Object | griffe.Alias


def signatures() -> str:
    """The listing: a line for each name."""
    items = _public()
    class_paths = {item.canonical_path for item in items.values()}
    lines = [line for name, item in items.items() for line in _lines(name, item, class_paths)]
    return "".join(f"{line}\n" for line in sorted(lines))


def _public() -> dict[str, Item]:
    """What packages export, what modules of sinks define, and what else the reference lists."""
    loader = griffe.GriffeLoader(search_paths=[ROOT, ROOT / "sinks"])
    loader.load("sst_cloud")
    sinks = loader.load("sst_cloud_sinks")
    loader.resolve_aliases()
    loaded = loader.modules_collection
    items: dict[str, Item] = {}
    for package in EXPORTING:
        items |= {
            f"{package}.{name}": loaded[f"{package}.{name}"] for name in _exports(loaded[package])
        }
    for name in _DOCUMENTED.findall((ROOT / "docs" / "reference.md").read_text("utf-8")):
        items |= _members(name, loaded[name])
    for name, module in sinks.modules.items():
        if not name.startswith("_"):
            items |= _members(module.path, module)
    name_by_path: dict[str, str] = {}
    for name, item in items.items():
        name_by_path.setdefault(item.canonical_path, name)
    return {name: items[name] for name in name_by_path.values()}


def _members(name: str, item: Item) -> dict[str, Item]:
    """The item itself; of a module or package, what it defines or exports."""
    if not item.is_module or name in EXPORTING:
        return {} if item.is_module else {name: item}
    exports = _exports(item)
    return {
        f"{name}.{member}": member_item
        for member, member_item in item.members.items()
        if member in exports
        or not (member.startswith("_") or member_item.is_alias or member_item.is_module)
    }


def _exports(package: Item) -> set[str]:
    """Its `__all__`, which a package that imports on first use makes at run time."""
    return {*getattr(import_module(package.path), "__all__", ())}


def _lines(name: str, item: Item, class_paths: set[str]) -> Iterator[str]:
    if isinstance(item, griffe.Alias):
        item = item.final_target
    if isinstance(item, griffe.Function):
        kinds = [kind for kind in _KINDS if kind in item.labels]
        yield " ".join([name, *kinds, item.signature().removeprefix(item.name)])
    elif isinstance(item, griffe.Attribute) and "TypeVar(" not in str(item.value):
        kind = " property" if "property" in item.labels else ""
        annotation = f": {item.annotation}" if item.annotation else ""
        has_value = item.value is not None and "instance-attribute" not in item.labels
        yield f"{name}{kind}{annotation}{_one_line(f' = {item.value}') if has_value else ''}"
    elif isinstance(item, griffe.Class):
        decorators = "".join(f" @{_one_line(decorator.value)}" for decorator in item.decorators)
        yield f"{name} class({', '.join(map(str, item.bases))}){decorators}"
        for member, member_item in item.all_members.items():
            if _is_public(member, member_item) and (
                not member_item.inherited or _defining_class(member_item) not in class_paths
            ):
                yield from _lines(f"{name}.{member}", member_item, class_paths)


def _is_public(member: str, item: Item) -> bool:
    if member.startswith("__") and member.endswith("__"):
        return item.is_function and member not in _DISPLAY_METHODS
    return not member.startswith("_")


def _defining_class(member: Item) -> str:
    """The class that a member was inherited from."""
    return member.canonical_path.rpartition(".")[0]


def _one_line(text: object) -> str:
    return re.sub(r"\s+", " ", str(text))


if __name__ == "__main__":
    LISTING.write_text(signatures(), encoding="utf-8")
