"""Load on a Triton: Poisson arrivals, bursts, and a fixed number of requests held in flight.

An open loop sends when it is due, whether or not the server keeps up: that is what makes queues. One thread drives all
flows over keep-alive connections with requests that were built beforehand, so that the load costs little beside what
is being measured.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import struct
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

MAX_IN_FLIGHT = 512
ANSWER_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Target:
    """Where to send, and the very bytes."""

    port: int
    request: bytes


def infer_target(port: int, model: str, values: tuple[float, ...] = (1.0,), binary: bool = False) -> Target:
    """An inference on a model that takes one FP32 vector, as JSON or with Triton's binary tensors."""
    body, headers = _binary_body(values) if binary else (_json_body(values), "")
    head = f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return Target(port, head.encode() + body)


@dataclass
class Outcomes:
    """What became of the requests of a flow. Times are wall times."""

    sent: int = 0
    ok: int = 0
    failed: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    shed: int = 0
    first_sent_at: float | None = None
    last_done_at: float | None = None
    longest_s: float = 0.0

    @property
    def in_flight(self) -> int:
        """Sent and not yet answered."""
        return self.sent - self.ok - self.failed.total() - self.broken


class Flow:
    """A stream of requests to one target, until it is stopped or done."""

    def __init__(self, load: Load, target: Target) -> None:
        self.outcomes = Outcomes()
        self._load = load
        self._target = target
        self._stopping = asyncio.Event()
        self._done = threading.Event()
        self._requests: set[asyncio.Task[bool]] = set()

    def stop(self) -> None:
        """Sends nothing more; what is in flight runs to its end."""
        self._load.call(self._stopping.set)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits until the flow has stopped and every request has been answered; False when the time was up first."""
        return self._done.wait(timeout_s)

    async def run(self, pattern: Coroutine[Any, Any, None]) -> None:
        """Drives the pattern and then collects the answers."""
        try:
            await pattern
            await asyncio.gather(*self._requests)
        finally:
            self._done.set()

    async def poisson(self, rate: float, luck: random.Random) -> None:
        """Sends at random, independently of the answers; what came due during a delay is sent late, not dropped."""
        due = time.monotonic()
        while not self._stopping.is_set():
            due += luck.expovariate(rate)
            if not await self._stopped_within(due - time.monotonic()):
                self._send()

    async def burst(self, count: int) -> None:
        """Sends all at once."""
        for _ in range(count):
            self._send()

    async def hold(self, depth: int) -> None:
        """Keeps so many requests in flight."""
        await asyncio.gather(*(self._again_and_again() for _ in range(depth)))

    async def _again_and_again(self) -> None:
        while not self._stopping.is_set():
            if not await self._exchange():
                await self._stopped_within(0.1)

    def _send(self) -> None:
        if len(self._requests) >= MAX_IN_FLIGHT:
            self.outcomes.shed += 1
            return
        request = asyncio.create_task(self._exchange())
        self._requests.add(request)
        request.add_done_callback(self._requests.discard)

    async def _exchange(self) -> bool:
        """One request and its answer, counted; True when it was answered with 200."""
        outcomes, begun = self.outcomes, time.monotonic()
        outcomes.sent += 1
        outcomes.first_sent_at = outcomes.first_sent_at or time.time()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                status = await self._load.exchange(self._target)
        except (OSError, EOFError, TimeoutError, ValueError):
            outcomes.broken += 1
            return False
        finally:
            outcomes.last_done_at = time.time()
            outcomes.longest_s = max(outcomes.longest_s, time.monotonic() - begun)
        if status == 200:
            outcomes.ok += 1
        else:
            outcomes.failed[status] += 1
        return status == 200

    async def _stopped_within(self, seconds: float) -> bool:
        if seconds <= 0:
            return self._stopping.is_set()
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False


class Load:
    """Drives any number of flows from one thread. Seeded: the same calls give the same arrivals."""

    def __init__(self, seed: int = 1) -> None:
        self._luck = random.Random(seed)
        self._idle: dict[int, list[Connection]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="load", daemon=True)
        self._flows: list[Flow] = []

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def poisson(self, target: Target, rate: float) -> Flow:
        """Poisson arrivals, `rate` a second on average."""
        flow, luck = Flow(self, target), random.Random(self._luck.random())
        return self._start(flow, flow.poisson(rate, luck))

    def burst(self, target: Target, count: int) -> Flow:
        """`count` requests at once; the flow is done when all are answered."""
        flow = Flow(self, target)
        return self._start(flow, flow.burst(count))

    def hold(self, target: Target, depth: int) -> Flow:
        """`depth` requests in flight at all times, until stopped."""
        flow = Flow(self, target)
        return self._start(flow, flow.hold(depth))

    def stop(self) -> None:
        """Stops all flows, waits a little for their answers, and ends the thread."""
        for flow in self._flows:
            flow.stop()
        deadline = time.monotonic() + 5
        for flow in self._flows:
            flow.wait(max(0.0, deadline - time.monotonic()))
        self.call(self._hang_up)
        self._thread.join()
        self._loop.close()

    def call(self, function: Any, *arguments: Any) -> None:
        """Runs a function on the load's thread."""
        self._loop.call_soon_threadsafe(function, *arguments)

    async def exchange(self, target: Target) -> int:
        """Sends one request over an idle connection, or a new one, and gives the answer's status."""
        idle = self._idle.setdefault(target.port, [])
        while idle:
            connection = idle.pop()
            try:
                return await self._over(connection, target)
            except (OSError, EOFError):
                continue  # the server closed it, or was restarted, while it lay idle
        return await self._over(await Connection.open(target.port), target)

    async def _over(self, connection: Connection, target: Target) -> int:
        try:
            status = await connection.exchange(target.request)
        except BaseException:
            connection.close()
            raise
        self._idle[target.port].append(connection)
        return status

    def _hang_up(self) -> None:
        for connection in itertools.chain.from_iterable(self._idle.values()):
            connection.close()
        self._loop.call_soon(self._loop.stop)

    def _start(self, flow: Flow, pattern: Coroutine[Any, Any, None]) -> Flow:
        self._flows = [known for known in self._flows if not known.wait(0)]
        self._flows.append(flow)
        asyncio.run_coroutine_threadsafe(flow.run(pattern), self._loop)
        return flow


class Connection:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connects on loopback."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def exchange(self, request: bytes) -> int:
        """Sends a request and reads its whole answer; gives the status."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        await self._reader.readexactly(_content_length(head))
        return int(head[9:12])

    def close(self) -> None:
        """Hangs up."""
        self._writer.close()


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError("an answer without Content-Length")


def _json_body(values: tuple[float, ...]) -> bytes:
    tensor = {"name": "INPUT", "datatype": "FP32", "shape": [1, len(values)], "data": values}
    return json.dumps({"inputs": [tensor]}).encode()


def _binary_body(values: tuple[float, ...]) -> tuple[bytes, str]:
    data = struct.pack(f"<{len(values)}f", *values)
    size = {"binary_data_size": len(data)}
    tensor = {"name": "INPUT", "datatype": "FP32", "shape": [1, len(values)], "parameters": size}
    wanted = {"name": "OUTPUT", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()
    return head + data, f"Inference-Header-Content-Length: {len(head)}\r\n"
