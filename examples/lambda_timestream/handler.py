"""What the meters show, stored by an AWS Lambda. Everything it does is in the library."""

import os
from typing import Any

from sst_cloud.jsonlog import log_json_lines
from sst_cloud.scheduled import Answer, ScheduledPoll
from sst_cloud_sinks.aws import secret

RESERVE = 1.0
"""Seconds kept for telling about a poll that took too long."""

log_json_lines(os.environ.get("LOG_LEVEL", "INFO"))
poll = ScheduledPoll.from_environment(os.environ, secret)


def handler(_event: object, context: Any) -> list[Answer]:
    """Poll once. What fails raises: the schedule tries again, and then somebody is told."""
    return poll(limit=context.get_remaining_time_in_millis() / 1000 - RESERVE)
