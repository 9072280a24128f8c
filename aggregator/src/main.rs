//! `gpuwarden-aggregator`: reads arguments and settings, and serves.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gpuwarden_aggregator::config::Config;
use tracing_subscriber::EnvFilter;

/// Turns what GPU nodes tell into few, classified incidents.
#[derive(Debug, Parser)]
#[command(name = "gpuwarden-aggregator", version)]
struct Arguments {
    /// The settings.
    #[arg(long, global = true, default_value = "/etc/gpuwarden/aggregator.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until told to stop.
    Run,
    /// Say all that is wrong with a settings file; exit 2 if anything is.
    CheckConfig,
}

fn main() -> ExitCode {
    let Arguments { config: path, command } = Arguments::parse();
    match (Config::load(&path), command) {
        (Ok(config), Command::Run) => run(config),
        (Ok(_), Command::CheckConfig) => {
            println!("{}: good", path.display());
            ExitCode::SUCCESS
        }
        (Err(problems), _) => {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            ExitCode::from(2)
        }
    }
}

#[tokio::main]
async fn run(config: Config) -> ExitCode {
    let filter = EnvFilter::try_from_env("GPUWARDEN_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match gpuwarden_aggregator::run(config, gpuwarden_aggregator::signalled()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gpuwarden-aggregator: {error:#}");
            ExitCode::FAILURE
        }
    }
}
