//! `gpuwarden change`: what was done to the fleet.

use gpuwarden_proto::fleet::ObservedChange;
use gpuwarden_proto::time::Timestamp;
use serde::Serialize;

use crate::args::{Change, Format};
use crate::client::{Aggregator, Client};
use crate::clock;
use crate::quantity::age;
use crate::screen::Screen;
use crate::table::{self, Cell, fixed, flexible};
use crate::text::Paint;

/// The JSON document.
#[derive(Debug, Serialize)]
struct Changes {
    changes: Vec<ObservedChange>,
}

/// Does what was asked for.
pub async fn run(
    command: &Change,
    aggregator: &Aggregator,
    mut screen: Screen,
) -> anyhow::Result<()> {
    let Change::List { limit } = command;
    let changes = Client::connect(aggregator).await?.changes(*limit).await?;
    match screen.format {
        Format::Json => screen.json(&Changes { changes })?,
        Format::Table => screen.text(&render(&changes, clock::now(), screen.paint))?,
    }
    Ok(())
}

/// The table, newest first.
pub fn render(changes: &[ObservedChange], now: Timestamp, paint: Paint) -> String {
    if changes.is_empty() {
        return "No change has been observed yet.\n".to_owned();
    }
    let columns =
        [fixed("AGE"), flexible("NODE"), fixed("CHANGE"), flexible("OF"), flexible("WHAT")];
    let row = |observed: &ObservedChange| -> [Cell; 5] {
        [
            age(now, observed.observed_at).into(),
            observed.node.as_str().into(),
            observed.change.kind.as_str().into(),
            observed.change.subject.to_string().into(),
            observed.change.summary.as_str().into(),
        ]
    };
    let rows: Vec<_> = changes.iter().map(row).collect();
    table::render(columns, &rows, paint)
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::event::{self, Subject};
    use gpuwarden_proto::vocab::{ChangeKind, NodeId, ServerName};

    use super::*;

    #[test]
    fn a_change_says_where_and_what() {
        let change = event::Change {
            subject: Subject::Server { server: ServerName::new("default").expect("a good name") },
            kind: ChangeKind::ServerRestarted,
            summary: "Triton default began anew: counters fell".to_owned(),
            version: String::new(),
        };
        let node = NodeId::new("node-a").expect("a good name");
        let observed = ObservedChange { node, observed_at: Timestamp::from_unix_s(60), change };
        let table = render(&[observed], Timestamp::from_unix_s(200), Paint::Plain);
        insta::assert_snapshot!(table, @r#"
        AGE    NODE    CHANGE            OF              WHAT
        2 min  node-a  server-restarted  Triton default  Triton default began anew: counters fell
        "#);
    }
}
