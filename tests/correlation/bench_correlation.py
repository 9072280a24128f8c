"""How well incidents agree with what really happened, on made-up streams of which the truth is known.

python3 tests/correlation/bench_correlation.py [--seeds 1001-1020] [--quick] [--detail]
    [--alertmanager 2] [--incidents DIR] [--keep DIR]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import naive
from clustering import macro_f1
from detail import by_kind, table, tell
from generate import Stream, generate
from score import Incident, Verdict, read, score, types

sys.path.insert(0, str(Path(__file__).parent.parent / "peers"))

from figures import Figure, report, rounded, say  # noqa: E402

ROOT = Path(__file__).parent.parent.parent
WANTED: dict[str, tuple[str, float]] = {
    "pairwise_f1_ratio": (">=", 0.97),
    "type_macro_f1_ratio": (">=", 0.97),
    "severity_accuracy_ratio": (">=", 0.95),
    "root_ac_at_1_ratio": (">=", 0.90),
    "root_ac_at_3_ratio": (">=", 0.97),
    "over_merge_ratio": ("<=", 0.01),
}
SHOWN = (
    "pairwise_f1_ratio",
    "adjusted_rand_index",
    "over_merge_ratio",
    "type_macro_f1_ratio",
    "severity_accuracy_ratio",
)
HELD_OUT, QUICK = "1001-1020", "1001-1003"


class NoReplay(Exception):
    """The aggregator cannot be asked; the message says what to do."""


def replay(stream: Stream, out: Path) -> list[Incident]:
    """What our aggregator makes of a stream, and keeps of it in `out`."""
    binary = Path(os.environ.get("GPUWARDEN_BIN", ROOT / "target/release")) / "gpuwarden-aggregator"
    command = [binary, "replay", "--events", stream.events, "--topology", stream.topology]
    try:
        with open(out, "w") as file:
            done = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, text=True, timeout=600)
    except OSError as trouble:
        raise NoReplay(f"{binary} does not start ({trouble}): build it, or set GPUWARDEN_BIN") from trouble
    if done.returncode:
        raise NoReplay(f"{binary.name} replay ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return read(out)


def seeds(text: str) -> list[int]:
    """`A-B`, or one number."""
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def summary(verdicts: Sequence[Verdict]) -> dict[str, Figure]:
    """Mean and median over the streams; type also over all causes of all streams, since some types are rare in one."""
    found: dict[str, Figure] = {}
    rows = [verdict.figures() for verdict in verdicts]
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows if row[name] is not None]
        found[f"{name}_mean"] = rounded(statistics.mean(values)) if values else None
        found[f"{name}_median"] = rounded(statistics.median(values)) if values else None
    judged = [one for verdict in verdicts for one in verdict.judged]
    found["type_macro_f1_ratio_pooled"] = rounded(macro_f1(types(judged))) if judged else None
    told = sum(verdict.told_p1 for verdict in verdicts)
    found["false_p1_ratio_pooled"] = rounded(sum(verdict.false_p1 for verdict in verdicts) / told) if told else 0.0
    return found


def against_wanted(found: dict[str, Figure]) -> None:
    """Each score beside what is wanted of it; means, and for the type over all causes."""
    for name, (sign, wanted) in WANTED.items():
        value = found.get("type_macro_f1_ratio_pooled" if name.startswith("type") else f"{name}_mean")
        kept = value is not None and (value >= wanted if sign == ">=" else value <= wanted)
        shown, word = "n/a" if value is None else value, "kept" if kept else "MISSED"
        print(f"  {name:28} {shown:>7}   wanted {sign} {wanted:<5} {word}")


def compare(streams: Sequence[Stream], folder: Path) -> dict[str, Figure]:
    """Alertmanager on the same streams, a daemon for each way to group, side by side. Takes minutes, so only a few."""
    import alertmanager

    speed = alertmanager.SPEED
    found: dict[str, Figure] = {"alertmanager_speed_times": speed, "alertmanager_streams_count": len(streams)}
    verdicts: dict[str, list[Verdict]] = {title: [] for title in alertmanager.GROUPINGS}
    for stream in streams:
        say(f"Alertmanager with inhibition rules, seed {stream.truth['seed']}, {speed:g} times as fast as it was")
        with ThreadPoolExecutor(len(verdicts)) as pool:
            played = {
                title: pool.submit(alertmanager.incidents, stream, folder / f"alertmanager-{title}", group_by)
                for title, group_by in alertmanager.GROUPINGS.items()
            }
        for title, told in played.items():
            verdicts[title].append(score(stream.truth, told.result()))
    for title, group_by in alertmanager.GROUPINGS.items():
        rows = {name: value for name, value in summary(verdicts[title]).items() if name.endswith("_mean")}
        say(f"Alertmanager grouped by {', '.join(group_by)}:")
        for name in SHOWN:
            print(f"  {name:28} {rows[f'{name}_mean']}")
        found |= {f"alertmanager_by_{title}_{name}": value for name, value in rows.items() if value is not None}
    return found


def run(args: argparse.Namespace, folder: Path) -> dict[str, Figure]:
    """All streams, then the peers on a few."""
    verdicts, baseline, streams, seconds = [], [], [], []
    for seed in seeds(args.seeds or (QUICK if args.quick else HELD_OUT)):
        stream = generate(seed, folder)
        streams.append(stream)
        baseline.append(score(stream.truth, naive.by_node_and_minute(stream.truth)))
        out = folder / f"{seed}.incidents.jsonl"
        begun = time.monotonic()
        told = read(args.incidents / out.name) if args.incidents else replay(stream, out)
        seconds.append(time.monotonic() - begun)
        verdicts.append(score(stream.truth, told))
        row = verdicts[-1].figures()
        findings, causes = len(stream.truth["findings"]), len(stream.truth["causes"])
        shape = f"{stream.truth['fleet']['nodes']} nodes, {findings} findings, {causes} causes"
        scores = f"pairwise F1 {row['pairwise_f1_ratio']:.3f}, over-merge {row['over_merge_ratio']:.3f}"
        say(f"seed {seed}: {shape}, {len(verdicts[-1].incidents)} incidents: {scores}")
        if not (args.keep or len(streams) <= args.alertmanager):
            stream.events.unlink()
    (tell if args.detail else table)(verdicts)
    found = summary(verdicts)
    against_wanted(found)
    simple = {
        f"by_node_and_minute_{name}": value for name, value in summary(baseline).items() if name.endswith("_mean")
    }
    peers = compare(streams[: args.alertmanager], folder) if args.alertmanager else {}
    counts: dict[str, Figure] = {
        "bench": "correlation",
        "seeds": args.seeds or (QUICK if args.quick else HELD_OUT),
        "streams_count": len(streams),
        "causes_count": sum(len(stream.truth["causes"]) for stream in streams),
        "findings_count": sum(len(stream.truth["findings"]) for stream in streams),
        "replay_s_median": rounded(statistics.median(seconds)),
        "unknown_members_count": sum(verdict.unknown for verdict in verdicts),
        "findings_come_again_count": sum(verdict.again for verdict in verdicts),
        "findings_in_no_incident_count": sum(verdict.absent for verdict in verdicts),
    }
    kinds = {f"{kind}:{name}": value for kind, row in by_kind(verdicts).items() for name, value in row.items()}
    return counts | found | simple | peers | (kinds if args.detail else {})


def main() -> int:
    """Prints progress and, last, one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", help=f"A-B; {HELD_OUT} are held out and the default, 1-60 are for development")
    parser.add_argument("--quick", action="store_true", help="three streams, no peers")
    parser.add_argument("--detail", action="store_true", help="what was confused with what")
    parser.add_argument(
        "--alertmanager", type=int, default=None, help="on so many streams; two minutes and a half each"
    )
    parser.add_argument("--incidents", type=Path, help="take SEED.incidents.jsonl from there and replay nothing")
    parser.add_argument("--keep", type=Path, help="keep the files there")
    args = parser.parse_args()
    if args.alertmanager is None:
        args.alertmanager = 0 if args.quick or args.incidents else 2
    try:
        with tempfile.TemporaryDirectory() as name:
            report(run(args, args.keep or Path(name)))
    except NoReplay as trouble:
        print(f"correlation: {trouble}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
