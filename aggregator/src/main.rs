//! `gpuwarden-aggregator`: reads arguments and settings, and serves.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gpuwarden_aggregator::config::Config;
use tokio_util::sync::CancellationToken;

/// Turns what GPU nodes tell into few, classified incidents.
#[derive(Debug, Parser)]
#[command(name = "gpuwarden-aggregator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until told to stop.
    Run(File),
    /// Say all that is wrong with a settings file; exit 2 if anything is.
    CheckConfig(File),
}

#[derive(Debug, clap::Args)]
struct File {
    /// The settings.
    #[arg(long, default_value = "/etc/gpuwarden/aggregator.toml")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (Command::Run(File { config: path }) | Command::CheckConfig(File { config: path })) =
        &arguments.command;
    let config = match read(path) {
        Ok(config) => config,
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            return ExitCode::from(2);
        }
    };
    match arguments.command {
        Command::Run(_) => run(config),
        Command::CheckConfig(_) => {
            println!("{}: good", path.display());
            ExitCode::SUCCESS
        }
    }
}

fn read(path: &Path) -> Result<Config, Vec<String>> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        vec![format!("{file}: cannot be read: {error} (give it with --config)")]
    })?;
    let told = |problems: Vec<_>| problems.iter().map(ToString::to_string).collect();
    Config::parse(&file, &text).map_err(|problems: Vec<_>| told(problems))
}

#[tokio::main]
async fn run(config: Config) -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let stop = CancellationToken::new();
    tokio::spawn(until_signalled(stop.clone()));
    match gpuwarden_aggregator::run(config, stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gpuwarden-aggregator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Stops on the first SIGINT or SIGTERM.
async fn until_signalled(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
    stop.cancel();
}
