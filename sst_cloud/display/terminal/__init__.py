"""Snapshots, readings, usage and reports for a terminal or a notebook, by means of rich."""

from sst_cloud._lazy import lazy_exports
from sst_cloud.extras import require

require("a table for a terminal", "rich", extra="cli")

__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "report": (
            "ReportTable",
            "report_text",
        ),
        "snapshot": (
            "SnapshotTable",
            "snapshot_tree",
        ),
        "tables": ("readings_table",),
        "usage": ("UsageTable",),
    },
)
