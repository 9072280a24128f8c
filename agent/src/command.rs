//! The agent's command line: what each subcommand is given and does.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use gpuwarden_proto::vocab::NodeId;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::{doctor, probe};
use crate::run::{self, Driver};
use crate::status::fetch::{Form, fetch};

/// Where the config is looked for when nobody says.
const CONFIG: &str = "/etc/gpuwarden/agent.toml";
/// What was asked for failed.
const FAILED: u8 = 1;
/// Bad usage or bad config.
const BAD_CONFIG: u8 = 2;

/// Watches one GPU node that serves models with Triton.
#[derive(Debug, Parser)]
#[command(name = "gpuwarden-agent", version)]
pub struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Watch this node until told to stop.
    Run(ConfigArgs),
    /// Say what is wrong with a config, all of it at once.
    CheckConfig(ConfigArgs),
    /// Show what the agent on this node sees, found and holds.
    Status(StatusArgs),
    /// Say what can and cannot be seen on this node, why, and what mends it.
    Doctor(DoctorArgs),
    /// Read the GPU driver and write what it says to standard output. Started by `run`.
    #[command(hide = true)]
    Probe(ProbeArgs),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The config file. Without it /etc/gpuwarden/agent.toml is read if it is there.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// Where the agent listens, as its config has it in `status.listen`.
    #[arg(long, default_value = "127.0.0.1:7081")]
    agent: SocketAddr,
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Debug, Args)]
struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

/// What the probe is given.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// Path of the NVML library.
    #[arg(long)]
    library: Option<PathBuf>,
    /// How often memory and utilisation are read.
    #[arg(long, default_value_t = 500)]
    interval_ms: u64,
}

impl ProbeArgs {
    /// Reads the driver until the parent is gone.
    pub fn run(self) -> ExitCode {
        let interval = Duration::from_millis(self.interval_ms);
        probe::run(probe::Options { library: self.library, interval, ..probe::Options::new() })
    }
}

impl Command {
    /// Does what was asked for. The exit code is 0 when it is done, 1 when it failed, 2 when the
    /// config is bad.
    pub fn run(self) -> ExitCode {
        let result = match self.verb {
            Verb::Run(args) => run_agent(&args),
            Verb::CheckConfig(args) => check_config(&args),
            Verb::Status(args) => show_status(&args),
            Verb::Doctor(args) => examine(&args),
            Verb::Probe(args) => return args.run(),
        };
        result.unwrap_or_else(|error| {
            eprintln!("gpuwarden-agent: {error:#}");
            ExitCode::from(FAILED)
        })
    }
}

/// Reads the config, or says all that is wrong with it.
fn load(args: &ConfigArgs) -> Result<Result<Config, ExitCode>> {
    let path = args.config.clone().unwrap_or_else(|| PathBuf::from(CONFIG));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if args.config.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            String::new()
        }
        Err(error) => {
            eprintln!("gpuwarden-agent: cannot read the config {}: {error}", path.display());
            return Ok(Err(ExitCode::from(BAD_CONFIG)));
        }
    };
    let file = path.to_string_lossy();
    Ok(Config::parse(&file, &text, &hostname()?).map_err(|problems| {
        for problem in problems {
            eprintln!("{problem}");
        }
        ExitCode::from(BAD_CONFIG)
    }))
}

fn hostname() -> Result<NodeId> {
    let name = sysinfo::System::host_name().context("this machine has no hostname")?;
    NodeId::new(&name).context("this machine's hostname cannot name a node; set node.id")
}

fn check_config(args: &ConfigArgs) -> Result<ExitCode> {
    let config = match load(args)? {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    println!("good: node {}, {} Triton servers", config.node, config.triton.len());
    Ok(ExitCode::SUCCESS)
}

fn run_agent(args: &ConfigArgs) -> Result<ExitCode> {
    let config = match load(args)? {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    log_to_stderr();
    let exe = std::env::current_exe().context("finding this program, to start its probe")?;
    runtime()?.block_on(async {
        let shutdown = CancellationToken::new();
        tokio::spawn(stop_on_signal(shutdown.clone()));
        run::run(config, Driver::Probe { exe }, shutdown).await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// One thread is enough, and a small one at that.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")
}

async fn stop_on_signal(shutdown: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return tracing::error!("signals cannot be caught: stop the agent with SIGKILL");
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    shutdown.cancel();
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("GPUWARDEN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

fn show_status(args: &StatusArgs) -> Result<ExitCode> {
    let form = match args.output {
        Output::Table => Form::Text,
        Output::Json => Form::Json,
    };
    print!("{}", runtime()?.block_on(fetch(args.agent, form))?);
    Ok(ExitCode::SUCCESS)
}

fn examine(args: &DoctorArgs) -> Result<ExitCode> {
    let config = match load(&args.config)? {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let exe = std::env::current_exe().context("finding this program, to try its probe")?;
    let around = doctor::Surroundings::of(exe);
    let checks = runtime()?.block_on(doctor::examine(&config, &around));
    match args.output {
        Output::Table => print!("{}", doctor::render::render(&checks)),
        Output::Json => println!("{}", doctor::render::render_json(&checks)?),
    }
    Ok(if doctor::is_well(&checks) { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
