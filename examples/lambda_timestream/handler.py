"""An AWS Lambda that stores meter readings. All the work is done by the library."""

import os
from typing import Any

from sst_cloud.jsonlog import log_json_lines
from sst_cloud.scheduled import Answer, ScheduledPoll
from sst_cloud_sinks.aws import secret

RESERVE = 1.0
"""Seconds reserved for reporting a poll that timed out."""

log_json_lines(os.environ.get("LOG_LEVEL", "INFO"))
poll = ScheduledPoll.from_environment(os.environ, secret)


def handler(_event: object, context: Any) -> list[Answer]:
    """Poll once. Failures raise: the schedule retries, and an alarm is sent if that fails, too."""
    return poll(limit=context.get_remaining_time_in_millis() / 1000 - RESERVE)
