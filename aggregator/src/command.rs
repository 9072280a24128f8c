//! The aggregator's command line: what each subcommand is given and does.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use gpuwarden_proto::settings::Problem;
use gpuwarden_proto::shadow::Report;
use gpuwarden_proto::time::Timestamp;
use tracing_subscriber::EnvFilter;

use crate::config::Config;
use crate::replay::Replay;
use crate::replay::export::export;
use crate::replay::log::Log;
use crate::store::SqliteHistory;

/// Where the settings are looked for when nobody says.
const CONFIG: &str = "/etc/gpuwarden/aggregator.toml";
/// Bad usage, bad settings or a bad log.
const BAD_INPUT: u8 = 2;

/// Turns what GPU nodes tell into few, classified incidents.
#[derive(Debug, Parser)]
#[command(name = "gpuwarden-aggregator", version)]
pub struct Command {
    /// The settings. Without it /etc/gpuwarden/aggregator.toml is read; `replay` then goes by the
    /// defaults.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve until told to stop.
    Run(RunArgs),
    /// Say all that is wrong with a settings file; exit 2 if anything is.
    CheckConfig,
    /// Print the incidents that an event log makes, one JSON object a line, by number.
    ///
    /// Only correlation is at work, with the times of the log; the same log gives the same bytes.
    Replay(ReplayArgs),
    /// Print the history of a store as an event log, in the order in which it was taken up.
    ///
    /// A replay of the log by the same settings gives the incidents that there were, as far back as
    /// the store has kept its history.
    Events(EventsArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The settings of a candidate that runs beside these; `gpuwarden shadow` says what it would
    /// have done otherwise. In place of the file that the settings name.
    #[arg(long, value_name = "FILE")]
    shadow: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ReplayArgs {
    /// The event log, one JSON object a line, sorted by `at`; `-` is standard input.
    #[arg(long)]
    events: PathBuf,
    /// What stands where and serves what, in TOML; in place of the file that the settings name.
    #[arg(long)]
    topology: Option<PathBuf>,
    /// Count bad lines and pass over them.
    #[arg(long)]
    skip_bad: bool,
    /// Let time end here, in RFC 3339, and not with the last line: lines after it are left.
    #[arg(long)]
    until: Option<Timestamp>,
    /// Replay the log by these settings as well, and print what they would have done otherwise
    /// instead of the incidents.
    #[arg(long, value_name = "CONFIG")]
    against: Option<PathBuf>,
    /// How to write that: as `gpuwarden shadow` does.
    #[arg(long, value_enum, default_value_t = Format::Table, requires = "against")]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For scripts.
    Json,
}

#[derive(Debug, Args)]
struct EventsArgs {
    /// The folder of the store. Without it the one in the settings.
    #[arg(long)]
    data: Option<PathBuf>,
}

/// Why something was not done.
enum Failure {
    /// What was given is bad; all that is wrong with it, a line each.
    Input(Vec<String>),
    /// It failed.
    Failed(anyhow::Error),
}

impl Command {
    /// Does what was asked for. The exit code is 0 when it is done, 1 when it failed, 2 when the
    /// settings or what was given are bad.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let config = self.config.as_deref();
        let result = match &self.verb {
            Verb::Run(args) => serve(config, args),
            Verb::CheckConfig => check_config(config),
            Verb::Replay(args) => replay(config, args),
            Verb::Events(args) => events(config, args),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure::Input(problems)) => {
                problems.iter().for_each(|problem| eprintln!("{problem}"));
                ExitCode::from(BAD_INPUT)
            }
            // Who reads our output may have seen enough.
            Err(Failure::Failed(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
            Err(Failure::Failed(error)) => {
                eprintln!("gpuwarden-aggregator: {error:#}");
                ExitCode::FAILURE
            }
        }
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Input(problems.iter().map(ToString::to_string).collect())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

fn path(config: Option<&Path>) -> &Path {
    config.unwrap_or(Path::new(CONFIG))
}

fn serve(config: Option<&Path>, args: &RunArgs) -> Result<(), Failure> {
    let mut config = Config::load(path(config))?;
    if let Some(candidate) = &args.shadow {
        config.load_shadow(candidate)?;
    }
    let filter = EnvFilter::try_from_env("GPUWARDEN_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    runtime.block_on(async { Box::pin(crate::run(config, crate::signalled())).await })?;
    Ok(())
}

fn check_config(config: Option<&Path>) -> Result<(), Failure> {
    let path = path(config);
    Config::load(path)?;
    println!("{}: good", path.display());
    Ok(())
}

fn replay(config: Option<&Path>, args: &ReplayArgs) -> Result<(), Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::Input(vec![error.to_string()]);
    let mut config = config.map(Config::load).transpose()?.unwrap_or_default();
    if let Some(topology) = &args.topology {
        config.load_topology(topology)?;
    }
    let events = open(&args.events).map_err(|error| bad(&format!("{error:#}")))?;
    let (skip_bad, until) = (args.skip_bad, args.until);
    let against = args.against.as_deref().map(|path| candidate(path, &config, args)).transpose()?;
    let replay = Replay { events, config, skip_bad, until };
    if let Some(against) = against {
        let contrasted = replay.against(&against).map_err(|error| bad(&error))?;
        contrasted.remarks.iter().for_each(|remark| eprintln!("{remark}"));
        return Ok(print(&contrasted.report, args.output).context("cannot write the report")?);
    }
    let replayed = replay.run().map_err(|error| bad(&error))?;
    replayed.remarks.iter().for_each(|remark| eprintln!("{remark}"));
    let out = BufWriter::new(std::io::stdout().lock());
    Ok(replayed.write(out).context("cannot write the incidents")?)
}

/// The settings that a log is replayed against; what stands where is told by their own file, or as for
/// the others.
fn candidate(path: &Path, config: &Config, args: &ReplayArgs) -> Result<Config, Failure> {
    let mut candidate = Config::load(path)?;
    if candidate.topology_file.is_none() || args.topology.is_some() {
        candidate.topology = config.topology.clone();
    }
    Ok(candidate)
}

fn print(report: &Report, format: Format) -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    match format {
        Format::Table => write!(out, "{report}")?,
        Format::Json => {
            serde_json::to_writer(&mut out, report)?;
            writeln!(out)?;
        }
    }
    out.flush()
}

fn open(path: &Path) -> Result<Log<Box<dyn BufRead>>> {
    if path == Path::new("-") {
        return Ok(Log::new("standard input", Box::new(std::io::stdin().lock())));
    }
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot open the event log {name}"))?;
    Ok(Log::new(name, Box::new(BufReader::with_capacity(256 * 1024, file))))
}

fn events(config: Option<&Path>, args: &EventsArgs) -> Result<(), Failure> {
    let folder = match &args.data {
        Some(folder) => folder.clone(),
        None => Config::load(path(config))?.data_dir,
    };
    let history = SqliteHistory::of(&folder).map_err(anyhow::Error::from)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let exported = export(&history, &mut out)?;
    out.flush().context("cannot write the log")?;
    if exported.unreadable > 0 {
        eprintln!("{} records that this version cannot read are left out", exported.unreadable);
    }
    Ok(())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let json =
            cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(std::io::ErrorKind::BrokenPipe)
    })
}
