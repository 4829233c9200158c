"""Where events and reports go: commands, web addresses, mailboxes."""

from sst_cloud._lazy import lazy_exports

__all__, __getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "base": ("Handler",),
        "factory": ("handler_from",),
        "mail": ("Message",),
        "receivers": (
            "Receiver",
            "receiver_from",
            "report_message",
        ),
    },
)
