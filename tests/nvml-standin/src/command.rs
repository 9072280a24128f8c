//! What the control socket understands: one JSON object a line, told apart by `command`.

use serde::{Deserialize, Serialize};

use crate::scenario::MigInstance;

/// One change of the world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Sets the memory in use on a GPU, what is reserved and what processes hold included.
    SetMemory {
        /// The GPU's index.
        gpu: usize,
        /// Bytes in use.
        used: u64,
    },
    /// Moves memory from its present value, by so much a second, until `limit`.
    RampMemory {
        /// The GPU's index.
        gpu: usize,
        /// How fast; negative falls.
        bytes_per_second: i64,
        /// Where it ends: the memory in use on the GPU, or that of the process.
        limit: u64,
        /// The process that takes it; without one, nobody's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
    },
    /// Sets the utilisation of a GPU.
    SetUtilization {
        /// The GPU's index.
        gpu: usize,
        /// Per cent of the time a kernel ran.
        gpu_percent: u32,
        /// Per cent of the time memory was read or written.
        memory_percent: u32,
    },
    /// Starts a process.
    AddProcess(AddProcess),
    /// Changes a process; what is left out stays.
    SetProcess(SetProcess),
    /// Ends a process.
    RemoveProcess {
        /// The GPU's index.
        gpu: usize,
        /// The process.
        pid: u32,
    },
    /// Lets so many processes appear between the call that counts them and the call that lists them.
    ChurnProcesses {
        /// The GPU's index.
        gpu: usize,
        /// How many.
        extra: u32,
    },
    /// Cuts a GPU into MIG devices, and with none makes it whole.
    SetMig {
        /// The GPU's index.
        gpu: usize,
        /// All the MIG devices there are now.
        mig: Vec<MigInstance>,
    },
    /// Sets why clocks are held down; violation times run while they are.
    SetThrottle {
        /// The GPU's index.
        gpu: usize,
        /// All the reasons there are now.
        reasons: Vec<ThrottleReason>,
    },
    /// Sets temperatures.
    SetTemperature {
        /// The GPU's index.
        gpu: usize,
        /// Of the chip.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gpu_celsius: Option<u32>,
        /// Of its memory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        memory_celsius: Option<u32>,
    },
    /// Sets the power drawn and its limit.
    SetPower {
        /// The GPU's index.
        gpu: usize,
        /// Drawn now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        milliwatts: Option<u32>,
        /// Enforced limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit_milliwatts: Option<u32>,
    },
    /// Sets clocks; what is left out stays.
    SetClocks(SetClocks),
    /// Counts ECC errors, volatile and aggregate, and raises their event.
    AddEccErrors {
        /// The GPU's index.
        gpu: usize,
        /// Corrected or not.
        kind: EccKind,
        /// Where.
        location: EccLocation,
        /// How many.
        count: u64,
    },
    /// Sets the state of row remapping; what is left out stays.
    SetRemappedRows(SetRemappedRows),
    /// Sets the retired pages of a GPU older than Ampere.
    SetRetiredPages {
        /// The GPU's index.
        gpu: usize,
        /// Retired for single-bit errors.
        single_bit: u32,
        /// Retired for a double-bit error.
        double_bit: u32,
        /// Whether a page waits for a reset.
        pending: bool,
    },
    /// Sets the driver's verdict on what the GPU needs (field 230).
    SetRecoveryAction {
        /// The GPU's index.
        gpu: usize,
        /// 0 none, 1 reset, 2 reboot, 3 drain P2P, 4 drain and reset.
        action: u32,
    },
    /// Sets the PCIe link; what is left out stays.
    SetPcie(SetPcie),
    /// Sets NVLink; what is left out stays.
    SetNvlink(SetNvlink),
    /// Sets what any field reads, by its number before driver 580.82; `null` is not supported.
    SetField {
        /// The GPU's index.
        gpu: usize,
        /// The field's id.
        field: u32,
        /// What it reads.
        value: Option<u64>,
    },
    /// Raises an XID on a GPU, for every event set that listens.
    Xid {
        /// The GPU's index.
        gpu: usize,
        /// The XID.
        code: u64,
        /// The GPU instance it fell upon.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gpu_instance: Option<u32>,
        /// The compute instance it fell upon.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        compute_instance: Option<u32>,
    },
    /// Raises an event of any type.
    Event {
        /// The GPU's index.
        gpu: usize,
        /// NVML's bit of the type.
        event_type: u64,
        /// NVML's data with it.
        #[serde(default)]
        data: u64,
    },
    /// From now on every call on this GPU fails.
    LoseGpu {
        /// The GPU's index.
        gpu: usize,
        /// With this code.
        #[serde(default = "gpu_is_lost")]
        code: u32,
    },
    /// A lost GPU is back.
    RestoreGpu {
        /// The GPU's index.
        gpu: usize,
    },
    /// Makes a call slow, failing or blocked; a fault of the same call and GPU is replaced.
    Fault(Fault),
    /// Ends the faults of a call, and with neither call nor GPU all faults.
    ClearFault {
        /// The call's symbol.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<String>,
        /// The GPU's index.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gpu: Option<usize>,
    },
    /// Sets the driver's version.
    SetDriver {
        /// As in `580.95.05`.
        version: String,
    },
    /// The world is again as the scenario says; events already raised are still delivered.
    Reset,
}

fn gpu_is_lost() -> u32 {
    15
}

/// A process that starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddProcess {
    /// The GPU's index.
    #[serde(default)]
    pub gpu: usize,
    /// The process.
    pub pid: u32,
    /// Bytes it holds; `null` where the driver does not say.
    #[serde(default = "no_bytes")]
    pub memory: Option<u64>,
    /// Per cent of the SMs' time it takes.
    #[serde(default)]
    pub sm_percent: u32,
    /// Per cent of the memory's time it takes.
    #[serde(default)]
    pub memory_percent: u32,
    /// What kind of client it is.
    #[serde(default)]
    pub kind: ProcessKind,
    /// The MIG device it runs on, by its index on the GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mig: Option<usize>,
}

fn no_bytes() -> Option<u64> {
    Some(0)
}

/// What kind of client of the GPU a process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessKind {
    /// Listed among compute processes.
    #[default]
    Compute,
    /// Listed among graphics processes.
    Graphics,
    /// Listed among clients of MPS.
    Mps,
}

/// A change of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetProcess {
    /// The GPU's index.
    pub gpu: usize,
    /// The process.
    pub pid: u32,
    /// Bytes it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Per cent of the SMs' time it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sm_percent: Option<u32>,
    /// Per cent of the memory's time it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_percent: Option<u32>,
}

/// A reason for which clocks are held down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u64)]
pub enum ThrottleReason {
    /// Nothing runs.
    GpuIdle = 0x1,
    /// Application clocks are set.
    ApplicationClocks = 0x2,
    /// The power limit holds; normal under load.
    SwPowerCap = 0x4,
    /// Hardware slows down, for one of the reasons below.
    HwSlowdown = 0x8,
    /// Bound to another GPU's clock.
    SyncBoost = 0x10,
    /// The driver slows down for heat.
    SwThermal = 0x20,
    /// Hardware slows down for heat.
    HwThermal = 0x40,
    /// The board's power brake is asserted.
    HwPowerBrake = 0x80,
    /// Display clocks are set.
    DisplayClocks = 0x100,
}

/// Clocks in MHz.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetClocks {
    /// The GPU's index.
    pub gpu: usize,
    /// Of the SMs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sm_mhz: Option<u32>,
    /// Of the memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mhz: Option<u32>,
}

/// Whether an ECC error could be corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EccKind {
    /// It was.
    Corrected,
    /// It was not.
    Uncorrected,
}

/// Where an ECC error was, in NVML's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EccLocation {
    /// L1 cache.
    L1Cache,
    /// L2 cache.
    L2Cache,
    /// Device memory.
    Dram,
    /// Register file.
    RegisterFile,
    /// Texture memory.
    TextureMemory,
    /// Texture shared memory.
    TextureShm,
    /// CBU.
    Cbu,
    /// SRAM.
    Sram,
}

/// The state of row remapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetRemappedRows {
    /// The GPU's index.
    pub gpu: usize,
    /// Rows remapped for correctable errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correctable: Option<u32>,
    /// Rows remapped for uncorrectable errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncorrectable: Option<u32>,
    /// Whether a row waits for a reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<bool>,
    /// Whether remapping has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<bool>,
}

/// The PCIe link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPcie {
    /// The GPU's index.
    pub gpu: usize,
    /// Current generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// Current width in lanes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Replays so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replays: Option<u32>,
}

/// NVLink: how many links are up, and their errors, each on link 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetNvlink {
    /// The GPU's index.
    pub gpu: usize,
    /// Links that are up, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<u32>,
    /// Replays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replays: Option<u64>,
    /// Recoveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recoveries: Option<u64>,
    /// CRC errors of flits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crc_flit: Option<u64>,
    /// CRC errors of data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crc_data: Option<u64>,
    /// ECC errors of data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecc_data: Option<u64>,
}

/// A call that is slow, fails or never returns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The call's symbol, as in `nvmlDeviceGetMemoryInfo_v2`, or `*` for every call.
    pub call: String,
    /// Only on this GPU; without one, on every GPU and where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<usize>,
    /// How much longer the call takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// The code it fails with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<u32>,
    /// It does not return while the fault lasts.
    #[serde(default)]
    pub block: bool,
}

#[cfg(test)]
mod tests {
    use super::{Command, Fault};

    fn parse(line: &str) -> Result<Command, serde_json::Error> {
        serde_json::from_str(line)
    }

    #[test]
    fn a_fault_needs_only_what_it_does() {
        let parsed = parse(r#"{ "command": "fault", "call": "nvmlInit_v2", "block": true }"#);
        let expected = Fault { call: "nvmlInit_v2".into(), block: true, ..Fault::default() };
        assert_eq!(parsed.expect("a valid command"), Command::Fault(expected));
    }

    #[test]
    fn a_command_without_its_gpu_is_refused() {
        assert!(parse(r#"{ "command": "set_pcie", "width": 8 }"#).is_err());
        assert!(parse(r#"{ "command": "set_memory", "used": 8 }"#).is_err());
    }

    #[test]
    fn a_word_nobody_knows_is_refused() {
        assert!(parse(r#"{ "command": "restore_gpu", "gpu": 0, "gently": true }"#).is_err());
        assert!(parse(r#"{ "command": "set_pcie", "gpu": 0, "lanes": 8 }"#).is_err());
    }

    #[test]
    fn the_readme_has_every_command_and_no_other() {
        let readme = include_str!("../README.md");
        let (_, table) = readme.split_once("| `command` |").expect("the table of commands");
        let (table, _) = table.split_once("\n\n").expect("the end of it");
        let told: Vec<&str> =
            table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        let unknown = parse(r#"{ "command": "?" }"#).expect_err("no such command").to_string();
        let (_, known) = unknown.split_once("expected one of ").expect("a list of commands");
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        assert_eq!(sorted(told), sorted(known));
    }

    fn sorted(mut words: Vec<&str>) -> Vec<&str> {
        words.sort_unstable();
        words
    }
}
