"""The example notebooks run, and their committed output is reproducible."""

import re
from pathlib import Path

import nbformat
import pytest

import run_notebooks

pytestmark = [pytest.mark.slow, pytest.mark.source]

each = pytest.mark.parametrize("file", run_notebooks.ALL, ids=lambda file: file.stem)


@each
async def test_committed_notebook_output_is_reproducible(file: Path) -> None:
    """If this fails: run `make notebooks`, and review the changes."""
    committed = nbformat.read(file, as_version=4)
    again = await run_notebooks.execute(file)
    assert list(run_notebooks.texts(again)) == list(run_notebooks.texts(committed))


@each
def test_committed_notebook_has_no_traces_of_the_machine(file: Path) -> None:
    committed = nbformat.read(file, as_version=4)
    nbformat.validate(committed)
    assert committed.metadata == run_notebooks.METADATA
    assert all(cell.metadata == {} for cell in committed.cells)
    code = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = list(run_notebooks.texts(committed))
    for _, kind, text in outputs:
        assert kind not in ("stderr", "error")
        assert not re.search(r"/(home|tmp|root|usr|Users)/|127\.0\.0\.1|localhost|@", text), text
    assert any(kind == "text/html" for _, kind, _ in outputs)


def test_year_notebook_has_its_pictures_and_the_leak() -> None:
    file = run_notebooks.FOLDER / "a_year_of_water.ipynb"
    notebook = nbformat.read(file, as_version=4)
    drawn = run_notebooks.pictures(notebook)
    assert list(drawn) == ["months", "days", "day", "week", "leak"]
    assert (run_notebooks.DOCS / "leak.png").read_bytes() == drawn["leak"]
    texts = list(run_notebooks.texts(notebook))
    (leak,) = (text for cell, kind, text in texts if (cell, kind) == ("nights", "text/plain"))
    assert "0 Bath cold 2025-08-10 2025-08-30 21" in leak
    assert leak.count("Bath cold") == 1
    assert file.stat().st_size < 500_000
