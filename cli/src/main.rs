//! The `gpuwarden` command. Everything it does stands in the library.

use std::process::ExitCode;

use clap::Parser as _;
use gpuwarden_cli::args::Args;

fn main() -> ExitCode {
    gpuwarden_cli::main(Args::parse())
}
