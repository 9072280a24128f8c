//! Finds GPUs, reads them in their turn, and prints what they say.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::InitFlags;
use nvml_wrapper::error::NvmlError;

use super::events::{self, Generation};
use super::gpu::{Found, Gpu, Reader};
use super::message::ProbeMessage;
use super::process::Processes;
use super::schedule::{FASTEST, Schedule};
use super::{Options, Shared};
use crate::sample::{GpuReading, Moment};

/// How often GPUs are looked for again. A lost one that is back is found within this time.
const LOOK: Duration = Duration::from_secs(10);

/// Why there is nothing to sample.
enum Refusal {
    /// There is no driver, or no GPU.
    Absent(String),
    /// There is a driver, and it failed.
    Fault { call: &'static str, error: NvmlError },
}

/// Reads until the process is to end.
pub(super) fn run(options: &Options, shared: &Arc<Shared>) -> ExitCode {
    let message = match start(options, shared) {
        Ok(sampler) => return sampler.run(options),
        Err(Refusal::Absent(reason)) => ProbeMessage::Absent { reason },
        Err(Refusal::Fault { call, error }) => fault(call, None, &error),
    };
    shared.output.write(&message);
    match message {
        ProbeMessage::Absent { .. } => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

struct Sampler {
    nvml: &'static Nvml,
    driver_version: String,
    gpus: Vec<Gpu>,
    /// When GPUs are looked for again.
    look: Moment,
    generation: Arc<Generation>,
    shared: Arc<Shared>,
}

fn start(options: &Options, shared: &Arc<Shared>) -> Result<Sampler, Refusal> {
    let in_flight = &shared.in_flight;
    // Never unloaded: the thread that waits for events may be inside it until the process ends.
    let nvml: &'static Nvml =
        Box::leak(Box::new(in_flight.call("nvmlInitWithFlags", None, || init(options))?));
    let call = "nvmlSystemGetDriverVersion";
    let driver_version = in_flight
        .call(call, None, || nvml.sys_driver_version())
        .map_err(|error| Refusal::Fault { call, error })?;
    let nvml_version = nvml.sys_nvml_version().unwrap_or_default();
    let call = "nvmlDeviceGetCount_v2";
    let gpus = in_flight
        .call(call, None, || nvml.device_count())
        .map_err(|error| Refusal::Fault { call, error })?;
    if gpus == 0 {
        return Err(Refusal::Absent(format!("driver {driver_version} sees no GPU")));
    }
    let hello = ProbeMessage::Hello { driver_version: driver_version.clone(), nvml_version, gpus };
    shared.output.write(&hello);
    let generation = Arc::new(Generation::default());
    events::spawn(nvml, Arc::clone(shared), Arc::clone(&generation));
    Ok(Sampler {
        nvml,
        driver_version,
        gpus: Vec::new(),
        look: Moment::default(),
        generation,
        shared: Arc::clone(shared),
    })
}

/// Loads the library. GPUs are not attached yet, so that a broken one fails alone.
fn init(options: &Options) -> Result<Nvml, Refusal> {
    let mut builder = Nvml::builder();
    builder.flags(InitFlags::NO_GPUS | InitFlags::NO_ATTACH);
    if let Some(library) = &options.library {
        builder.lib_path(library.as_os_str());
    }
    builder.init().map_err(|error| match error {
        NvmlError::LibloadingError(error) => {
            Refusal::Absent(format!("the driver's library cannot be loaded: {error}"))
        }
        NvmlError::DriverNotLoaded => Refusal::Absent("the driver is not loaded".to_owned()),
        error => Refusal::Fault { call: "nvmlInitWithFlags", error },
    })
}

impl Sampler {
    fn run(mut self, options: &Options) -> ExitCode {
        let shared = Arc::clone(&self.shared);
        let processes = Processes::new(&options.proc_root);
        let reader = Reader { in_flight: &shared.in_flight, processes: &processes };
        loop {
            let now = shared.clock.now().moment;
            if let Err((call, error)) = self.look_if_due(options, now) {
                shared.output.write(&fault(call, None, &error));
                if needs_new_process(&error) {
                    return ExitCode::FAILURE;
                }
            }
            let mut gpus = Vec::with_capacity(self.gpus.len());
            self.gpus.iter_mut().for_each(|gpu| gpu.read(&reader, now, &mut gpus));
            let driver_version = self.driver_version.clone();
            shared.output.write(&ProbeMessage::Gpus(GpuReading { driver_version, gpus }));
            if shared.output.closed() || shared.stop.wait(self.pause(options.interval)) {
                return ExitCode::SUCCESS;
            }
        }
    }

    /// Time until the next GPU is due. Never none, so that slow calls do not become a load.
    fn pause(&self, interval: Duration) -> Duration {
        let now = self.shared.clock.now().moment;
        let next = self.gpus.iter().map(Gpu::next).min();
        next.map_or(interval, |next| next.since(now).clamp(FASTEST, interval))
    }

    /// Looks for GPUs when it is time: at first, and then when one is not well or their number has
    /// changed. Asking for handles can wake sleeping GPUs, so it is not done without a reason.
    fn look_if_due(
        &mut self,
        options: &Options,
        now: Moment,
    ) -> Result<(), (&'static str, NvmlError)> {
        if now < self.look {
            return Ok(());
        }
        self.look = now.after(LOOK);
        let call = "nvmlDeviceGetCount_v2";
        let nvml = self.nvml;
        let count = self
            .shared
            .in_flight
            .call(call, None, || nvml.device_count())
            .map_err(|error| (call, error))?;
        let same = usize::try_from(count).is_ok_and(|count| count == self.gpus.len());
        if !same || self.gpus.iter().any(|gpu| !gpu.healthy()) {
            self.look(count, options.interval);
        }
        Ok(())
    }

    fn look(&mut self, count: u32, interval: Duration) {
        let mut seen = Vec::new();
        for index in 0..count {
            match Found::at(self.nvml, index, &self.shared.in_flight) {
                Ok(found) => seen.push(self.place(found, interval)),
                Err((call, error)) => self.refuse(index, call, &error, interval),
            }
        }
        for gpu in &mut self.gpus {
            if gpu.index() >= count && !seen.contains(&gpu.index()) {
                gpu.vanish();
            }
        }
        self.gpus.sort_by_key(Gpu::index);
        self.generation.advance();
    }

    /// Gives a GPU that was found its place, and its index.
    fn place(&mut self, found: Found, interval: Duration) -> u32 {
        let index = found.index();
        self.gpus.retain(|gpu| !(gpu.is_nameless() && gpu.index() == index));
        match self.gpus.iter_mut().find(|gpu| gpu.is(&found)) {
            Some(gpu) => gpu.renew(found),
            None => self.gpus.push(Gpu::new(found, Schedule::new(interval))),
        }
        index
    }

    fn refuse(&mut self, index: u32, call: &'static str, error: &NvmlError, interval: Duration) {
        match self.gpus.iter_mut().find(|gpu| gpu.index() == index) {
            Some(gpu) => gpu.refuse(call, error),
            None => {
                self.gpus.extend(Gpu::nameless(index, call, error, Schedule::new(interval)));
            }
        }
    }
}

/// Whether the driver under this process is another, or gone: no call will succeed any more.
fn needs_new_process(error: &NvmlError) -> bool {
    matches!(
        error,
        NvmlError::LibRmVersionMismatch | NvmlError::Uninitialized | NvmlError::DriverNotLoaded
    )
}

/// A fault in the driver's words.
pub(super) fn fault(call: &str, gpu: Option<u32>, error: &NvmlError) -> ProbeMessage {
    ProbeMessage::Fault { call: call.to_owned(), gpu, error: error.to_string() }
}
