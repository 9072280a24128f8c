//! `gpuwarden runbook`: what to do about each type of incident. It asks no aggregator: the pages are part
//! of the program, so that they can be read when nothing else answers.

pub mod show;

use clap::Subcommand;
use gpuwarden_proto::runbook::Summary;
use gpuwarden_proto::vocab::IncidentType;
use gpuwarden_respond::runbook::{Page, shelf};
use serde::Serialize;

use crate::args::Format;
use crate::screen::Screen;

/// `gpuwarden runbook`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Runbook {
    /// List the runbooks: type, title, steps by kind, and the rules that lead to each.
    List,
    /// Show the runbook of a type: what it means, the steps with their commands, when to escalate.
    Show {
        /// The type, e.g. `gpu-oom`; `runbook list` has all.
        #[arg(value_name = "TYPE")]
        kind: IncidentType,
    },
}

/// The JSON document of all runbooks.
#[derive(Debug, Serialize)]
struct Runbooks {
    runbooks: Vec<Summary>,
}

/// Does what was asked for.
pub fn run(command: Runbook, mut screen: Screen) -> anyhow::Result<()> {
    let json = screen.format == Format::Json;
    match command {
        Runbook::List => {
            let runbooks = shelf::pages().iter().map(Page::summary).collect();
            match json {
                true => screen.json(&Runbooks { runbooks })?,
                false => screen.text(&show::list(&runbooks))?,
            }
        }
        Runbook::Show { kind } => {
            let page = shelf::page(kind);
            match json {
                true => screen.json(page)?,
                false => screen.text(&show::page(page))?,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;

    #[test]
    fn the_json_of_a_runbook_has_its_steps_with_what_they_read_and_where_they_lead() {
        let page = serde_json::to_value(shelf::page(IncidentType::GpuOom)).unwrap();
        assert_eq!((&page["type"], &page["rollback"]), (&"gpu-oom".into(), &10.into()));
        let second = &page["steps"][1];
        assert_eq!(second["reads"], serde_json::json!(["rogue-process", "neighbours"]));
        assert_eq!(second["branches"][0]["when"], "found");
        assert_eq!(second["branches"][0]["to"], "runbook noisy-neighbour");
    }

    #[test]
    fn a_type_that_does_not_exist_is_told_with_those_that_do() {
        let error = Args::try_parse_from(["gpuwarden", "runbook", "show", "slow"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("high-latency"), "{error}");
    }
}
