//! `gpuwarden-agent`.

use std::process::ExitCode;

use clap::Parser as _;
use gpuwarden_agent::command::Command;

fn main() -> ExitCode {
    Command::parse().run()
}
