"""What a bench prints: readable progress, and last one JSON object of figures with units in their names."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence

Figure = float | int | str | None
_BEGUN = time.monotonic()


def say(text: str) -> None:
    """One line of progress, with the seconds since the start."""
    print(f"{time.monotonic() - _BEGUN:6.1f} s  {text}", flush=True)


def spread(prefix: str, seconds: Sequence[float]) -> dict[str, Figure]:
    """Least, median, 90th percentile and most of some durations; all null when there are none."""
    ordered = sorted(seconds)
    return {
        f"{prefix}_count": len(ordered),
        f"{prefix}_s_min": rounded(ordered[0]) if ordered else None,
        f"{prefix}_s_median": rounded(statistics.median(ordered)) if ordered else None,
        f"{prefix}_s_p90": rounded(percentile(ordered, 0.9)) if ordered else None,
        f"{prefix}_s_max": rounded(ordered[-1]) if ordered else None,
    }


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank: a value that was really seen."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def rounded(value: float) -> float:
    """Three places are more than any of this is worth."""
    return round(value, 3)


def report(figures: Mapping[str, Figure]) -> None:
    """The last line."""
    print(json.dumps(figures), flush=True)
