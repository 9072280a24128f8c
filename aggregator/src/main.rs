//! `gpuwarden-aggregator`.

use std::process::ExitCode;

use clap::Parser as _;
use gpuwarden_aggregator::command::Command;

fn main() -> ExitCode {
    Command::parse().run()
}
