#!/usr/bin/env python3
"""Reads the NVML stand-in with NVIDIA's own Python bindings, PyPI's nvidia-ml-py.

Usage: nvml_ml_py.py PATH_TO_LIBRARY

The bindings load `libnvidia-ml.so.1` by that name, so the script links it under that name into a
directory of its own and runs itself again with that directory in LD_LIBRARY_PATH. It prints a line
for each check and, last, `N passed, M failed`; it exits with 1 if any has failed.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading

GIB = 1 << 30
MIB = 1 << 20
SCENARIO = {
    "driver_version": "580.95.05",
    "cuda_version": 13000,
    # No period ever passes, so a sample comes only of a change.
    "sample_period_ms": 1 << 40,
    "gpus": [
        {
            "model": "h100",
            "memory_used": 20 * GIB,
            "processes": [
                {"pid": 4242, "memory": 12 * GIB, "sm_percent": 61, "memory_percent": 30},
                {"pid": 4343, "memory": None},
            ],
        },
        {"model": "t4", "uuid": "GPU-11111111-2222-3333-4444-555555555555", "pci_bus": 0x3B},
        {
            "model": "h100",
            "mig": [
                {"profile": "3g.40gb", "gpu_instance": 1, "memory_total": 40 * GIB},
                {"profile": "1g.10gb", "gpu_instance": 9, "memory_total": 10 * GIB},
            ],
            "processes": [{"pid": 5151, "memory": 3 * GIB, "mig": 1}],
        },
    ],
    "commands": [
        {"command": "set_utilization", "gpu": 0, "gpu_percent": 73, "memory_percent": 41},
        {"command": "set_temperature", "gpu": 0, "gpu_celsius": 64, "memory_celsius": 71},
    ],
}


class Checks:
    """Counts what is as it should be, and says what is not."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def equal(self, what, seen, expected):
        if seen == expected:
            self.passed += 1
            print(f"ok: {what}")
        else:
            self.failed += 1
            print(f"FAILED: {what}: {seen!r} is not {expected!r}")

    def fails(self, what, code, call):
        """Checks that a call of NVML fails with a code."""
        try:
            self.equal(what, call(), f"error {code}")
        except pynvml.NVMLError as error:
            self.equal(what, error.value, code)


class Control:
    """The client of the control socket: a JSON object a line, each way."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.lines = self.socket.makefile("rw")

    def send(self, command, **arguments):
        self.lines.write(json.dumps({"command": command, **arguments}) + "\n")
        self.lines.flush()
        return json.loads(self.lines.readline())


def check_system(checks):
    checks.equal("driver version", pynvml.nvmlSystemGetDriverVersion(), "580.95.05")
    checks.equal("NVML version", pynvml.nvmlSystemGetNVMLVersion(), "13.580.95.05")
    checks.equal("CUDA version", pynvml.nvmlSystemGetCudaDriverVersion(), 13000)
    checks.equal("device count", pynvml.nvmlDeviceGetCount(), 3)
    checks.equal("text of an error", pynvml.nvmlErrorString(15), "GPU is lost")
    past_the_end = lambda: pynvml.nvmlDeviceGetHandleByIndex(3)
    checks.fails("no fourth GPU", pynvml.NVML_ERROR_INVALID_ARGUMENT, past_the_end)


def check_identity(checks, h100, t4):
    checks.equal("name", pynvml.nvmlDeviceGetName(h100), "NVIDIA H100 80GB HBM3")
    checks.equal("name of another model", pynvml.nvmlDeviceGetName(t4), "Tesla T4")
    uuid = "GPU-11111111-2222-3333-4444-555555555555"
    checks.equal("UUID", pynvml.nvmlDeviceGetUUID(t4), uuid)
    found = pynvml.nvmlDeviceGetHandleByUUID(uuid)
    checks.equal("handle by UUID", pynvml.nvmlDeviceGetIndex(found), 1)
    pci = pynvml.nvmlDeviceGetPciInfo(t4)
    checks.equal("PCI address", pci.busId, "00000000:3B:00.0")
    checks.equal("legacy PCI address", pci.busIdLegacy, "0000:3B:00.0")
    checks.equal("PCI bus and device id", (pci.bus, pci.pciDeviceId), (0x3B, 0x1EB810DE))
    by_address = pynvml.nvmlDeviceGetHandleByPciBusId("0000:3b:00.0")
    checks.equal("handle by PCI address", pynvml.nvmlDeviceGetIndex(by_address), 1)
    capability = pynvml.nvmlDeviceGetCudaComputeCapability(h100)
    checks.equal("compute capability", tuple(capability), (9, 0))
    checks.equal("minor number", pynvml.nvmlDeviceGetMinorNumber(t4), 1)


def check_load(checks, h100):
    memory = pynvml.nvmlDeviceGetMemoryInfo(h100)
    expected = (81559 * MIB, 20 * GIB, 81559 * MIB - 20 * GIB)
    checks.equal("memory", (memory.total, memory.used, memory.free), expected)
    memory = pynvml.nvmlDeviceGetMemoryInfo(h100, version=pynvml.nvmlMemory_v2)
    checks.equal("memory, v2", (memory.used, memory.reserved), (20 * GIB, 551 * MIB))
    wrong = lambda: pynvml.nvmlDeviceGetMemoryInfo(h100, version=0x01000028)
    mismatch = pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH
    checks.fails("memory of a wrong version is refused", mismatch, wrong)
    rates = pynvml.nvmlDeviceGetUtilizationRates(h100)
    checks.equal("utilisation", (rates.gpu, rates.memory), (73, 41))


def check_processes(checks, h100, t4):
    expected = [(4242, 12 * GIB), (4343, None)]
    for call in (
        pynvml.nvmlDeviceGetComputeRunningProcesses,
        pynvml.nvmlDeviceGetComputeRunningProcesses_v2,
        pynvml.nvmlDeviceGetComputeRunningProcesses_v3,
    ):
        seen = [(process.pid, process.usedGpuMemory) for process in call(h100)]
        checks.equal(call.__name__, seen, expected)
    checks.equal("no process", pynvml.nvmlDeviceGetComputeRunningProcesses(t4), [])
    samples = pynvml.nvmlDeviceGetProcessUtilization(h100, 0)
    seen = [(sample.pid, sample.smUtil, sample.memUtil) for sample in samples]
    checks.equal("use of each process", seen, [(4242, 61, 30)])
    later = lambda: pynvml.nvmlDeviceGetProcessUtilization(h100, samples[0].timeStamp)
    checks.fails("no new sample", pynvml.NVML_ERROR_NOT_FOUND, later)
    infos = pynvml.nvmlDeviceGetProcessesUtilizationInfo(h100, 0)
    checks.equal("use, later structure", [(info.pid, info.smUtil) for info in infos], [(4242, 61)])


def check_mig(checks, cut, t4, control):
    checks.equal("MIG mode", list(pynvml.nvmlDeviceGetMigMode(cut)), [1, 1])
    checks.equal("MIG devices there can be", pynvml.nvmlDeviceGetMaxMigDeviceCount(cut), 7)
    first, second = (pynvml.nvmlDeviceGetMigDeviceHandleByIndex(cut, slot) for slot in range(2))
    none = lambda: pynvml.nvmlDeviceGetMigDeviceHandleByIndex(cut, 2)
    checks.fails("no third MIG device", pynvml.NVML_ERROR_NOT_FOUND, none)
    uuids = [pynvml.nvmlDeviceGetUUID(device) for device in (first, second)]
    checks.equal("UUIDs of MIG devices", [uuid[:4] for uuid in uuids], ["MIG-", "MIG-"])
    checks.equal("each its own", len(set(uuids)), 2)
    name = pynvml.nvmlDeviceGetName(second)
    checks.equal("name with the profile", name, "NVIDIA H100 80GB HBM3 MIG 1g.10gb")
    whole = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(second)
    checks.equal("the GPU of a MIG device", pynvml.nvmlDeviceGetIndex(whole), 2)
    ids = (pynvml.nvmlDeviceGetGpuInstanceId(second), pynvml.nvmlDeviceGetComputeInstanceId(second))
    checks.equal("ids of a MIG device", ids, (9, 0))
    memory = [pynvml.nvmlDeviceGetMemoryInfo(device) for device in (first, second)]
    seen = [(each.total, each.used) for each in memory]
    checks.equal("memory of MIG devices", seen, [(40 * GIB, 0), (10 * GIB, 3 * GIB)])
    listed = pynvml.nvmlDeviceGetComputeRunningProcesses(cut)
    seen = [(process.pid, process.gpuInstanceId, process.computeInstanceId) for process in listed]
    checks.equal("a process and its instance", seen, [(5151, 9, 0)])
    use = lambda: pynvml.nvmlDeviceGetUtilizationRates(cut)
    checks.fails("no utilisation under MIG", pynvml.NVML_ERROR_NOT_SUPPORTED, use)
    mode = lambda: pynvml.nvmlDeviceGetMigMode(t4)
    checks.fails("a T4 cannot be cut", pynvml.NVML_ERROR_NOT_SUPPORTED, mode)
    refused = control.send("set_mig", gpu=2, mig=[])
    expected = {"error": "process 5151 runs on a MIG device that would go"}
    checks.equal("what is in use stays", refused, expected)
    control.send("remove_process", gpu=2, pid=5151)
    control.send("set_mig", gpu=2, mig=[])
    checks.equal("whole again", pynvml.nvmlDeviceGetMigMode(cut)[0], 0)


def check_heat_and_power(checks, h100, control):
    sensor = pynvml.NVML_TEMPERATURE_GPU
    checks.equal("temperature", pynvml.nvmlDeviceGetTemperature(h100, sensor), 64)
    checks.equal("temperature, later", pynvml.nvmlDeviceGetTemperatureV(h100, sensor), 64)
    threshold = pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN
    limit = pynvml.nvmlDeviceGetTemperatureThreshold(h100, threshold)
    checks.equal("shutdown temperature", limit, 92)
    control.send("set_power", gpu=0, milliwatts=512000)
    checks.equal("power", pynvml.nvmlDeviceGetPowerUsage(h100), 512000)
    checks.equal("power limit", pynvml.nvmlDeviceGetEnforcedPowerLimit(h100), 700000)
    control.send("set_throttle", gpu=0, reasons=["hw_slowdown", "hw_power_brake"])
    older = pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(h100)
    newer = pynvml.nvmlDeviceGetCurrentClocksEventReasons(h100)
    checks.equal("throttle reasons, both names", (older, newer), (0x88, 0x88))
    control.send("set_clocks", gpu=0, sm_mhz=345)
    clock = pynvml.nvmlDeviceGetClockInfo(h100, pynvml.NVML_CLOCK_SM)
    checks.equal("SM clock", clock, 345)


def check_errors(checks, h100, t4, control):
    checks.equal("ECC mode", list(pynvml.nvmlDeviceGetEccMode(h100)), [1, 1])
    control.send("add_ecc_errors", gpu=0, kind="uncorrected", location="dram", count=2)
    uncorrected, volatile = (
        pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
        pynvml.NVML_VOLATILE_ECC,
    )
    total = pynvml.nvmlDeviceGetTotalEccErrors(h100, uncorrected, volatile)
    checks.equal("ECC errors", total, 2)
    place = pynvml.NVML_MEMORY_LOCATION_DEVICE_MEMORY
    there = pynvml.nvmlDeviceGetMemoryErrorCounter(h100, uncorrected, volatile, place)
    checks.equal("ECC errors of a location", there, 2)
    control.send("set_remapped_rows", gpu=0, uncorrectable=1, pending=True)
    rows = pynvml.nvmlDeviceGetRemappedRows(h100)
    checks.equal("remapped rows", rows, (0, 1, 1, 0))
    rows_of_t4 = lambda: pynvml.nvmlDeviceGetRemappedRows(t4)
    checks.fails("no rows before Ampere", pynvml.NVML_ERROR_NOT_SUPPORTED, rows_of_t4)
    control.send("set_recovery_action", gpu=0, action=1)
    asked = [pynvml.NVML_FI_DEV_REMAPPED_PENDING, pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, 9999]
    fields = pynvml.nvmlDeviceGetFieldValues(h100, asked)
    seen = [(field.nvmlReturn, field.value.uiVal) for field in fields]
    checks.equal("fields", seen, [(0, 1), (0, 1), (pynvml.NVML_ERROR_INVALID_ARGUMENT, 0)])
    control.send("set_pcie", gpu=0, generation=2, width=8, replays=5)
    link = (
        pynvml.nvmlDeviceGetCurrPcieLinkGeneration(h100),
        pynvml.nvmlDeviceGetCurrPcieLinkWidth(h100),
        pynvml.nvmlDeviceGetPcieReplayCounter(h100),
    )
    checks.equal("PCIe link", link, (2, 8, 5))


def check_changes(checks, h100, control):
    control.send("remove_process", gpu=0, pid=4343)
    control.send("add_process", gpu=0, pid=5000, memory=2 * GIB)
    processes = pynvml.nvmlDeviceGetComputeRunningProcesses(h100)
    checks.equal("processes come and go", [p.pid for p in processes], [4242, 5000])
    checks.equal("with their memory", pynvml.nvmlDeviceGetMemoryInfo(h100).used, 22 * GIB)
    rate = (1 << 63) - 1
    control.send("ramp_memory", gpu=0, bytes_per_second=rate, limit=60 * GIB)
    checks.equal("memory ramps", pynvml.nvmlDeviceGetMemoryInfo(h100).used, 60 * GIB)
    refused = control.send("set_memory", gpu=7, used=0)
    checks.equal("a wrong command is refused", refused, {"error": "no GPU 7: there are 3"})
    nonsense = control.send("no_such_command")
    checks.equal("an unknown command is refused", list(nonsense), ["error"])


def check_events(checks, h100, control):
    events = pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(h100, pynvml.nvmlEventTypeXidCriticalError, events)
    idle = lambda: pynvml.nvmlEventSetWait_v2(events, 1)
    checks.fails("no event yet", pynvml.NVML_ERROR_TIMEOUT, idle)
    raising = threading.Thread(target=control.send, args=("xid",), kwargs={"gpu": 0, "code": 79})
    raising.start()
    event = pynvml.nvmlEventSetWait_v2(events, 60000)
    raising.join()
    expected = (pynvml.nvmlEventTypeXidCriticalError, 79)
    checks.equal("an XID arrives", (event.eventType, event.eventData), expected)
    checks.equal("from its GPU", pynvml.nvmlDeviceGetIndex(event.device), 0)
    pynvml.nvmlEventSetFree(events)


def check_faults(checks, h100, t4, control):
    used = lambda: pynvml.nvmlDeviceGetMemoryInfo(h100).used
    control.send("fault", call="nvmlDeviceGetMemoryInfo", gpu=0, error=999)
    checks.fails("a call fails", pynvml.NVML_ERROR_UNKNOWN, used)
    control.send("clear_fault", call="nvmlDeviceGetMemoryInfo")
    checks.equal("and works again", used(), 60 * GIB)
    control.send("lose_gpu", gpu=0)
    checks.fails("a GPU is lost", pynvml.NVML_ERROR_GPU_IS_LOST, used)
    checks.equal("and another is not", pynvml.nvmlDeviceGetName(t4), "Tesla T4")
    control.send("restore_gpu", gpu=0)
    checks.equal("and is back", used(), 60 * GIB)
    check_blocked(checks, control, used)
    control.send("reset")
    checks.equal("a reset is back to the scenario", used(), 20 * GIB)


def check_blocked(checks, control, used):
    control.send("fault", call="nvmlDeviceGetMemoryInfo", block=True)
    seen = []
    blocked = threading.Thread(target=lambda: seen.append(used()))
    blocked.start()
    blocked.join(timeout=0.2)
    checks.equal("a call blocks", (blocked.is_alive(), seen), (True, []))
    control.send("clear_fault")
    blocked.join()
    checks.equal("until it is let go", seen, [60 * GIB])


def run_checks():
    checks = Checks()
    pynvml.nvmlInit()
    control = Control(os.environ["NVML_STANDIN_CONTROL"])
    check_system(checks)
    h100, t4, cut = (pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(3))
    check_identity(checks, h100, t4)
    check_load(checks, h100)
    check_processes(checks, h100, t4)
    check_mig(checks, cut, t4, control)
    check_heat_and_power(checks, h100, control)
    check_errors(checks, h100, t4, control)
    check_changes(checks, h100, control)
    check_events(checks, h100, control)
    check_faults(checks, h100, t4, control)
    pynvml.nvmlShutdown()
    after = pynvml.nvmlDeviceGetCount
    checks.fails("nothing works after shutdown", pynvml.NVML_ERROR_UNINITIALIZED, after)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


def run_with(library):
    """Runs the checks in a process that finds the library under NVIDIA's name."""
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        (directory / "libnvidia-ml.so.1").symlink_to(pathlib.Path(library).resolve())
        scenario = directory / "scenario.json"
        scenario.write_text(json.dumps(SCENARIO))
        environment = {
            **os.environ,
            "LD_LIBRARY_PATH": name,
            "NVML_STANDIN_SCENARIO": str(scenario),
            "NVML_STANDIN_CONTROL": str(directory / "control.sock"),
        }
        command = [sys.executable, __file__, "--inside"]
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--inside":
        import pynvml

        sys.exit(run_checks())
    sys.exit(run_with(sys.argv[1]))
