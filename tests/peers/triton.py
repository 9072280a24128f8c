"""A real Triton Inference Server on loopback, its model repository, and the faults one can give it.

    with Triton(folder, [fast("echo"), slow("tens"), flaky("coin")]) as triton:
        triton.infer("echo")
        triton.repository.fail("coin", 0.5)     # from this instant half of its executions raise
        triton.kill()
        triton.restart()
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from install import Cache
from process import Process, ProcessDied, free_ports

SOURCES = Path(__file__).parent / "models"
SHARED_MEMORY = Path("/dev/shm")
START_TIMEOUT_S = 120.0


class TritonError(Exception):
    """Triton answered with an error; `status` is the HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text}")
        self.status = status


@dataclass(frozen=True)
class Model:
    """A model of the python backend; `kind` names its source in models/. Not every one is `loaded` at the start."""

    name: str
    kind: str
    parameters: dict[str, str] = field(default_factory=dict)
    max_batch_size: int = 1
    dynamic_batching: dict[str, Any] | None = None
    instances: int = 1
    loaded: bool = True

    def config(self) -> dict[str, Any]:
        """Its whole configuration, as Triton's load call takes it."""
        tensor = {"data_type": "TYPE_FP32", "dims": [-1]}
        config: dict[str, Any] = {
            "name": self.name,
            "backend": "python",
            "max_batch_size": self.max_batch_size,
            "input": [{"name": "INPUT", **tensor}],
            "output": [{"name": "OUTPUT", **tensor}],
            "instance_group": [{"kind": "KIND_CPU", "count": self.instances}],
            "parameters": {key: {"string_value": value} for key, value in self.parameters.items()},
        }
        if self.dynamic_batching is not None:
            config["dynamic_batching"] = self.dynamic_batching
        return config


def fast(name: str) -> Model:
    """Gives back what it was given."""
    return Model(name, "fast")


def slow(name: str, sleep_ms: float = 100, max_batch_size: int = 1, instances: int = 1) -> Model:
    """Sleeps for every execution: 100 ms and no batches make a capacity of just 10 requests a second."""
    return Model(name, "slow", {"sleep_ms": str(sleep_ms)}, max_batch_size, dynamic_batching={}, instances=instances)


def slow_qlimit(name: str, sleep_ms: float = 100, queue_size: int = 16, timeout_ms: int = 300) -> Model:
    """A slow model that refuses what would wait: HTTP 503 by length (counted nowhere) or by time (REJECTED)."""
    policy = {"max_queue_size": queue_size, "default_timeout_microseconds": timeout_ms * 1000}
    return replace(slow(name, sleep_ms), dynamic_batching={"default_queue_policy": policy})


def flaky(name: str) -> Model:
    """Raises at random, 1 % of the time unless `Repository.fail` says otherwise."""
    return Model(name, "flaky")


def bad(name: str, loaded: bool = False) -> Model:
    """Fails to load until `Repository.mend`, and again after `Repository.spoil`; sound at first if it is `loaded`."""
    return Model(name, "bad", loaded=loaded)


def stuck(name: str) -> Model:
    """Stops answering between `Repository.block` and `Repository.unblock`."""
    return Model(name, "stuck")


def page(count: int) -> list[Model]:
    """Many models, for the cost of reading a long metrics page."""
    return [fast(f"page_{number:02}") for number in range(count)]


class Repository:
    """A model repository on disk and the control files that its models look at."""

    def __init__(self, folder: Path) -> None:
        folder = folder.resolve()
        self.models = folder / "models"
        self._control = folder / "control"
        self.models.mkdir(parents=True, exist_ok=True)
        self._control.mkdir(exist_ok=True)

    def add(self, model: Model) -> None:
        """Writes a model, healthy unless it is a `bad` one that is not to be loaded."""
        version = self.models / model.name / "1"
        version.mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCES / f"{model.kind}.py", version / "model.py")
        shutil.copy(SOURCES / "echo.py", version)
        control = {"control": str(self._control / model.name)}
        placed = replace(model, parameters=control | model.parameters)
        (version.parent / "config.pbtxt").write_text(_text_format(placed.config()))
        if model.kind == "flaky":
            self.fail(model.name, 0.01)
        if model.kind == "bad" and not model.loaded:
            self.spoil(model.name)

    def fail(self, flaky_model: str, probability: float) -> None:
        """From this instant the model raises this often."""
        self._write(flaky_model, f"{probability}")

    def spoil(self, bad_model: str) -> None:
        """The model's next load fails."""
        self._write(bad_model, "bad")

    def mend(self, bad_model: str) -> None:
        """The model's next load succeeds."""
        (self._control / bad_model).unlink(missing_ok=True)

    def block(self, stuck_model: str) -> None:
        """From this instant the model finishes nothing."""
        self._write(stuck_model, "stuck")

    def unblock(self, stuck_model: str) -> None:
        """The model goes on."""
        (self._control / stuck_model).unlink(missing_ok=True)

    def _write(self, model: str, text: str) -> None:
        """In one rename: a model never reads half a file."""
        fresh = self._control / f".{model}"
        fresh.write_text(text)
        fresh.rename(self._control / model)


class Triton:
    """One server on free ports of 127.0.0.1, with its repository and log in `folder`, whose name is its own."""

    def __init__(self, folder: Path, models: list[Model] | None = None, cache: Cache | None = None) -> None:
        self._cache = cache or Cache.default()
        self._cache.need_triton()
        self.name = folder.name
        self.repository = Repository(folder)
        self.models = models or []
        for model in self.models:
            self.repository.add(model)
        self.http_port, self.metrics_port = free_ports(2)
        self.log = folder / "triton.log"
        self._segments = f"gpuwarden_{os.getpid()}_{self.http_port}_"
        self._process: Process | None = None

    def __enter__(self) -> Triton:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def http_url(self) -> str:
        """Where inference and control are answered."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def metrics_url(self) -> str:
        """The metrics page."""
        return f"http://127.0.0.1:{self.metrics_port}/metrics"

    @property
    def pid(self) -> int:
        """The server's pid."""
        return self._running().pid

    def start(self) -> None:
        """Starts the server and waits until all its models are ready."""
        self._launch()
        try:
            self.wait_ready()
        except ProcessDied:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL to the server and its stubs: the crash."""
        if self._process:
            self._process.kill()
        self._sweep()

    def restart(self) -> None:
        """Starts again on the same ports; counters begin at 0, loaded are the models that were at the first start."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """An orderly end."""
        if self._process:
            self._process.stop(timeout_s=10)
        self._sweep()

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Waits until the server lives and every model of the start is ready."""
        self._running().wait_until(self.ready, timeout_s)

    def ready(self) -> bool:
        """Whether the server lives and serves every model of the start; a bad model beside them does not matter."""
        return self.answers("/v2/health/live") and all(map(self.model_ready, self.initial()))

    def initial(self) -> list[str]:
        """The models that are loaded at the start."""
        return [model.name for model in self.models if model.loaded]

    def load(self, model: str, config: dict[str, Any] | None = None, timeout_s: float = 60.0) -> None:
        """Loads a model and returns when it serves; raises `TritonError` when it does not load."""
        parameters = {"config": json.dumps(config)} if config else {}
        self.request("POST", f"/v2/repository/models/{model}/load", {"parameters": parameters}, timeout_s)

    def unload(self, model: str) -> None:
        """Unloads a model; Triton answers at once and keeps its metrics rows for about 1.5 s."""
        self.request("POST", f"/v2/repository/models/{model}/unload", {})

    def index(self) -> dict[str, dict[str, str]]:
        """State and reason of every model that Triton knows."""
        return {row["name"]: row for row in self.request("POST", "/v2/repository/index", {})}

    def serving(self) -> list[str]:
        """The models that are loaded now."""
        return [name for name, row in self.index().items() if row.get("state") == "READY"]

    def model_ready(self, model: str) -> bool:
        """Whether the model says that it serves."""
        return self.answers(f"/v2/models/{model}/ready")

    def infer(self, model: str, values: tuple[float, ...] = (1.0,), timeout_s: float = 30.0) -> list[float]:
        """One inference."""
        tensor = {"name": "INPUT", "datatype": "FP32", "shape": [1, len(values)], "data": list(values)}
        answer = self.request("POST", f"/v2/models/{model}/infer", {"inputs": [tensor]}, timeout_s)
        return answer["outputs"][0]["data"]

    def metrics(self) -> str:
        """The metrics page as it is now."""
        connection = HTTPConnection("127.0.0.1", self.metrics_port, timeout=5)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def metric(self, name: str, model: str) -> float:
        """Sum of a family's rows for one model; 0 when there is none."""
        rows = (line for line in self.metrics().splitlines() if line.startswith(f"{name}{{"))
        return sum(float(row.rpartition(" ")[2]) for row in rows if f'model="{model}"' in row)

    def answers(self, path: str) -> bool:
        """Whether a GET is answered with 200."""
        try:
            self.request("GET", path, timeout_s=5)
        except (OSError, HTTPException, TritonError):
            return False
        return True

    def request(self, method: str, path: str, body: object = None, timeout_s: float = 10.0) -> Any:
        """One call of the HTTP API; raises `TritonError` for any status but 200."""
        connection = HTTPConnection("127.0.0.1", self.http_port, timeout=timeout_s)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        finally:
            connection.close()
        if response.status != 200:
            raise TritonError(response.status, text)
        return json.loads(text) if text else None

    def _launch(self) -> None:
        home = self._cache.triton_home
        command = [
            str(self._cache.tritonserver),
            f"--model-repository={self.repository.models}",
            f"--backend-directory={home / 'backends'}",
            f"--backend-config=python,shm-region-prefix-name={self._segments}",
            "--model-control-mode=explicit",
            "--exit-timeout-secs=3",
            "--allow-grpc=false",
            "--http-address=127.0.0.1",
            f"--http-port={self.http_port}",
            "--metrics-address=127.0.0.1",
            f"--metrics-port={self.metrics_port}",
            *(f"--load-model={name}" for name in self.initial()),
        ]
        # The stub's embedded interpreter finds numpy by the python that is first on PATH.
        path = f"{self._cache.venv / 'bin'}:{os.environ['PATH']}"
        self._process = Process(f"triton {self.name}", command, self.log, {"PATH": path})

    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError(f"triton {self.name} was not started")
        return self._process

    def _sweep(self) -> None:
        """A killed server leaves its shared memory behind."""
        for segment in SHARED_MEMORY.glob(f"{self._segments}*"):
            segment.unlink(missing_ok=True)


def _text_format(config: dict[str, Any]) -> str:
    """A model configuration in protobuf's text format."""
    lines = []
    for key, value in config.items():
        lines.extend(_parameters(value) if key == "parameters" else _entries(key, value))
    return "\n".join(lines) + "\n"


def _parameters(parameters: dict[str, dict[str, str]]) -> list[str]:
    """Text format writes a map as repeated entries of key and value."""
    quoted = ((key, value["string_value"]) for key, value in parameters.items())
    return [f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}' for key, value in quoted]


def _entries(key: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        inner = " ".join(line for name, item in value.items() for line in _entries(name, item))
        return [f"{key} {{ {inner} }}"]
    if isinstance(value, list):
        return [line for item in value for line in _entries(key, item)]
    return [f"{key}: {_scalar(value)}"]


def _scalar(value: str | int) -> str:
    is_word = isinstance(value, str) and not value.startswith(("TYPE_", "KIND_"))
    return json.dumps(value) if is_word else str(value)
