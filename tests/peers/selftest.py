"""Tries everything here that needs none of our own binaries, against the real peers, in about a minute.

    python3 tests/peers/selftest.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random

from gpuwarden import Line, toml
from healthy import deploy
from install import Cache, NotInstalled
from load import Load, Target, infer_target
from process import Meter, exit_on_signals, usage
from prometheus import ONE_SECOND, STOCK, Alert, Monitoring, NodeExporter
from triton import Triton, TritonError, bad, fast, flaky, slow, slow_qlimit, stuck

SHARED_MEMORY = Path("/dev/shm")


class Bench:
    """The peers under test."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        models = [fast("echo"), slow("tens"), flaky("coin"), bad("broken"), stuck("door"), slow_qlimit("short")]
        self.triton: Triton = stack.enter_context(Triton(folder / "main", models))
        self.empty: Triton = stack.enter_context(Triton(folder / "empty"))
        self.load: Load = stack.enter_context(Load())
        tritons = [self.triton, self.empty]
        self.monitoring: Monitoring = stack.enter_context(Monitoring(folder / "monitoring", tritons, ONE_SECOND))
        self.node_exporter: NodeExporter = stack.enter_context(NodeExporter(folder / "node"))

    def target(self, model: str, binary: bool = False) -> Target:
        """Requests for one model."""
        return infer_target(self.triton.http_port, model, binary=binary)

    def alert(self, name: str, since: float) -> Alert:
        """Waits for a firing alert of this name."""
        wanted = lambda alert: alert.name == name and alert.firing  # noqa: E731
        found = self.monitoring.alerts.wait_for(wanted, timeout_s=10, since=since)
        assert found, f"no {name} within 10 s"
        return found


def the_models_answer(bench: Bench) -> str:
    assert bench.triton.infer("echo", (1.0, 2.5)) == [1.0, 2.5]
    assert all(map(bench.triton.model_ready, bench.triton.initial()))
    return f"{len(bench.triton.initial())} models, {usage(bench.triton.pid).pss_bytes >> 20} MiB"


def a_bad_model_does_not_load_until_it_is_mended(bench: Bench) -> str:
    try:
        bench.triton.load("broken")
    except TritonError as error:
        assert error.status == 400, error
    else:
        raise AssertionError("it loaded")
    assert bench.triton.index()["broken"]["state"] == "UNAVAILABLE"
    bench.triton.repository.mend("broken")
    bench.triton.load("broken")
    return bench.triton.index()["broken"]["state"]


def a_deploy_brings_the_model_back(bench: Bench) -> str:
    done = deploy(bench.triton, "broken", Random(1))
    assert bench.triton.model_ready("broken")
    pause, whole = done.load_at - done.unload_at, done.loaded_at - done.unload_at
    return f"load called after {pause:.2f} s, served after {whole:.2f} s"


def a_load_can_carry_a_config(bench: Bench) -> str:
    model = slow("tens", instances=2)
    bench.triton.load("tens", model.config())
    config = bench.triton.request("GET", "/v2/models/tens/config")
    assert config["instance_group"][0]["count"] == 2, config
    bench.triton.load("tens", slow("tens").config())
    return "two instances, and back"


def poisson_arrivals_keep_their_rate(bench: Bench) -> str:
    flow = bench.load.poisson(bench.target("echo", binary=True), rate=40)
    time.sleep(4)
    flow.stop()
    assert flow.wait(2) and flow.outcomes.ok == flow.outcomes.sent, flow.outcomes
    assert 100 < flow.outcomes.sent < 230, flow.outcomes
    return f"{flow.outcomes.sent} sent in 4 s for 160 wanted"


def a_burst_drains_at_the_models_pace(bench: Bench) -> str:
    flow = bench.load.burst(bench.target("tens"), 15)
    assert flow.wait(5) and flow.outcomes.ok == 15, flow.outcomes
    assert 1.4 < flow.outcomes.longest_s < 2.5, flow.outcomes
    return f"15 requests in {flow.outcomes.longest_s:.2f} s"


def a_short_queue_refuses(bench: Bench) -> str:
    flow = bench.load.burst(bench.target("short"), 40)
    assert flow.wait(10) and flow.outcomes.failed[503] > 20, flow.outcomes
    return f"{flow.outcomes.failed[503]} of 40 answered 503"


def a_flaky_model_fails_from_the_instant_it_is_told(bench: Bench) -> str:
    flow = bench.load.poisson(bench.target("coin"), rate=20)
    time.sleep(2.5)
    before, at = flow.outcomes.failed.total(), time.time()
    bench.triton.repository.fail("coin", 0.5)
    alert = bench.alert("ErrorRate", at)
    flow.stop()
    bench.triton.repository.fail("coin", 0.01)
    assert before <= 4 and bench.triton.metric("nv_inference_request_failure", "coin") > before
    return f"alert after {alert.at - at:.2f} s"


def a_queue_backs_up_and_the_alert_comes(bench: Bench) -> str:
    flow = bench.load.hold(bench.target("tens"), 40)
    time.sleep(0.2)
    since = flow.outcomes.first_sent_at
    assert since, "nothing was sent"
    assert bench.triton.metric("nv_inference_pending_request_count", "tens") > 10
    alert = bench.alert("QueueBackup", since)
    flow.stop()
    assert flow.wait(10) and not flow.outcomes.broken, flow.outcomes
    return f"alert after {alert.at - since:.2f} s"


def a_stuck_model_finishes_nothing_until_it_is_let_go(bench: Bench) -> str:
    bench.triton.repository.block("door")
    flow = bench.load.burst(bench.target("door"), 3)
    assert not flow.wait(1.5) and flow.outcomes.in_flight == 3, flow.outcomes
    bench.triton.repository.unblock("door")
    assert flow.wait(3) and flow.outcomes.ok == 3, flow.outcomes
    return f"3 requests held {flow.outcomes.longest_s:.2f} s"


def an_unloaded_model_is_missed(bench: Bench) -> str:
    at = time.time()
    bench.triton.unload("echo")
    assert not bench.triton.model_ready("echo")
    alert = bench.alert("ModelUnavailable", at)
    assert alert.labels["model"] == "echo", alert
    bench.triton.load("echo")
    return f"alert after {alert.at - at:.2f} s"


def a_killed_server_is_missed_and_comes_back(bench: Bench) -> str:
    at = time.time()
    bench.empty.kill()
    assert not bench.empty.answers("/v2/health/live")
    alert = bench.alert("TritonDown", at)
    bench.empty.restart()
    return f"alert after {alert.at - at:.2f} s"


def a_restart_keeps_the_ports_and_loses_the_counters(bench: Bench) -> str:
    begun = time.monotonic()
    bench.triton.restart()
    assert bench.triton.metric("nv_inference_request_success", "tens") == 0
    assert bench.triton.infer("tens") == [1.0]
    assert not bench.triton.model_ready("broken")
    return f"ready again after {time.monotonic() - begun:.1f} s"


def prometheus_sees_both_servers(bench: Bench) -> str:
    rows = bench.monitoring.prometheus.query('up{job="triton"}')
    assert [row["value"][1] for row in rows] == ["1", "1"], rows
    return "up"


def what_a_process_costs_is_read(bench: Bench) -> str:
    meter = Meter(bench.monitoring.prometheus.pid)
    time.sleep(2)
    cost = usage(bench.monitoring.prometheus.pid)
    assert cost.rss_bytes > 10 << 20 and cost.cpu_s > 0, cost
    exporter = usage(bench.node_exporter.pid).rss_bytes >> 20
    return f"prometheus {meter.cpu_percent():.1f} %, {cost.rss_bytes >> 20} MiB; node_exporter {exporter} MiB"


def the_stock_waits_add_up(_: Bench) -> str:
    assert (STOCK.fastest_s(), STOCK.middle_s(), STOCK.slowest_s()) == (90, 105, 120)
    return "90 / 105 / 120 s"


def configs_and_lines_of_ours_are_understood(_: Bench) -> str:
    import tomllib

    config = {"profile": "fast", "node": {"id": "a"}, "triton": [{"name": "x"}, {"name": "y"}], "n": {"enabled": True}}
    assert tomllib.loads(toml(config)) == config
    member = {"rule": "queue-backup", "subject": {"model": {"name": "tens", "server": "main"}}, "node": "a"}
    line = Line(0.0, "opened", {"id": 1, "state": "open", "members": [member]})
    assert line.concerns("tens", "main", rules=frozenset({"queue-backup"})) and not line.concerns("echo")
    return "toml, members"


CHECKS: tuple[Callable[[Bench], str], ...] = (
    configs_and_lines_of_ours_are_understood,
    the_stock_waits_add_up,
    the_models_answer,
    poisson_arrivals_keep_their_rate,
    a_burst_drains_at_the_models_pace,
    a_short_queue_refuses,
    prometheus_sees_both_servers,
    a_flaky_model_fails_from_the_instant_it_is_told,
    a_queue_backs_up_and_the_alert_comes,
    a_stuck_model_finishes_nothing_until_it_is_let_go,
    an_unloaded_model_is_missed,
    a_bad_model_does_not_load_until_it_is_mended,
    a_deploy_brings_the_model_back,
    a_load_can_carry_a_config,
    a_killed_server_is_missed_and_comes_back,
    a_restart_keeps_the_ports_and_loses_the_counters,
    what_a_process_costs_is_read,
)


def passes(check: Callable[[Bench], str], bench: Bench) -> bool:
    """Runs one check and prints its line."""
    title = check.__name__.replace("_", " ")
    try:
        print(f"ok    {title}: {check(bench)}", flush=True)
    except Exception as trouble:  # a check that fails in an unforeseen way has failed; the others still count
        print(f"FAIL  {title}: {type(trouble).__name__}: {trouble}", flush=True)
        return False
    return True


def main() -> int:
    """Starts the peers, runs the checks, and looks at what was left behind."""
    exit_on_signals()
    before = set(SHARED_MEMORY.iterdir())
    begun = time.monotonic()
    try:
        Cache.default().need_nvml_bindings()
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            bench = Bench(stack, Path(folder))
            results = [passes(check, bench) for check in CHECKS]
    except NotInstalled as trouble:
        print(f"selftest: {trouble}", file=sys.stderr)
        return 2
    left = set(SHARED_MEMORY.iterdir()) - before
    print(f"{'FAIL' if left else 'ok'}    nothing is left in shared memory: {len(left)} segments", flush=True)
    results.append(not left)
    print(f"{time.monotonic() - begun:.0f} s")
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
