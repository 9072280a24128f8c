"""Writes a stream: an event log, a topology file and the truth.

python3 tests/correlation/generate.py --seed 1 --out DIR
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import agent
import fleet
import story
import truth
from network import Network


@dataclass(frozen=True)
class Stream:
    """Where the three files lie, and the truth as read."""

    events: Path
    topology: Path
    truth: dict[str, Any]


def generate(seed: int, folder: Path) -> Stream:
    """The stream of a seed. The same seed gives the same bytes."""
    rng = Random(f"gpuwarden {seed}")
    made = fleet.make(rng)
    plays = story.write(made, rng)
    found = agent.findings(plays, rng)
    network = Network(made, plays, found, rng)
    told = truth.told(made, plays, found, network.missed, seed)
    folder.mkdir(parents=True, exist_ok=True)
    events, topology = folder / f"{seed}.events.jsonl", folder / f"{seed}.topology.toml"
    with open(events, "w") as file:
        file.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in network.events)
    topology.write_text(made.topology())
    (folder / f"{seed}.truth.json").write_text(json.dumps(told, indent=1))
    return Stream(events, topology, told)


def main() -> None:
    """One stream."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    stream = generate(args.seed, args.out)
    causes, findings = len(stream.truth["causes"]), len(stream.truth["findings"])
    print(f"{stream.events}: {stream.events.stat().st_size / 1e6:.1f} MB, {findings} findings of {causes} causes")


if __name__ == "__main__":
    main()
