"""Holds the locked dependencies against deny.toml: licences, sources, duplicate versions, and that each direct one
is explained in the README. Needs no network.

    python3 tests/dependencies.py

Advisories are not looked up here, since their database is not among the registries that a build may reach; where
it can be reached, `cargo deny check` reads the same deny.toml.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
TARGET = "x86_64-unknown-linux-gnu"


def metadata() -> dict[str, Any]:
    """What cargo resolves for the machines that we run on."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET]
    return json.loads(subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, check=True).stdout)


def licences(packages: list[dict[str, Any]], allowed: set[str]) -> list[str]:
    """Packages that none of the allowed licences covers."""
    return [
        f"{package['name']} {package['version']}: licence {package['license']} is not allowed in deny.toml"
        for package in packages
        if not covered(package.get("license") or "", allowed)
    ]


def covered(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be met: OR by any, AND by all of its parts."""
    expression = expression.replace("/", " OR ").strip()
    if expression.startswith("(") and expression.endswith(")") and expression.count("(") == 1:
        expression = expression[1:-1]
    parts = split(expression, " AND ")
    if len(parts) > 1:
        return all(covered(part, allowed) for part in parts)
    return any(part.strip(" ()") in allowed for part in split(expression, " OR "))


def split(expression: str, word: str) -> list[str]:
    """Splits at a word outside of parentheses."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(expression):
        depth += (char == "(") - (char == ")")
        if depth == 0 and expression.startswith(word, at):
            parts.append(expression[start:at])
            start = at + len(word)
    return [*parts, expression[start:]]


def duplicates(packages: list[dict[str, Any]], skipped: list[tuple[str, str]]) -> list[str]:
    """Packages of which more than one version is locked, but for those that deny.toml explains."""
    versions = defaultdict(list)
    for package in packages:
        name, version = package["name"], package["version"]
        if not any(name == known and f"{version}.".startswith(f"{prefix}.") for known, prefix in skipped):
            versions[name].append(version)
    return [f"{name}: versions {found} are locked" for name, found in versions.items() if len(found) > 1]


def skips(bans: dict[str, Any]) -> list[tuple[str, str]]:
    """Names, and the versions beginning in which way, that deny.toml lets stand beside a newer one."""
    specs = [skip["crate"].partition(":^") for skip in bans.get("skip", [])]
    return [(name, prefix) for name, _, prefix in specs]


def used(resolved: dict[str, Any]) -> set[str]:
    """Ids of the packages that are built here, not merely locked for other platforms."""
    nodes = {node["id"]: node["dependencies"] for node in resolved["resolve"]["nodes"]}
    reached, waiting = set(), list(resolved["workspace_members"])
    while waiting:
        package = waiting.pop()
        if package not in reached:
            reached.add(package)
            waiting += nodes[package]
    return reached


def unexplained(readme: str) -> list[str]:
    """Direct dependencies that the README does not explain."""
    manifest = tomllib.loads((CHECKOUT / "Cargo.toml").read_text())
    table = readme[readme.index("## Dependencies") :]
    names = [name for name in manifest["workspace"]["dependencies"] if not name.startswith("gpuwarden")]
    return [f"{name}: stands in Cargo.toml and not in the README's table" for name in names if name not in table]


def main() -> int:
    """All offenders at once."""
    deny = tomllib.loads((CHECKOUT / "deny.toml").read_text())
    resolved = metadata()
    ids = used(resolved)
    packages = [one for one in resolved["packages"] if one["id"] in ids]
    foreign = [one for one in packages if one["source"] and not one["source"].startswith("registry+")]
    ours = set(resolved["workspace_members"])
    offenders = licences([one for one in packages if one["id"] not in ours], set(deny["licenses"]["allow"]))
    offenders += [f"{one['name']}: comes from {one['source']}" for one in foreign]
    offenders += duplicates(packages, skips(deny["bans"]))
    offenders += unexplained((CHECKOUT / "README.md").read_text())
    for offender in offenders:
        print(f"FAIL  {offender}")
    print(f"{len(packages)} packages looked at, {len(offenders)} offenders")
    return 1 if offenders else 0


if __name__ == "__main__":
    sys.exit(main())
