//! `gpuwarden incidents report`: tell of trouble that nobody has seen yet.

use clap::Args;

use crate::args::By;
use crate::client::{Filed, UserReport};
use crate::text::clean;

/// What is reported.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// What is wrong, in one sentence.
    pub summary: String,
    /// More of it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub description: String,
    /// The service that has trouble.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub service: String,
    /// The model.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub model: String,
    /// The node.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub node: String,
    /// How bad it is: critical is total, error is partial.
    #[arg(long, value_name = "WORD", value_parser = ["critical", "error", "warning", "info"])]
    #[arg(default_value = "error")]
    pub severity: String,
    /// A key of one's own, to report the same again or take it back.
    #[arg(long, value_name = "KEY", default_value = "")]
    pub key: String,
    /// Take the report with this key back.
    #[arg(long, requires = "key")]
    pub resolved: bool,
    /// Who reports.
    #[command(flatten)]
    pub by: By,
}

impl ReportArgs {
    /// The report itself.
    pub fn report(self) -> UserReport {
        let Self { summary, description, service, model, node, severity, key, resolved, by } = self;
        let reporter = by.by;
        UserReport { summary, description, service, model, node, severity, reporter, key, resolved }
    }
}

/// What became of it, in one line.
pub fn render(filed: &Filed) -> String {
    let Filed { key, duplicate, incident } = filed;
    let place = match (incident, duplicate) {
        (Some(id), false) => format!("reported; it is part of {id}"),
        (Some(id), true) => format!("known; it is part of {id}"),
        (None, false) => "taken; no open incident holds it".to_owned(),
        (None, true) => "known; no open incident holds it".to_owned(),
    };
    format!("{place} (key {})", clean(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpuwarden_proto::vocab::IncidentId;

    #[test]
    fn a_report_says_where_it_went_and_by_which_key_it_is_known() {
        let filed =
            |incident, duplicate| render(&Filed { key: "k1".to_owned(), duplicate, incident });
        assert_eq!(filed(Some(IncidentId(7)), false), "reported; it is part of #7 (key k1)");
        assert_eq!(filed(None, true), "known; no open incident holds it (key k1)");
    }
}
