//! A simulated node: GPUs, the models of one Triton server on them, and what befalls them.

use std::collections::VecDeque;
use std::time::Duration;

use gpuwarden_agent::sample::{Moment, XidReading};
use gpuwarden_proto::vocab::{BadName, GpuUuid, NodeId, ServerName};

use crate::fault::{Fault, GpuFault, Service};
use crate::gpu::{Gpu, GpuKind};
use crate::model::{ModelSpec, SimModel};
use crate::process::Process;
use crate::script::Script;

/// The server's own process, on each GPU that it serves from.
const SERVER_PID: u32 = 2_100;
/// What a CUDA context takes.
const CONTEXT_BYTES: u64 = 500 * 1024 * 1024;
/// XIDs that nobody asked for yet are kept up to this many.
const XIDS_MAX: usize = 256;

/// A node behind the same interfaces as a real one, at the instant up to which it has lived.
#[derive(Debug)]
pub struct SimNode {
    /// Its name.
    pub id: NodeId,
    /// The name under which an agent is to know its server.
    pub server: ServerName,
    pub(crate) gpus: Vec<Gpu>,
    pub(crate) models: Vec<SimModel>,
    pub(crate) server_state: Service,
    pub(crate) probe_state: Service,
    xids: Vec<XidReading>,
    faults: VecDeque<(Moment, Fault)>,
    seed: u64,
    now: Moment,
    /// When utilisation was last read, and how busy each model had been by then.
    pub(crate) busy_mark: (Moment, Vec<Duration>),
    pub(crate) busy: Vec<f64>,
}

impl SimNode {
    /// A node with nothing in it. The same seed gives the same history.
    pub fn new(name: &str, seed: u64) -> Result<Self, BadName> {
        Ok(Self {
            id: NodeId::new(name)?,
            server: ServerName::new("default")?,
            gpus: Vec::new(),
            models: Vec::new(),
            server_state: Service::Back,
            probe_state: Service::Back,
            xids: Vec::new(),
            faults: VecDeque::new(),
            seed: seed ^ hash(name),
            now: Moment::default(),
            busy_mark: (Moment::default(), Vec::new()),
            busy: Vec::new(),
        })
    }

    /// The same with one more GPU.
    pub fn with_gpu(mut self, kind: GpuKind) -> Result<Self, BadName> {
        let index = self.gpus.len() as u32;
        let uuid = GpuUuid::new(&format!("GPU-{}", uuid_like(self.seed, index)))?;
        self.gpus.push(Gpu::new(uuid, index, kind));
        Ok(self)
    }

    /// The same with one more model. It runs on a GPU that is already there.
    #[must_use]
    pub fn with_model(mut self, spec: ModelSpec) -> Self {
        let seed = self.seed ^ hash(spec.name.as_str());
        self.models.push(SimModel::new(spec, seed));
        self.settle();
        self
    }

    /// The same with a process that holds memory of a GPU.
    #[must_use]
    pub fn with_process(mut self, gpu: u32, process: Process) -> Self {
        if let Some(gpu) = self.gpus.get_mut(gpu as usize) {
            gpu.processes.push(process);
        }
        self
    }

    /// The same, with those faults ahead that a script has for it.
    #[must_use]
    pub fn with_script(mut self, script: &Script) -> Self {
        self.faults = script.faults_of(&self.id).collect();
        self.faults.make_contiguous().sort_by_key(|(at, _)| *at);
        self
    }

    /// Its GPUs, by index.
    pub fn gpus(&self) -> &[Gpu] {
        &self.gpus
    }

    /// Its models.
    pub fn models(&self) -> &[SimModel] {
        &self.models
    }

    /// Whether its server answers.
    pub fn server_state(&self) -> Service {
        self.server_state
    }

    /// Whether its driver can be read.
    pub fn probe_state(&self) -> Service {
        self.probe_state
    }

    /// Lives on up to `to`. Time never runs backwards: an earlier instant changes nothing.
    pub fn advance(&mut self, to: Moment) {
        while let Some((at, fault)) = self.faults.pop_front_if(|(at, _)| *at <= to) {
            self.advance_models(at);
            self.apply(&fault, at);
        }
        self.advance_models(to);
        self.now = self.now.max(to);
        self.settle();
    }

    /// XIDs reported since this was last asked.
    pub fn take_xids(&mut self) -> Vec<XidReading> {
        std::mem::take(&mut self.xids)
    }

    /// Makes a fault happen at `now`, up to which the node must have lived. What the node does not
    /// have cannot be hurt: [`Script::check`] tells of such lines.
    pub fn apply(&mut self, fault: &Fault, now: Moment) {
        match fault {
            Fault::Gpu(index, fault) => self.apply_to_gpu(*index, fault, now),
            Fault::Model(name, fault) => {
                for model in self.models.iter_mut().filter(|model| model.spec.name == *name) {
                    model.apply(fault, now);
                }
            }
            Fault::Server(service) => self.server_state = *service,
            Fault::Probe(service) => self.probe_state = *service,
        }
    }

    fn apply_to_gpu(&mut self, index: u32, fault: &GpuFault, now: Moment) {
        let Some(gpu) = self.gpus.get_mut(index as usize) else { return };
        match fault {
            GpuFault::Leak { pid, bytes_per_s } => gpu.leak(*pid, *bytes_per_s, now),
            GpuFault::Neighbour { name, share, pattern } => {
                gpu.neighbour(name, *share, *pattern, now);
            }
            GpuFault::Xid(xid) => {
                let reading = XidReading {
                    uuid: Some(gpu.uuid.clone()),
                    pci_bus_id: gpu.pci_bus_id(),
                    xid: *xid,
                    text: String::new(),
                };
                if self.xids.len() < XIDS_MAX {
                    self.xids.push(reading);
                }
            }
            GpuFault::Lost => gpu.lost = true,
            GpuFault::Heal => gpu.heal(now),
        }
    }

    fn advance_models(&mut self, to: Moment) {
        for model in &mut self.models {
            let contention = model.spec.contention;
            let Some(gpu) = self.gpus.get(model.spec.gpu as usize) else { continue };
            model.advance(to, &|at| gpu.surroundings(at, contention));
        }
    }

    /// Gives the server's process on each GPU the memory of the models that are loaded there.
    fn settle(&mut self) {
        for gpu in &mut self.gpus {
            let here = || self.models.iter().filter(|model| model.spec.gpu == gpu.index);
            if here().next().is_none() {
                continue;
            }
            let loaded = here().filter(|model| model.life.on_page());
            let bytes = CONTEXT_BYTES + loaded.map(|model| model.spec.memory_bytes).sum::<u64>();
            match gpu.processes.iter_mut().find(|process| process.pid == SERVER_PID) {
                Some(server) => server.base_bytes = bytes,
                None => gpu.processes.insert(
                    0,
                    Process::holding(SERVER_PID, "tritonserver", "triton.service", bytes),
                ),
            }
        }
    }

    /// The PID of the server.
    pub const fn server_pid() -> u32 {
        SERVER_PID
    }
}

/// FNV-1a: the same on every machine and in every version.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn uuid_like(seed: u64, index: u32) -> String {
    let mut rng = fastrand::Rng::with_seed(seed.wrapping_add(u64::from(index)));
    let (a, b) = (rng.u64(..), rng.u64(..));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xffff,
        b >> 48,
        b & 0xffff_ffff_ffff
    )
}
