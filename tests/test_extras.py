"""What is said about packages that are missing."""

import sys

import pytest

from sst_cloud import SSTCloudError
from sst_cloud.extras import require

MISSING = ("no_such_package", "nor_this_one")


def test_installed_packages_are_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "moto", raising=False)
    require("a test", "moto", "attrs", extra="test")
    assert "moto" not in sys.modules


@pytest.mark.parametrize(
    ("extra", "command"),
    [("plot", "pip install 'sst-cloud[plot]'"), ("", "pip install no-such-package nor-this-one")],
)
def test_missing_packages_are_named(extra: str, command: str) -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        require("a test", MISSING[0], "attrs", MISSING[1], extra=extra)
    assert str(caught.value) == f"a test needs no-such-package and nor-this-one: {command}"


def test_caller_chooses_the_error() -> None:
    with pytest.raises(SSTCloudError, match="a test needs no-such-package"):
        require("a test", *MISSING, error=SSTCloudError)
