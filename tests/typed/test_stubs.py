"""Type checkers read the public names from stubs, which are generated from the tables."""

import pytest

from stubs import stubs

pytestmark = pytest.mark.source


def test_stubs_are_up_to_date() -> None:
    """If the change is meant: `make stubs`."""
    generated = dict(stubs())
    assert {stub: stub.read_text("utf-8") for stub in generated} == generated
    assert len(generated) >= 5
