"""Child processes: each in a group of its own, with a log file, never outliving us; and what they cost, from /proc."""

from __future__ import annotations

import atexit
import os
import random
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Below the range that the kernel gives to outgoing connections, so that a port stays free across a restart.
PORTS = range(18_000, 30_000)


class ProcessDied(Exception):
    """A child ended before it was ready, or did not become ready in time; the message ends with its log's tail."""


class Process:
    """A child process in its own process group. Started at once; killed, with all its children, when we exit.

    Its output goes to the log; with `piped` the log has stderr only and `lines` gives stdout.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        env: dict[str, str] | None = None,
        piped: bool = False,
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as output:
            self._child = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else output,
                stderr=output,
                env=os.environ | (env or {}),
                start_new_session=True,
            )
        _LIVING.add(self)

    @property
    def pid(self) -> int:
        """The pid, which is the process group's id too."""
        return self._child.pid

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._child.poll() is None

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Waits until `ready` holds; raises `ProcessDied` if the process ends first or the time is up."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.alive():
                raise ProcessDied(f"{self.name} ended with {self._child.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ProcessDied(f"{self.name} was not ready within {timeout_s:g} s:\n{self.log_tail()}")
            time.sleep(0.05)

    def lines(self) -> Iterator[str]:
        """The lines of a piped stdout as they come, until it is closed."""
        assert self._child.stdout is not None, f"{self.name} is not piped"
        return (line.decode(errors="replace") for line in self._child.stdout)

    def kill(self) -> None:
        """SIGKILL to the whole group; returns when the leader is gone."""
        self._signal(signal.SIGKILL)
        self._child.wait()
        _LIVING.discard(self)

    def stop(self, timeout_s: float = 5.0) -> None:
        """SIGTERM, and SIGKILL to the group when that was not enough or left children behind."""
        self._signal(signal.SIGTERM)
        try:
            self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def log_tail(self, characters: int = 2000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-characters:]

    def usage(self) -> Usage:
        """What the process and its descendants have cost so far."""
        return usage(self.pid)

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass


_LIVING: weakref.WeakSet[Process] = weakref.WeakSet()


@atexit.register
def _kill_the_living() -> None:
    for process in list(_LIVING):
        process.kill()


def exit_on_signals() -> None:
    """Makes SIGTERM end us like an exception would, so that the children are killed on the way out."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


@dataclass(frozen=True)
class Usage:
    """What a process tree has used: CPU time since its start, memory now. PSS shares what several processes map."""

    cpu_s: float
    rss_bytes: int
    pss_bytes: int


def usage(pid: int) -> Usage:
    """What the tree under `pid` has cost so far."""
    pids = tree(pid)
    return Usage(sum(map(cpu_seconds, pids)), sum(map(rss_bytes, pids)), sum(map(pss_bytes, pids)))


def tree(pid: int) -> list[int]:
    """`pid` and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for known in found:
        found.extend(children.get(known, ()))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of one process, all its threads, without its children; 0 when it is gone."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND if fields else 0.0


def rss_bytes(pid: int) -> int:
    """Resident memory of one process; 0 when it is gone."""
    fields = _stat(pid)
    return int(fields[21]) * PAGE_BYTES if fields else 0


def pss_bytes(pid: int) -> int:
    """Resident memory of one process with shared pages split among their users; 0 when it cannot be read."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the command's name, which may itself hold spaces and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


class Meter:
    """The cost of a process tree over a stretch of time."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._begun = time.monotonic()
        self._before = usage(pid)

    def cpu_percent(self) -> float:
        """Share of one core since the meter was made, in per cent."""
        spent = usage(self._pid).cpu_s - self._before.cpu_s
        return 100.0 * spent / (time.monotonic() - self._begun)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 on which nothing listens."""
    found: list[int] = []
    while len(found) < count:
        port = random.choice(PORTS)
        if port not in found and _is_free(port):
            found.append(port)
    return found


def listening(port: int) -> bool:
    """Whether something accepts connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
