//! `gpuwarden`: the responder's command line, and everything on one machine.
//!
//! - [`args`]: what can be asked for
//! - [`client`]: the aggregator over gRPC; the only place that names wire types
//! - [`incidents`], [`review`], [`oncall`], [`silence`], [`nodes`], [`topology`], [`slo`],
//!   [`change`], [`explain`], [`shadow`]: one module a command; [`runbook`] alone asks no aggregator
//! - [`up`]: aggregator, agent and demo fleet in one process
//! - [`screen`]: where output goes, and how it ends when nobody reads it
//! - [`table`], [`page`], [`text`], [`quantity`]: how things are written for people
//! - [`clock`]: the only reader of clocks
//!
//! Rendering is pure: a value and the time give the text. With `--output json`, stdout holds JSON
//! and nothing else; log lines go to stderr.

pub mod args;
pub mod change;
pub mod client;
pub mod clock;
pub mod explain;
pub mod incidents;
pub mod nodes;
pub mod oncall;
pub mod page;
pub mod quantity;
pub mod review;
pub mod runbook;
pub mod screen;
pub mod shadow;
pub mod silence;
pub mod slo;
pub mod table;
pub mod text;
pub mod topology;
pub mod up;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Context as _;
use args::{Args, Command};
use screen::{Screen, ScreenError};

/// Does what was asked for. Exit codes: 0 done, 1 it failed, 2 (from the parser) bad usage.
pub fn main(args: Args) -> ExitCode {
    let done = match args.command {
        // Before there is a runtime: a probe is a process of its own.
        Command::Probe(probe) => return probe.run(),
        command => with_runtime(async {
            let screen = Screen::stdout(args.output);
            match command {
                Command::Up(up) => up::run(&up, screen).await,
                Command::Incidents(command) => {
                    incidents::run(command, &args.aggregator, screen).await
                }
                Command::Silence(command) => silence::run(command, &args.aggregator, screen).await,
                Command::Review(command) => review::run(command, &args.aggregator, screen).await,
                Command::Oncall(command) => oncall::run(command, &args.aggregator, screen).await,
                Command::Runbook(command) => runbook::run(command, screen),
                Command::Nodes => nodes::run(&args.aggregator, screen).await,
                Command::Slo => slo::run(&args.aggregator, screen).await,
                Command::Shadow => shadow::run(&args.aggregator, screen).await,
                Command::Topology(command) => {
                    topology::run(&command, &args.aggregator, screen).await
                }
                Command::Change(command) => change::run(&command, &args.aggregator, screen).await,
                Command::Explain(command) => explain::run(&command, &args.aggregator, screen).await,
                Command::Probe(_) => Ok(()),
            }
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read us has read enough.
        Err(error) if matches!(error.downcast_ref(), Some(ScreenError::Closed)) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("gpuwarden: {}", text::clean(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn with_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("GPUWARDEN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("starting the runtime")?.block_on(work)
}
