"""A made-up fleet: zones, racks, nodes, GPUs, Triton servers, models with replicas, services with tenants."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

Subject = dict[str, Any]
GPU_NAMES = ("NVIDIA H100 80GB HBM3", "NVIDIA H200", "NVIDIA A100-SXM4-80GB", "NVIDIA L40S")
GIB = 1 << 30
NOUNS = (
    "rank embed search speech caption fraud price route vision draft chat score label match intent tag detect summary "
    "translate moderate forecast segment cluster rerank answer audio video depth pose face plate menu basket"
).split()
SERVICES = (
    "storefront checkout feed inbox maps support billing ads studio reader wallet travel grocery games health news "
    "music jobs homes dating learn legal claims trading weather sports fleet tickets forum gallery"
).split()
TENANTS = ("shop", "media", "bank", "labs", "mobility")
DRIVER = "570.172.08"


@dataclass(eq=False)
class Gpu:
    """A GPU of a node."""

    node: Node
    index: int
    uuid: str
    name: str
    replicas: list[Replica] = field(default_factory=list)

    @property
    def subject(self) -> Subject:
        """As a finding names it."""
        return {"kind": "gpu", "uuid": self.uuid, "index": self.index}

    @property
    def entity(self) -> dict[str, Any]:
        """As a root."""
        return {"kind": "gpu", "node": self.node.name, "name": self.uuid}

    @property
    def pci_bus_id(self) -> str:
        """A made-up one."""
        return f"00000000:{0x1B + 0x10 * self.index:02X}:00.0"


@dataclass(eq=False)
class Server:
    """A Triton server of a node, over some of its GPUs."""

    node: Node
    name: str
    pid: int
    gpus: list[Gpu]
    replicas: list[Replica] = field(default_factory=list)

    @property
    def subject(self) -> Subject:
        """As a finding names it."""
        return {"kind": "server", "server": self.name}

    @property
    def source(self) -> Subject:
        """The source that reads it."""
        return {"kind": "source", "source": f"triton/{self.name}"}

    @property
    def entity(self) -> dict[str, Any]:
        """As a root."""
        return {"kind": "server", "node": self.node.name, "name": self.name}


@dataclass(eq=False)
class Node:
    """A machine. What a stream does not say of it, `in_topology` and `has_labels` tell."""

    name: str
    rack: Rack
    in_topology: bool
    has_labels: bool
    skew_s: float
    gpus: list[Gpu] = field(default_factory=list)
    servers: list[Server] = field(default_factory=list)

    @property
    def replicas(self) -> list[Replica]:
        """Everything that is served here."""
        return [replica for server in self.servers for replica in server.replicas]

    @property
    def entity(self) -> dict[str, Any]:
        """As a root."""
        return {"kind": "node", "name": self.name}


@dataclass(eq=False)
class Rack:
    """Nodes that share power, a switch and air."""

    name: str
    zone: str
    nodes: list[Node] = field(default_factory=list)


@dataclass(eq=False)
class Model:
    """A model of the fleet and where it runs."""

    name: str
    version: int
    language: bool
    usual_ms: float
    replicas: list[Replica] = field(default_factory=list)
    service: Service | None = None


@dataclass(eq=False)
class Replica:
    """A model on one server of one node. `placed` says whether snapshots tell its GPUs."""

    model: Model
    server: Server
    gpus: list[Gpu]
    placed: bool
    requests_per_s: float

    @property
    def node(self) -> Node:
        """Where it runs."""
        return self.server.node

    def subject(self, version: int | None = None) -> Subject:
        """As a finding names it."""
        version = self.model.version if version is None else version
        return {"kind": "model", "server": self.server.name, "model": self.model.name, "version": str(version)}

    @property
    def entity(self) -> dict[str, Any]:
        """As a root: the model on this node, not over the fleet."""
        return {"kind": "model", "node": self.node.name, "name": self.model.name}


@dataclass(eq=False)
class Service:
    """What users call: it works as long as all its models do."""

    name: str
    tenant: str
    models: list[Model]
    depends_on: list[Service]
    critical: bool

    def dependents(self, services: list[Service]) -> list[Service]:
        """Who calls it directly."""
        return [other for other in services if self in other.depends_on]


@dataclass
class Fleet:
    """All of it."""

    racks: list[Rack]
    models: list[Model]
    services: list[Service]

    @property
    def nodes(self) -> list[Node]:
        """All machines."""
        return [node for rack in self.racks for node in rack.nodes]

    @property
    def zones(self) -> list[str]:
        """Names, in order."""
        return sorted({rack.zone for rack in self.racks})

    def topology(self) -> str:
        """The topology file, TOML. Nodes that are not written down yet are left out."""
        lines = ['cluster = "c1"', ""]
        for zone in self.zones:
            lines += ["[[zone]]", f'name = "{zone}"', ""]
        for rack in self.racks:
            nodes = [node.name for node in rack.nodes if node.in_topology]
            lines += ["[[rack]]", f'name = "{rack.name}"', f'zone = "{rack.zone}"', f"nodes = {_list(nodes)}", ""]
        for service in self.services:
            lines += ["[[service]]", f'name = "{service.name}"', f'tenant = "{service.tenant}"']
            lines += [f"models = {_list([model.name for model in service.models])}"]
            lines += [f"depends_on = {_list([other.name for other in service.depends_on])}"]
            lines += [f"critical = {str(service.critical).lower()}", ""]
        return "\n".join(lines)


def _list(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def make(rng: Random) -> Fleet:
    """A fleet of a random size: a fifth are small, a third is large."""
    size = rng.choices(("small", "middle", "large"), (0.2, 0.5, 0.3))[0]
    racks = _racks(rng, size)
    fleet = Fleet(racks, [], [])
    nodes = fleet.nodes
    for node in nodes:
        _furnish(rng, node)
    fleet.models = _models(rng, len(nodes))
    for model in fleet.models:
        _place(rng, model, nodes)
    fleet.services = _services(rng, fleet.models)
    return fleet


def _racks(rng: Random, size: str) -> list[Rack]:
    zones = {"small": 1, "middle": rng.randint(2, 3), "large": rng.randint(3, 4)}[size]
    count = {"small": rng.randint(10, 40), "middle": rng.randint(150, 400), "large": rng.randint(500, 900)}[size]
    racks: list[Rack] = []
    made = 0
    while made < count:
        nth = len(racks)
        rack = Rack(f"{chr(97 + nth % zones)}-r{nth // zones + 1}", chr(97 + nth % zones))
        for _ in range(rng.randint(4, 8) if size == "small" else rng.randint(8, 16)):
            made += 1
            in_topology = rng.random() > 0.04
            labelled = rng.random() > (0.15 if in_topology else 0.2)
            # Most clocks agree to some ten milliseconds; a few do not.
            skew_s = rng.gauss(0, 0.02) if rng.random() > 0.03 else rng.uniform(-2.5, 2.5)
            rack.nodes.append(Node(f"node-{made:03}", rack, in_topology, labelled, skew_s))
        racks.append(rack)
    return racks


def _furnish(rng: Random, node: Node) -> None:
    name = rng.choice(GPU_NAMES)
    for index in range(rng.choice((4, 4, 8))):
        identity = uuid.UUID(int=rng.getrandbits(128), version=4)
        node.gpus.append(Gpu(node, index, f"GPU-{identity}", name))
    half = len(node.gpus) // 2
    shares = [node.gpus] if rng.random() < 0.65 else [node.gpus[:half], node.gpus[half:]]
    for nth, gpus in enumerate(shares):
        title = "triton" if len(shares) == 1 else f"triton-{'ab'[nth]}"
        node.servers.append(Server(node, title, rng.randint(2_000, 60_000), gpus))


def _models(rng: Random, nodes: int) -> list[Model]:
    models = []
    for nth in range(max(6, min(110, nodes // 5))):
        noun = NOUNS[nth % len(NOUNS)]
        name = noun if nth < len(NOUNS) else f"{noun}-{nth // len(NOUNS) + 1}"
        models.append(Model(name, rng.randint(1, 30), rng.random() < 0.2, rng.uniform(4, 120)))
    return models


def _place(rng: Random, model: Model, nodes: list[Node]) -> None:
    """Replicas on distinct nodes, on one GPU or on two."""
    most = min(len(nodes), max(4, min(28, len(nodes) // 6)))
    wanted = rng.choices((1, 2, 3, rng.randint(4, most)), (0.1, 0.2, 0.15, 0.55))[0]
    for node in rng.sample(nodes, min(wanted, len(nodes))):
        server = rng.choice(node.servers)
        free = [gpu for gpu in server.gpus if len(gpu.replicas) < 3]
        if not free:
            continue
        gpus = rng.sample(free, 2) if model.language and len(free) >= 2 and rng.random() < 0.5 else [rng.choice(free)]
        replica = Replica(model, server, gpus, rng.random() < 0.93, rng.uniform(5, 80))
        model.replicas.append(replica)
        server.replicas.append(replica)
        for gpu in gpus:
            gpu.replicas.append(replica)


def _services(rng: Random, models: list[Model]) -> list[Service]:
    """Every model belongs to one service; a service may call those made before it."""
    services: list[Service] = []
    left = [model for model in models if model.replicas]
    rng.shuffle(left)
    while left:
        nth = len(services)
        own, left = left[: (size := rng.choice((1, 1, 2, 2, 3, 4)))], left[size:]
        name = SERVICES[nth % len(SERVICES)] + (f"-{nth // len(SERVICES) + 1}" if nth >= len(SERVICES) else "")
        calls = rng.sample(services, min(len(services), rng.choice((0, 0, 0, 1, 1, 2))))
        service = Service(name, rng.choice(TENANTS), own, calls, rng.random() < 0.2)
        for model in own:
            model.service = service
        services.append(service)
    return services


def siblings(replica: Replica) -> Iterator[Replica]:
    """The other replicas of its model."""
    return (other for other in replica.model.replicas if other is not replica)
