"""Print the oldest packages that the project allows, as pip takes them, for `make test-floors`.

Only those of the program: tests and development always use the newest.
"""

import re
import tomllib
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).parents[1] / "pyproject.toml"
EXTRAS: Final = ("cli", "metrics")
_FLOOR: Final = re.compile(r"([\w-]+)>=([\d.]+)")


def floors() -> list[str]:
    """What a base install with the extras needs, each pinned to its lower bound."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    needed = list(project["dependencies"])
    for extra in EXTRAS:
        needed += project["optional-dependencies"][extra]
    return [_FLOOR.sub(r"\1==\2", requirement) for requirement in needed]


if __name__ == "__main__":
    print("\n".join(floors()))
