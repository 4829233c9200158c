"""Validation of totals, and alarms. Pure functions over a state that survives a restart."""

from sst_cloud._lazy import lazy_exports

__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "alarms": (
            "AlarmState",
            "detect_alarms",
        ),
        "events": (
            "Event",
            "EventKind",
        ),
        "rules": (
            "AlarmRules",
            "ValidationRules",
        ),
        "validation": (
            "ValidationResult",
            "ValidationState",
            "validate",
        ),
    },
)
