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
    let command = Arguments::parse().command;
    let (Command::Run(File { config: path }) | Command::CheckConfig(File { config: path })) =
        &command;
    match (Config::load(path), &command) {
        (Ok(config), Command::Run(_)) => run(config),
        (Ok(_), Command::CheckConfig(_)) => {
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
    let served = gpuwarden_aggregator::run(config, gpuwarden_aggregator::signalled()).await;
    served.map_or_else(
        |error| {
            eprintln!("gpuwarden-aggregator: {error:#}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}
