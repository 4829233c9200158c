"""The durable queue of readings and events, and delivery from it."""

from sst_cloud._lazy import lazy_exports

__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "dead_letters": (
            "DeadLetter",
            "DeadLetters",
            "ReplayResult",
            "replay",
        ),
        "entries": (
            "Limits",
            "Start",
        ),
        "state_folder": (
            "known_houses",
            "read_status",
        ),
        "status": (
            "DeliveryState",
            "SinkStatus",
            "SourceStatus",
            "Status",
            "Stream",
        ),
    },
)
