"""Write tests/typed/signatures.txt: every public name, what it takes and what it gives.

Run it as `make signatures` when the public API is meant to change. A test compares, so that it
changes only then, and whoever looks at the change sees how.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import griffe

ROOT: Final = Path(__file__).parents[2]
LISTING: Final = Path(__file__).with_suffix(".txt")
EXPORTING: Final = ("sst_cloud", "sst_cloud.collector", "sst_cloud.testing")
"""Packages all of whose exports are public."""
_DOCUMENTED: Final = re.compile(r"^::: (\S+)", re.MULTILINE)
_KINDS: Final = ("async", "classmethod", "staticmethod")
_FOR_PEOPLE: Final = frozenset({"__repr__", "__str__", "__dir__"})

Thing = griffe.Object | griffe.Alias


def signatures() -> str:
    """The listing: a line for each name."""
    things = _public()
    homes = {thing.canonical_path for thing in things.values()}
    lines = [line for name, thing in things.items() for line in _lines(name, thing, homes)]
    return "".join(f"{line}\n" for line in sorted(lines))


def _public() -> dict[str, Thing]:
    """What packages export, what modules of sinks define, and what else the reference describes."""
    loader = griffe.GriffeLoader(search_paths=[ROOT, ROOT / "sinks"])
    loader.load("sst_cloud")
    sinks = loader.load("sst_cloud_sinks")
    loader.resolve_aliases()
    loaded = loader.modules_collection
    found: dict[str, Thing] = {}
    for package in EXPORTING:
        exports = loaded[package].exports or ()
        found |= {f"{package}.{name}": loaded[f"{package}.{name}"] for name in exports}
    for name in _DOCUMENTED.findall((ROOT / "docs" / "reference.md").read_text("utf-8")):
        found |= _within(name, loaded[name])
    for name, module in sinks.modules.items():
        if not name.startswith("_"):
            found |= _within(module.path, module)
    known: dict[str, str] = {}
    for name, thing in found.items():
        known.setdefault(thing.canonical_path, name)
    return {name: found[name] for name in known.values()}


def _within(name: str, thing: Thing) -> dict[str, Thing]:
    """The thing itself, or of a module or package what it defines or exports."""
    if not thing.is_module or name in EXPORTING:
        return {} if thing.is_module else {name: thing}
    exports = set(map(str, thing.exports or ()))
    return {
        f"{name}.{member}": each
        for member, each in thing.members.items()
        if member in exports or not (member.startswith("_") or each.is_alias or each.is_module)
    }


def _lines(name: str, thing: Thing, homes: set[str]) -> Iterator[str]:
    if isinstance(thing, griffe.Alias):
        thing = thing.final_target
    if isinstance(thing, griffe.Function):
        kinds = [kind for kind in _KINDS if kind in thing.labels]
        yield " ".join([name, *kinds, thing.signature().removeprefix(thing.name)])
    elif isinstance(thing, griffe.Attribute):
        kind = " property" if "property" in thing.labels else ""
        annotation = f": {thing.annotation}" if thing.annotation else ""
        told = thing.value is not None and "instance-attribute" not in thing.labels
        yield f"{name}{kind}{annotation}{_one_line(f' = {thing.value}') if told else ''}"
    elif isinstance(thing, griffe.Class):
        made = "".join(f" @{_one_line(each.value)}" for each in thing.decorators)
        yield f"{name} class({', '.join(map(str, thing.bases))}){made}"
        for member, each in thing.all_members.items():
            if _is_told(member, each) and (not each.inherited or _home(each) not in homes):
                yield from _lines(f"{name}.{member}", each, homes)


def _is_told(member: str, thing: Thing) -> bool:
    if member.startswith("__"):
        return thing.is_function and member not in _FOR_PEOPLE
    return not member.startswith("_")


def _home(member: Thing) -> str:
    """The class that a member was inherited from."""
    return member.canonical_path.rpartition(".")[0]


def _one_line(text: object) -> str:
    return re.sub(r"\s+", " ", str(text))


if __name__ == "__main__":
    LISTING.write_text(signatures(), encoding="utf-8")
