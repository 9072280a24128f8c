//! `gpuwarden change`: what was done to the fleet.

use gpuwarden_proto::change::{ChangeOrigin, RecordedChange, Told};
use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::time::{Timestamp, spoken};
use serde::Serialize;

use crate::args::{Change, Format, Record};
use crate::client::{Aggregator, Client};
use crate::clock;
use crate::quantity::age;
use crate::screen::Screen;
use crate::table::{self, Cell, fixed, flexible};
use crate::text::{Paint, clean};

/// The JSON document of the list.
#[derive(Debug, Serialize)]
struct Changes {
    changes: Vec<RecordedChange>,
}

/// The JSON document of what was recorded.
#[derive(Debug, Serialize)]
struct Recorded {
    change: RecordedChange,
    known: bool,
}

/// Does what was asked for.
pub async fn run(
    command: &Change,
    aggregator: &Aggregator,
    mut screen: Screen,
) -> anyhow::Result<()> {
    let mut client = Client::connect(aggregator).await?;
    match command {
        Change::List { limit } => {
            let changes = client.changes(*limit).await?;
            match screen.format {
                Format::Json => screen.json(&Changes { changes })?,
                Format::Table => screen.text(&render(&changes, clock::now(), screen.paint))?,
            }
        }
        Change::Record(record) => {
            let (change, known) = client.record(told(record)).await?;
            match screen.format {
                Format::Json => screen.json(&Recorded { change, known })?,
                Format::Table => screen.text(&receipt(&change, known))?,
            }
        }
    }
    Ok(())
}

/// What the command line says of a change.
fn told(record: &Record) -> Told {
    let named = |kind, names: &[String]| -> Vec<Entity> {
        names.iter().map(|name| Entity::fleet(kind, name)).collect()
    };
    let model = |name: &String| {
        let kind = if name.contains(':') { EntityKind::Version } else { EntityKind::Model };
        Entity::fleet(kind, name)
    };
    let about = [
        named(EntityKind::Service, &record.service),
        record.model.iter().map(model).collect(),
        record.node.iter().map(Entity::node).collect(),
        named(EntityKind::Rack, &record.rack),
        named(EntityKind::Zone, &record.zone),
        named(EntityKind::Driver, &record.driver),
    ];
    Told {
        key: record.key.clone(),
        about: about.concat(),
        by: record.by.by.clone(),
        link: record.link.clone(),
        started_at: record.at,
        finished_at: record.finished,
        before: record.from.clone(),
        after: record.to.clone(),
        ..Told::new(record.kind, ChangeOrigin::Person, &record.summary)
    }
}

fn receipt(change: &RecordedChange, known: bool) -> String {
    let word = if known { "known already" } else { "recorded" };
    let (kind, about) = (change.kind, clean(&about(change)));
    format!("{word}: {kind} of {about}, key {}\n", clean(change.key.as_str()))
}

fn about(change: &RecordedChange) -> String {
    if change.about.is_empty() {
        return "the whole fleet".to_owned();
    }
    change.about.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The table, newest first.
pub fn render(changes: &[RecordedChange], now: Timestamp, paint: Paint) -> String {
    if changes.is_empty() {
        return "No change is known yet.\n".to_owned();
    }
    let columns = [
        fixed("AGE"),
        fixed("CHANGE"),
        flexible("OF"),
        fixed("ORIGIN"),
        flexible("BY"),
        flexible("WHAT"),
        flexible("LINK"),
    ];
    let row = |change: &RecordedChange| -> [Cell; 7] {
        [
            age(now, change.started_at).into(),
            change.kind.as_str().into(),
            about(change).into(),
            change.origin.as_str().into(),
            change.by.as_str().into(),
            what(change).into(),
            change.link.as_str().into(),
        ]
    };
    let rows: Vec<_> = changes.iter().map(row).collect();
    table::render(columns, &rows, paint)
}

/// What was done, and how long it took where it took a while.
fn what(change: &RecordedChange) -> String {
    let took = change.finished_at.map(|at| at.since(change.started_at)).filter(|t| t.as_secs() > 0);
    match took {
        Some(took) => format!("{} (took {})", change.summary, spoken(took)),
        None => change.summary.clone(),
    }
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::event::{self, Subject};
    use gpuwarden_proto::vocab::{ChangeKind, NodeId, ServerName};

    use super::*;

    #[test]
    fn a_change_says_what_of_which_by_whom_and_where_more_is_written() {
        let seen = event::Change {
            subject: Subject::Server { server: ServerName::new("default").expect("a good name") },
            kind: ChangeKind::ServerRestarted,
            summary: "Triton default began anew: counters fell".to_owned(),
            version: String::new(),
        };
        let node = NodeId::new("node-a").expect("a good name");
        let at = Timestamp::from_unix_s;
        let seen = RecordedChange::observed(&node, at(60), &seen);
        let told = Told {
            key: Some("ci-7".to_owned()),
            about: vec![Entity::fleet(EntityKind::Service, "search")],
            by: "ann".to_owned(),
            link: "https://ci/7".to_owned(),
            started_at: Some(at(80)),
            finished_at: Some(at(140)),
            ..Told::new(ChangeKind::Rollout, ChangeOrigin::Webhook, "search 7")
        };
        let told = told.recorded(at(140)).expect("a good change");
        let table = render(&[told.clone(), seen], at(200), Paint::Plain);
        insta::assert_snapshot!(table, @r"
        AGE    CHANGE            OF                       ORIGIN   BY   WHAT                    LINK
        2 min  rollout           service search           webhook  ann  search 7 (took 1 min)   https://ci/7
        2 min  server-restarted  server default of node…  agent         Triton default began…
        ");
        insta::assert_snapshot!(receipt(&told, true), @"known already: rollout of service search, key ci-7");
    }
}
