"""The durable queue of readings and events, and delivery from it."""

from sst_cloud._lazy import lazily

__all__, __getattr__, __dir__ = lazily(
    __name__,
    {
        "dead_letters": (
            "DeadLetter",
            "DeadLetters",
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
            "Status",
            "Stream",
        ),
    },
)
