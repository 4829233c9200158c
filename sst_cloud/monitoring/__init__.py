"""Validation of totals, and alarms. Pure functions over a state that survives a restart."""

from sst_cloud._lazy import lazily

__all__, __getattr__, __dir__ = lazily(
    __name__,
    {
        "events": (
            "Event",
            "EventKind",
        ),
        "rules": (
            "ValidationRules",
            "AlarmRules",
        ),
    },
)
