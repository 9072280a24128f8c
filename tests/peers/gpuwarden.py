"""Our own binaries, run as their users run them: the aggregator, an agent, and a client that watches incidents.

Config keys and the shape of the watch's lines stand here and nowhere else in this folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from install import CHECKOUT, NotInstalled
from process import Process, free_ports, listening
from record import Record
from triton import Triton

START_TIMEOUT_S = 15.0
COMMAND_TIMEOUT_S = 15.0
# In these states all members of an incident have cleared.
SETTLED = frozenset({"quiet", "resolved"})


def aggregator_config(grpc_port: int, http_port: int, folder: Path) -> dict[str, Any]:
    """What goes into aggregator.toml."""
    return {
        "grpc": {"listen": f"127.0.0.1:{grpc_port}"},
        "http": {"listen": f"127.0.0.1:{http_port}"},
        "store": {"dir": str(folder / "store")},
    }


def agent_config(agent: Agent) -> dict[str, Any]:
    """What goes into agent.toml."""
    nvml = {"enabled": agent.nvml is not None} | ({"library": str(agent.nvml.library)} if agent.nvml else {})
    return {
        "profile": agent.profile,
        "node": {"id": agent.node},
        "aggregator": {"endpoint": f"http://127.0.0.1:{agent.aggregator_port}"},
        "nvml": nvml,
        # The kernel log of the machine under the bench is not part of the bench.
        "kmsg": {"enabled": False},
        "state": {"dir": str(agent.folder / "state")},
        "status": {"listen": f"127.0.0.1:{agent.status_port}"},
        "triton": [
            {"name": triton.name, "http": triton.http_url, "metrics": triton.metrics_url} for triton in agent.tritons
        ],
    }


def binary(name: str) -> Path:
    """One of our binaries, from $GPUWARDEN_BIN or the release build of this checkout."""
    folder = Path(os.environ.get("GPUWARDEN_BIN", CHECKOUT / "target" / "release"))
    found = folder / name
    if not found.exists():
        raise NotInstalled(f"{found} is missing; run: cargo build --release, or set GPUWARDEN_BIN")
    return found


@dataclass(frozen=True)
class Nvml:
    """The library that an agent takes for NVML, and the environment that the library reads."""

    library: Path
    env: dict[str, str]


class Daemon:
    """One of our long-running binaries: writes its config, starts it, waits for its port."""

    binary = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / f"{self.binary}.log"
        self._process: Process | None = None

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The daemon's pid."""
        assert self._process is not None, f"{self.binary} was not started"
        return self._process.pid

    def start(self) -> None:
        """Starts it, on the same ports and state as before if it ran before."""
        config = self.folder / f"{self.binary}.toml"
        config.write_text(toml(self.config()))
        command = [str(binary(self.binary)), "run", "--config", str(config)]
        self._process = Process(self.binary, command, self.log, self.env())
        self._process.wait_until(lambda: listening(self.port()), START_TIMEOUT_S)

    def kill(self) -> None:
        """SIGKILL, children too."""
        if self._process:
            self._process.kill()

    def stop(self) -> None:
        """An orderly end."""
        if self._process:
            self._process.stop()

    def config(self) -> dict[str, Any]:
        """Its configuration."""
        raise NotImplementedError

    def port(self) -> int:
        """The port that shows that it is up."""
        raise NotImplementedError

    def env(self) -> dict[str, str]:
        """What it finds in its environment beside ours."""
        return {}


class Aggregator(Daemon):
    """The centre, with its store in `folder`."""

    binary = "gpuwarden-aggregator"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.grpc_port, self.http_port = free_ports(2)

    def config(self) -> dict[str, Any]:
        """See `aggregator_config`."""
        return aggregator_config(self.grpc_port, self.http_port, self.folder)

    def port(self) -> int:
        """Where agents and clients connect."""
        return self.grpc_port

    def ask(self, *words: str) -> Any:
        """Runs the command line against this aggregator and gives its JSON: `ask("incidents", "list")`."""
        command = [str(binary("gpuwarden")), *words, "--output", "json", "--aggregator", self.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=True)
        return json.loads(done.stdout) if done.stdout.strip() else None

    @property
    def url(self) -> str:
        """What clients are given."""
        return f"http://127.0.0.1:{self.grpc_port}"


class Agent(Daemon):
    """The agent of one node, watching these Tritons."""

    binary = "gpuwarden-agent"

    def __init__(
        self,
        folder: Path,
        aggregator: Aggregator,
        tritons: Sequence[Triton],
        profile: str = "default",
        nvml: Nvml | None = None,
        node: str = "peer-node",
    ) -> None:
        super().__init__(folder)
        self.aggregator_port = aggregator.grpc_port
        self.tritons = tritons
        self.profile = profile
        self.nvml = nvml
        self.node = node
        (self.status_port,) = free_ports(1)

    def config(self) -> dict[str, Any]:
        """See `agent_config`."""
        return agent_config(self)

    def port(self) -> int:
        """Metrics and health."""
        return self.status_port

    def env(self) -> dict[str, str]:
        """What the stand-in library reads."""
        return self.nvml.env if self.nvml else {}


@dataclass(frozen=True)
class Line:
    """One line of the watch. `at` is the wall time at which the watching client had it."""

    at: float
    change: str
    incident: dict[str, Any]

    @property
    def id(self) -> int:
        """The incident."""
        return self.incident["id"]

    @property
    def opened(self) -> bool:
        """Whether this line tells of a new incident."""
        return self.change == "opened"

    @property
    def settled(self) -> bool:
        """Whether the incident is over as far as its subjects go."""
        return self.change == "resolved" or self.incident.get("state") in SETTLED

    def concerns(self, *names: str, rules: frozenset[str] = frozenset()) -> bool:
        """Whether a member, found by one of these rules (any, if none is given), has a subject with all these names."""
        members = self.incident.get("members", [])
        return any(
            (not rules or member["rule"] in rules) and set(names) <= set(_leaves(member["subject"]))
            for member in members
        )


def _leaves(value: Any) -> Iterator[str]:
    """Every value inside a subject, whatever its keys."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield str(value)


class Watch:
    """`gpuwarden incidents watch`, read line by line."""

    # What else it is given.
    words: Sequence[str] = ()

    def __init__(self, folder: Path, aggregator: Aggregator) -> None:
        self.lines: Record[Line] = Record()
        self._log = folder / "watch.log"
        self._url = aggregator.url
        self._process: Process | None = None

    def __enter__(self) -> Watch:
        words = ["incidents", "watch", *self.words, "--output", "json", "--aggregator", self._url]
        self._process = Process("gpuwarden watch", [binary("gpuwarden"), *words], self._log, piped=True)
        threading.Thread(target=self._read, args=(self._process,), name="watch", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.stop()

    def since(self, at: float = 0.0) -> list[Line]:
        """The lines received at this wall time or later."""
        return self.lines.since(at)

    def wait_for(self, wanted: Callable[[Line], bool], timeout_s: float, since: float = 0.0) -> Line | None:
        """The first matching line, waiting for it; None when the time is up."""
        return self.lines.wait_for(wanted, timeout_s, since)

    def opened_since(self, at: float) -> list[Line]:
        """The incidents opened at this wall time or later."""
        return [line for line in self.since(at) if line.opened]

    def open_now(self) -> list[Line]:
        """The latest line of every incident that is not settled."""
        latest = {line.id: line for line in self.since()}
        return [line for line in latest.values() if not line.settled]

    def free(self, *names: str) -> bool:
        """Whether no open incident concerns this subject."""
        return not any(line.concerns(*names) for line in self.open_now())

    def alive(self) -> bool:
        """Whether the client still watches."""
        return self._process is not None and self._process.alive()

    def _read(self, process: Process) -> None:
        for text in process.lines():
            at = time.time()
            change = json.loads(text)
            self.lines.add(Line(at, change["change"], change["incident"]))


class Gpuwarden:
    """All of it on one machine: aggregator, agent, and a client that watches."""

    def __init__(
        self,
        folder: Path,
        tritons: Sequence[Triton],
        profile: str = "default",
        nvml: Nvml | None = None,
    ) -> None:
        self.aggregator = Aggregator(folder / "aggregator")
        self.agent = Agent(folder / "agent", self.aggregator, tritons, profile, nvml)
        self.watch = Watch(folder, self.aggregator)
        self._stack = ExitStack()

    def __enter__(self) -> Gpuwarden:
        with ExitStack() as stack:
            for part in (self.aggregator, self.watch, self.agent):
                stack.enter_context(part)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def deploys_recorded(self) -> int | None:
        """How many deploys the agent saw and reported as changes; None when that cannot be asked."""
        try:
            changes = self.aggregator.ask("change", "list")
        except (subprocess.SubprocessError, json.JSONDecodeError):
            return None
        return sum(change["kind"] == "model-deployed" for change in changes["changes"])


def toml(config: dict[str, Any]) -> str:
    """Writes tables, arrays of tables and plain values: as much TOML as our configs need."""
    plain = {key: value for key, value in config.items() if not isinstance(value, dict) and not _is_tables(value)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    for key, value in config.items():
        if isinstance(value, dict):
            lines += ["", f"[{key}]", toml(value).rstrip()]
        elif _is_tables(value):
            for table in value:
                lines += ["", f"[[{key}]]", toml(table).rstrip()]
    return "\n".join(lines) + "\n"


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
