"""Nodes, racks and zones that are dead or cut off."""

from __future__ import annotations

from fleet import Node
from play import Play, Site


def _play(site: Site, kind: str, root: dict[str, object], what: str) -> Play:
    return Play(kind, "node-unreachable", root, what, site.rng)


def node_death(site: Site) -> Play:
    """A machine dies and is power cycled minutes later."""
    node, rng, at = site.node(), site.rng, site.at
    play = _play(site, "node-death", node.entity, f"{node.name} died")
    back = at + rng.uniform(180, 1200)
    play.dies(node, at, back)
    play.overload(node.replicas, at, back)
    return play


def node_cut(site: Site) -> Play:
    """A cable or a port: the machine runs on and tells it all later; it may be cut off several times."""
    node, rng, at = site.node(), site.rng, site.at
    play = _play(site, "node-cut", node.entity, f"{node.name} was cut off")
    for _ in range(rng.choice((1, 1, 2, 3))):
        back = at + rng.uniform(40, 400)
        play.cut(node, at, back)
        at = back + rng.uniform(15, 100)
    return play


def rack_power(site: Site) -> Play:
    """A rack's power is gone: all its nodes die at once and boot one by one."""
    rack, rng, at = site.node().rack, site.rng, site.at
    play = _play(site, "rack-power", {"kind": "rack", "name": rack.name}, f"power of rack {rack.name}")
    back = at + rng.uniform(240, 1200)
    for node in rack.nodes:
        play.dies(node, at + rng.uniform(0, 0.4), back + rng.uniform(60, 300))
    play.overload([replica for node in rack.nodes for replica in node.replicas], at, back)
    return play


def rack_switch(site: Site) -> Play:
    """A rack's switch restarts or fails: all its nodes are cut off, and back within a second of each other."""
    rack, rng, at = site.node().rack, site.rng, site.at
    play = _play(site, "rack-switch", {"kind": "rack", "name": rack.name}, f"switch of rack {rack.name}")
    back = at + rng.uniform(60, 900)
    _cut_all(play, rack.nodes, at, back)
    return play


def zone_cut(site: Site) -> Play | None:
    """A zone's uplink is gone: every rack of it."""
    if len(site.fleet.zones) < 2:
        return None
    rng, at, zone = site.rng, site.at, site.rng.choice(site.fleet.zones)
    play = _play(site, "zone-cut", {"kind": "zone", "name": zone}, f"zone {zone} cut off")
    nodes = [node for rack in site.fleet.racks if rack.zone == zone for node in rack.nodes]
    back = at + rng.uniform(60, 500)
    _cut_all(play, nodes, at, back)
    return play


def _cut_all(play: Play, nodes: list[Node], at: float, back: float) -> None:
    for node in nodes:
        play.cut(node, at + play.rng.uniform(0, 0.8), back + play.rng.uniform(0, 2))
    play.overload([replica for node in nodes for replica in node.replicas], at, back)
