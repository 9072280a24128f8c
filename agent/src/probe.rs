//! The probe: a child process of the agent, and the only place that calls NVML.
//!
//! A call into a sick driver can block for ever and cannot be killed. So the driver is read in a
//! process of its own that the agent can leave behind. The probe prints JSON Lines to its standard
//! output ([`ProbeMessage`]) and ends by itself when that is closed or when its standard input ends,
//! which is how it knows that its parent is gone. It never decides anything and sets nothing on a
//! GPU.
//!
//! - `sampler`: finds GPUs, reads them, prints
//! - `schedule`: when each kind of reading is taken
//! - `gpu`: one GPU and what the driver says of it
//! - `mig`: the MIG instances of one GPU
//! - `process`, `owner`: what `/proc` says of a process on a GPU
//! - `events`: XID errors as the driver tells them
//! - `handle`: what the wrapper does not know of a handle
//! - `in_flight`: which call has not returned
//! - `output`, `stop`: what the threads share

mod events;
mod gpu;
mod handle;
mod in_flight;
mod message;
mod mig;
mod output;
mod owner;
mod process;
mod sampler;
mod schedule;
mod stop;

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

pub use message::ProbeMessage;

use crate::clock::Clock;
use in_flight::InFlight;
use output::Output;
use stop::Stop;

/// Intervals outside of this are brought into it: faster would hold up running work, slower would
/// look like silence.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How often the calls in flight are looked at.
const WATCH: Duration = Duration::from_millis(250);
/// How long a call may still take when the parent is gone.
const FAREWELL: Duration = Duration::from_secs(5);

/// How the probe is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Path of the library; `None` lets the loader find `libnvidia-ml.so.1`.
    pub library: Option<PathBuf>,
    /// How often memory and utilisation are read.
    pub interval: Duration,
    /// Where processes are looked up; `/proc` but in tests.
    pub proc_root: PathBuf,
}

impl Options {
    /// The library where the loader finds it, every half second.
    pub fn new() -> Self {
        Self {
            library: None,
            interval: Duration::from_millis(500),
            proc_root: PathBuf::from("/proc"),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// What the threads share.
#[derive(Debug)]
struct Shared {
    clock: Clock,
    output: Output,
    in_flight: InFlight,
    stop: Stop,
}

/// Why the supervising thread wakes.
#[derive(Debug)]
enum Ending {
    /// The sampler has ended.
    Sampler(ExitCode),
    /// Standard input has ended.
    ParentGone,
}

/// Reads GPUs until the parent is gone: 0 when there is nothing to read here or the parent is gone,
/// 1 when the driver failed in a way that only a new process can mend.
pub fn run(mut options: Options) -> ExitCode {
    options.interval = options.interval.clamp(INTERVALS.0, INTERVALS.1);
    let clock = Clock::start();
    let shared = Arc::new(Shared {
        clock,
        output: Output::stdout(),
        in_flight: InFlight::new(clock),
        stop: Stop::default(),
    });
    let (ending, endings) = channel();
    let parent = ending.clone();
    // No thread is joined: each may be inside a call that never returns.
    std::thread::spawn(move || watch_parent(&parent));
    let sampler = Arc::clone(&shared);
    std::thread::spawn(move || {
        let code = sampler::run(&options, &sampler);
        // The receiver is only gone when the process is ending anyway.
        let _ = ending.send(Ending::Sampler(code));
    });
    supervise(&shared, &endings)
}

/// Waits for the end, and meanwhile says which call is blocked: the thread that made it cannot.
fn supervise(shared: &Shared, endings: &Receiver<Ending>) -> ExitCode {
    loop {
        match endings.recv_timeout(WATCH) {
            Ok(Ending::Sampler(code)) => return code,
            Ok(Ending::ParentGone) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(fault) = shared.in_flight.blocked() {
                    shared.output.write(&fault);
                }
            }
        }
    }
    shared.stop.set();
    // A thread inside the driver is given time to come out, because ending it there can harm the
    // GPU; but nobody would ever end this process if it waited for ever.
    let _ = endings.recv_timeout(FAREWELL);
    ExitCode::SUCCESS
}

fn watch_parent(parent: &Sender<Ending>) {
    let mut buffer = [0; 64];
    while !matches!(std::io::stdin().lock().read(&mut buffer), Ok(0) | Err(_)) {}
    let _ = parent.send(Ending::ParentGone);
}
