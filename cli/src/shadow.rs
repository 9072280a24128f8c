//! `gpuwarden shadow`: what the candidate config would have done otherwise.

use gpuwarden_proto::shadow::Report;

use crate::args::Format;
use crate::client::{Aggregator, Client};
use crate::screen::Screen;
use crate::text::clean;

/// Shows the report.
pub async fn run(aggregator: &Aggregator, mut screen: Screen) -> anyhow::Result<()> {
    let report = Client::connect(aggregator).await?.shadow().await?;
    match screen.format {
        Format::Json => screen.json(&report)?,
        Format::Table => screen.text(&render(&report))?,
    }
    Ok(())
}

/// The report for people, as a replay by two configs prints it.
pub fn render(report: &Report) -> String {
    report.to_string().lines().map(|line| format!("{}\n", clean(line))).collect()
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::shadow::{Difference, Side};
    use gpuwarden_proto::time::Timestamp;
    use gpuwarden_proto::vocab::{
        DifferenceKind, IncidentId, IncidentState, IncidentType, Severity,
    };

    use super::*;

    fn side(id: u64) -> Side {
        Side {
            id: IncidentId(id),
            kind: IncidentType::GpuOom,
            severity: Severity::P2,
            state: IncidentState::Open,
            title: "memory is gone".to_owned(),
            members: 3,
            detected_at: Timestamp::from_unix_s(60),
            resolved_at: None,
        }
    }

    #[test]
    fn the_differences_are_told_one_a_line() {
        let split = Difference {
            kind: DifferenceKind::Split,
            live: vec![side(4)],
            shadow: vec![side(3), side(5)],
            text: "one is 2 in the shadow: memory\u{1b}[2J is gone".to_owned(),
        };
        let report = Report {
            since: Timestamp::from_unix_s(1_800_000_000),
            until: Timestamp::from_unix_s(1_800_003_600),
            live: 7,
            shadow: 8,
            alike: 6,
            counts: [(DifferenceKind::Split, 1)].into(),
            differences: vec![split],
            skipped: 12,
            lapses: 1,
            ..Report::default()
        };
        insta::assert_snapshot!(render(&report), @r"
        7 incidents live, 8 in the shadow, 6 of them the same
        from 2027-01-15T08:00:00.000Z to 2027-01-15T09:00:00.000Z
        the shadow was not told 12 signals, began anew 1 times
        split        #4         #3 #5      one is 2 in the shadow: memory\u{1b}[2J is gone
        ");
    }
}
