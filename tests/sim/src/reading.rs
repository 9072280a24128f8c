//! A node as the agent's sources would read it.

use gpuwarden_agent::sample::{
    GpuProcess, GpuReading, GpuSample, Input, ModelCounters, ModelSample, ModelShape, Moment,
    Outage, PageReading, ProcessUse, RepositoryReading,
};

use crate::fault::Service;
use crate::gpu::Gpu;
use crate::model::SimModel;
use crate::node::SimNode;
use crate::repository::SERVER_VERSION;

/// The simulated driver.
pub const DRIVER_VERSION: &str = "580.95.05";

impl SimNode {
    /// What the probe would read at `now`: all GPUs, with processes and their use.
    pub fn gpu_reading(&mut self, now: Moment) -> GpuReading {
        self.advance(now);
        self.measure_busy(now);
        let gpus = self.gpus.iter().map(|gpu| self.gpu_sample(gpu, now)).collect();
        GpuReading { driver_version: DRIVER_VERSION.to_owned(), gpus }
    }

    /// What the metrics page would give, already parsed and summed over series.
    pub fn model_samples(&self) -> Vec<ModelSample> {
        let shown = self.models.iter().filter(|model| model.life.on_page());
        shown.map(|model| model_sample(model, &self.gpus)).collect()
    }

    /// What the configs of its models would give.
    pub fn shapes(&self) -> Vec<ModelShape> {
        let shape = |model: &SimModel| ModelShape {
            server: self.server.clone(),
            model: model.spec.name.clone(),
            instances: model.spec.instances,
            max_batch: model.spec.max_batch,
            max_queue: model.spec.max_queue,
            config: 0,
        };
        self.models.iter().filter(|model| model.life.on_page()).map(shape).collect()
    }

    /// Everything that the agent's sources would tell its engine at `now`: GPUs, XIDs, the metrics
    /// page, the repository index and the models' shapes. The caller adds ticks.
    pub fn inputs(&mut self, now: Moment) -> Vec<Input> {
        let reading = self.gpu_reading(now);
        let xids = self.take_xids();
        let mut inputs = Vec::new();
        if self.probe_state() == Service::Back {
            inputs.extend(xids.into_iter().map(Input::Xid));
            inputs.push(Input::Gpus(reading));
        }
        inputs.push(Input::Page(self.page_reading()));
        if self.server_state() == Service::Back {
            inputs.push(Input::Repository(RepositoryReading {
                server: self.server.clone(),
                server_version: SERVER_VERSION.to_owned(),
                entries: self.repository_entries(),
            }));
            inputs.extend(self.shapes().into_iter().map(Input::Shape));
        }
        inputs
    }

    fn page_reading(&self) -> PageReading {
        let models = match self.server_state() {
            Service::Back => Ok(self.model_samples()),
            Service::Gone => Err(Outage::Refused("connection refused".to_owned())),
        };
        PageReading { server: self.server.clone(), models, problems: 0, first_problem: None }
    }

    /// Takes the share of time each model kept its GPU busy since this was last done.
    fn measure_busy(&mut self, now: Moment) {
        let elapsed_s = now.since(self.busy_mark.0).as_secs_f64();
        if elapsed_s <= 0.0 {
            return;
        }
        let (_, before) = &self.busy_mark;
        let share = |(index, model): (usize, &SimModel)| {
            let busy = model.counters.busy;
            let new = busy.saturating_sub(before.get(index).copied().unwrap_or_default());
            (new.as_secs_f64() / elapsed_s).min(1.0)
        };
        self.busy = self.models.iter().enumerate().map(share).collect();
        self.busy_mark = (now, self.models.iter().map(|model| model.counters.busy).collect());
    }

    /// Share of time that the server's kernels ran on a GPU when it was last read.
    pub(crate) fn server_use(&self, gpu: &Gpu) -> f64 {
        let here = self.models.iter().zip(&self.busy).filter(|(m, _)| m.spec.gpu == gpu.index);
        here.map(|(_, busy)| busy).fold(0.0, |sum, busy| sum + busy).min(1.0)
    }

    fn gpu_sample(&self, gpu: &Gpu, now: Moment) -> GpuSample {
        let unread =
            GpuSample::unread(gpu.uuid.clone(), gpu.index, gpu.kind.name(), &gpu.pci_bus_id());
        if gpu.lost {
            let faults = vec!["memory: GPU is lost".to_owned()];
            return GpuSample { lost: true, faults, ..unread };
        }
        let process_use = self.process_use(gpu, now);
        let busy = process_use.iter().fold(0.0, |sum, usage| sum + usage.sm_ratio).min(1.0);
        let (idle_w, full_w) = gpu.kind.power_w();
        GpuSample {
            memory: Some(gpu.memory(now)),
            utilization_ratio: Some(busy),
            temperature_c: Some(38 + (busy * 34.0) as u32),
            power_w: Some(idle_w + busy * 0.8 * (full_w - idle_w)),
            throttle_bits: Some(0),
            ecc_uncorrected: Some(0),
            processes: Some(processes(gpu, now)),
            process_use: Some(process_use),
            ..unread
        }
    }

    /// Who used the GPU; who did not is not listed, as with the real driver.
    fn process_use(&self, gpu: &Gpu, now: Moment) -> Vec<ProcessUse> {
        let usage = |process: &crate::process::Process| {
            let server = process.pid == Self::server_pid();
            let sm_ratio = if server { self.server_use(gpu) } else { process.sm_ratio(now) };
            ProcessUse { pid: process.pid, sm_ratio, memory_ratio: sm_ratio * 0.6 }
        };
        gpu.processes.iter().map(usage).filter(|usage| usage.sm_ratio > 0.0).collect()
    }
}

fn processes(gpu: &Gpu, now: Moment) -> Vec<GpuProcess> {
    let listed = |(process, held): (&crate::process::Process, u64)| GpuProcess {
        pid: process.pid,
        start_ticks: process.start_ticks,
        name: process.name.clone(),
        owner: process.owner.clone(),
        used_bytes: Some(held),
    };
    gpu.processes.iter().zip(gpu.holdings(now)).map(listed).collect()
}

fn model_sample(model: &SimModel, gpus: &[Gpu]) -> ModelSample {
    let counted = &model.counters;
    let number = |count: u64| Some(count as f64);
    let counters = ModelCounters {
        success: number(counted.success),
        failed_backend: number(counted.failed_backend),
        failed_rejected: number(0),
        failed_canceled: number(0),
        failed_other: number(0),
        inferences: number(counted.success),
        executions: number(counted.executions),
        request_us: number(counted.request_us),
        queue_us: number(counted.queue_us),
        compute_infer_us: number(counted.compute_infer_us),
    };
    ModelSample {
        model: model.spec.name.clone(),
        version: model.spec.version.clone(),
        gpus: gpus.get(model.spec.gpu as usize).map(|gpu| gpu.uuid.clone()).into_iter().collect(),
        counters,
        pending: Some(model.pending() as f64),
    }
}
