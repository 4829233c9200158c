"""Times and numbers in words."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from sst_cloud.wording import age_in_words, ago, count, duration_in_words, format_minute

NOW = datetime(2026, 11, 23, 17, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_199, "119 min"),
        (7_200, "2 h"),
        (172_799, "47 h"),
        (172_800, "2 days"),
        (400 * 86_400, "400 days"),
    ],
)
def test_durations_are_in_their_largest_unit_of_at_least_two(seconds: int, words: str) -> None:
    assert duration_in_words(timedelta(seconds=seconds)) == words
    assert ago(NOW - timedelta(seconds=seconds), NOW) == f"{words} ago"
    assert age_in_words(NOW - timedelta(seconds=seconds), NOW) == words


def test_moments_that_are_ahead_or_missing() -> None:
    ahead = NOW + timedelta(minutes=5)
    assert ago(ahead, NOW) == age_in_words(ahead, NOW) == "5 min ahead"
    assert ago(None, NOW) == age_in_words(None, NOW) == "never"


def test_minutes_are_in_utc() -> None:
    moscow = NOW.astimezone(timezone(timedelta(hours=3)))
    assert format_minute(moscow) == "2026-11-23 17:20Z"
    assert format_minute(None) == ""


def test_numbers_are_counted_in_singular_and_plural() -> None:
    assert [count(number, "reading") for number in (0, 1, 1234)] == [
        "0 readings",
        "1 reading",
        "1,234 readings",
    ]
