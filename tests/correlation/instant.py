"""Simulated time: seconds since the start of a stream, and how they are written."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

START = datetime(2026, 3, 2, 6, 0, tzinfo=timezone.utc)


def written(at_s: float) -> str:
    """RFC 3339 in UTC with milliseconds, as the product writes it."""
    instant = START + timedelta(milliseconds=round(at_s * 1000))
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03}Z"


def read_ms(text: str) -> int:
    """Milliseconds since the start, of any RFC 3339 text."""
    instant = datetime.fromisoformat(text)
    return round((instant - START) / timedelta(milliseconds=1))
