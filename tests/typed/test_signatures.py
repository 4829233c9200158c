"""The public API changes only on purpose."""

from importlib import import_module

import pytest

from public_signatures import EXPORTING, LISTING, signatures

pytestmark = pytest.mark.source


def test_signature_listing_is_up_to_date() -> None:
    """For an intended change: run `make signatures`, and add a line to the changelog."""
    assert signatures() == LISTING.read_text("utf-8")


def test_every_export_is_listed() -> None:
    listed = {line.split()[0].rstrip(":") for line in LISTING.read_text("utf-8").splitlines()}
    exported = {
        f"{package}.{name}" for package in EXPORTING for name in dir(import_module(package))
    }
    assert exported - listed == set()
    assert {"sst_cloud_sinks.sqlite.SqliteSink.write", "sst_cloud.sink.SinkType.from_url"} <= listed
