"""Sizes, times and counts as a person reads them, in what commands print and in the messages of events."""

from __future__ import annotations

from datetime import UTC, datetime

_LAST_DATE = 253_402_300_799
"""The last second of the year 9999."""

_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


def human_bytes(count: int) -> str:
    """Return a size for a person: `1.5 MB`, with decimal units as disks and networks use them."""
    if count < 1000:  # noqa: PLR2004 - the step between units
        return f"{count} B"
    for power, unit in enumerate(_UNITS, start=1):
        text = f"{count / 1000**power:.1f}"
        if text != "1000.0" and len(text) <= len("999.9"):
            return f"{text} {unit}"
    return f"{count} B"


def human_duration(seconds: float) -> str:
    """Return a time span for a person: `3 s`, `5 min`, `2.5 h`, `12 d`."""
    for limit, step, unit in ((120, 1, "s"), (7200, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / step:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds / 86400:.0f} d"


def human_date(seconds: int) -> str:
    """Return a moment for a person, in UTC, to the minute."""
    return datetime.fromtimestamp(min(seconds, _LAST_DATE), UTC).strftime("%Y-%m-%d %H:%M UTC")


def counted(count: int, thing: str) -> str:
    """Return a number of things: `1 pair`, `2 pairs`."""
    return f"1 {thing}" if count == 1 else f"{count} {thing}s"
