"""Write `__init__.pyi` of every package that imports its public names on first use.

`python tools/stubs.py` does so; `make stubs` for short.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[1] / "sst_cloud"


def stubs() -> Iterator[tuple[Path, str]]:
    """Every stub file, and its content."""
    for file in sorted(PACKAGE.rglob("__init__.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy_exports":
                public = ast.literal_eval(node.args[1])
                lines = [
                    f"from .{module} import {name} as {name}\n"
                    for module in sorted(public)
                    for name in sorted(public[module])
                ]
                yield file.with_suffix(".pyi"), "".join(lines)


if __name__ == "__main__":
    for stub, text in stubs():
        stub.write_text(text, encoding="utf-8")
