"""Whether an entity that is blamed is the one that is to blame: the same thing, under a few names."""

from __future__ import annotations

import re
from typing import Any

Entity = dict[str, Any]
PID = re.compile(r"\bpid[ :=]*(\d+)|^(\d+)$|[:/](\d+)$")
CHANGE = re.compile(r"^(?:model |deploy )?(?P<what>.+?)(?:[:@ /]| version )v?(?P<version>[\w.]+)$")


def same(blamed: Entity, cause: dict[str, Any], indices: dict[str, tuple[str, int]] | None = None) -> bool:
    """Whether it is the root of this cause or a listed other name. `indices`: each GPU's node and index."""
    return any(_equal(blamed, entity, indices or {}) for entity in (cause["root"], *cause.get("root_also", ())))


def _named(blamed: Entity) -> Entity:
    """Gpuwarden's kinds `version`, `driver`, `replica` and `process` in the words of the truth."""
    kind, name = blamed.get("kind"), str(blamed.get("name", ""))
    match kind:
        case "version":
            return {"kind": "change", "name": name}
        case "driver":
            return {"kind": "change", "name": f"driver:{name}"}
        case "replica":
            return {"kind": "model", "name": name.partition("/")[2].rpartition(":")[0], "node": blamed.get("node")}
        case "process":
            return {**blamed, "name": name.partition("@")[0]}
    return blamed


def _equal(blamed: Entity, entity: Entity, indices: dict[str, tuple[str, int]]) -> bool:
    blamed = _named(blamed)
    if blamed.get("kind") != entity["kind"]:
        return False
    node, name = blamed.get("node") or None, str(blamed.get("name", ""))
    match entity["kind"]:
        case "gpu":
            at, index = indices.get(entity["name"], (entity["node"], None))
            by_index = node == at and index is not None and name in (str(index), f"GPU {index}")
            return name == entity["name"] or blamed.get("uuid") == entity["name"] or by_index
        case "process":
            found = PID.search(name)
            pid = blamed.get("pid") or (found and next(filter(None, found.groups())))
            return node == entity["node"] and str(pid) == str(entity["pid"])
        case "change":
            return _change(name, blamed.get("version")) == _change(entity["name"], None)
        case "model":
            model, version = _versioned(name, blamed)
            return (model, version, node) == (entity["name"], entity.get("version"), entity.get("node"))
        case "node" | "rack" | "zone" | "service":
            return name == entity["name"]
        case _:
            return (node, name) == (entity.get("node"), entity["name"])


def _versioned(name: str, blamed: Entity) -> tuple[str, str | None]:
    """A version beside the name, or in it after a colon."""
    if blamed.get("version"):
        return name, str(blamed["version"])
    model, colon, version = name.partition(":")
    return (model, version.removeprefix("v")) if colon else (name, None)


def _change(name: str, version: object) -> tuple[str, str]:
    if version:
        return name, str(version)
    found = CHANGE.match(name)
    return (found["what"], found["version"]) if found else (name, "")


def rank(roots: list[dict[str, Any]], cause: dict[str, Any], indices: dict[str, tuple[str, int]]) -> int | None:
    """The place of the true root, from 1; `None` where it is not named."""
    return next((nth for nth, one in enumerate(roots, 1) if same(one["entity"], cause, indices)), None)
