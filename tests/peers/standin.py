"""The stand-in for NVIDIA's management library: GPUs that are what a scenario says and change on command.

See tests/nvml-standin/README.md for scenarios and commands.
"""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpuwarden import Nvml, binary

BUILT = "libnvidia_ml.so"
LIBRARY = "libnvidia-ml.so.1"
MODEL = "h100"
MEMORY_BYTES = 80 << 30
PATIENCE_S = 10.0


class StandinError(Exception):
    """A command was refused, or nothing answered: the socket is served by whoever has loaded the library."""


class Standin:
    """A copy of the library with a world of its own in `folder`."""

    def __init__(self, folder: Path, gpus: int = 8, pids: Sequence[int] = ()) -> None:
        """`pids` are spread over the GPUs in turn, each with 1 GiB."""
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        self.uuids = [f"GPU-{number:08x}-0000-4000-8000-000000000000" for number in range(gpus)]
        self._library = folder / LIBRARY
        self._scenario = folder / "scenario.json"
        self._control = folder / "control.sock"
        shutil.copy(binary(BUILT), self._library)
        self._scenario.write_text(json.dumps({"gpus": [self._gpu(number, pids) for number in range(gpus)]}))

    @property
    def nvml(self) -> Nvml:
        """What an agent needs to take this for NVML."""
        env = {"NVML_STANDIN_SCENARIO": str(self._scenario), "NVML_STANDIN_CONTROL": str(self._control)}
        return Nvml(self._library, env)

    def fill(self, gpu: int) -> None:
        """Takes all memory of a GPU."""
        self.command("set_memory", gpu=gpu, used=MEMORY_BYTES)

    def relieve(self, gpu: int) -> None:
        """Gives the memory back."""
        self.command("set_memory", gpu=gpu, used=1 << 30)

    def command(self, name: str, **fields: Any) -> None:
        """Has the world changed; every call of NVML that begins after this returns sees it."""
        line = json.dumps({"command": name, **fields}) + "\n"
        with self._connect() as stream:
            stream.sendall(line.encode())
            reply = json.loads(stream.makefile().readline())
        if "error" in reply:
            raise StandinError(f"{line.strip()}: {reply['error']}")

    def _gpu(self, number: int, pids: Sequence[int]) -> dict[str, Any]:
        own = pids[number :: len(self.uuids)]
        processes = [{"pid": pid, "memory": 1 << 30, "sm_percent": 10} for pid in own]
        return {"model": MODEL, "uuid": self.uuids[number], "memory_total": MEMORY_BYTES, "processes": processes}

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            stream = socket.socket(socket.AF_UNIX)
            stream.settimeout(PATIENCE_S)
            try:
                stream.connect(str(self._control))
                return stream
            except (FileNotFoundError, ConnectionRefusedError):
                stream.close()
            if time.monotonic() > deadline:
                raise StandinError(f"nothing serves {self._control}: no process has loaded {self._library}")
            time.sleep(0.05)
