//! Incidents in a table, worst first.

use std::cmp::Reverse;

use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentState, Severity};

use crate::client::IncidentList;
use crate::quantity::age;
use crate::table::{self, Cell, fixed, flexible};
use crate::text::Paint;

/// The order in which incidents are shown: what is over comes last, then by severity, then the
/// newest first.
pub fn worst_first(incident: &Incident) -> (bool, Severity, Reverse<u64>) {
    let over = incident.state == IncidentState::Resolved;
    (over, incident.severity, Reverse(incident.id.0))
}

/// The table and a line below it that counts.
pub fn render(list: &IncidentList, now: Timestamp, paint: Paint) -> String {
    if list.incidents.is_empty() {
        return match list.held_back {
            0 => "No open incidents.\n".to_owned(),
            held => format!("No open incidents, {held} held back; --held lists them\n"),
        };
    }
    let columns = [
        fixed("ID"),
        fixed("SEV"),
        fixed("TYPE"),
        fixed("STATE"),
        fixed("AGE"),
        flexible("TAKEN BY"),
        flexible("WHAT"),
    ];
    let row = |incident: &Incident| -> [Cell; 7] {
        [
            incident.id.to_string().into(),
            incident.severity.into(),
            incident.kind.as_str().into(),
            state(incident).into(),
            age(now, incident.opened_at).into(),
            incident.acknowledged_by.as_deref().unwrap_or("-").into(),
            what(incident).into(),
        ]
    };
    let rows: Vec<_> = list.incidents.iter().map(row).collect();
    table::render(columns, &rows, paint) + &count(list)
}

/// Its title, and before it where it went on.
fn what(incident: &Incident) -> String {
    match incident.merged_into {
        Some(into) => format!("goes on as {into}: {}", incident.title),
        None => incident.title.clone(),
    }
}

/// Where it stands, in a word.
fn state(incident: &Incident) -> &'static str {
    if incident.merged_into.is_some() {
        return "merged";
    }
    match incident.state {
        IncidentState::Open | IncidentState::Acknowledged if incident.held_since.is_some() => {
            "held back"
        }
        state => state.as_str(),
    }
}

fn count(list: &IncidentList) -> String {
    let over = |incident: &&Incident| incident.state == IncidentState::Resolved;
    let resolved = list.incidents.iter().filter(over).count();
    let merged = list.incidents.iter().filter(|each| each.merged_into.is_some()).count();
    let held =
        list.incidents.iter().filter(|each| !over(each) && each.held_since.is_some()).count();
    let open = list.incidents.len() - resolved - held;
    let mut text = match (open, held) {
        (0, held) if held > 0 => format!("{held} held back"),
        (open, 0) => format!("{open} open"),
        (open, held) => format!("{open} open, {held} held back"),
    };
    for (count, word) in [(resolved - merged, "resolved"), (merged, "merged")] {
        if count > 0 {
            text += &format!(", {count} {word}");
        }
    }
    if list.held_back > 0 {
        text += &format!(", {} held back; --held lists them", list.held_back);
    }
    if list.truncated {
        text += "; there are more: --limit N shows them";
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incidents::sample;

    fn list(mut incidents: Vec<Incident>) -> String {
        incidents.sort_by_key(worst_first);
        let list = IncidentList { incidents, truncated: false, held_back: 0 };
        render(&list, sample::NOW, Paint::Plain)
    }

    #[test]
    fn the_worst_stands_first_and_what_is_over_last() {
        let incidents = vec![sample::noisy_neighbour(), sample::resolved(), sample::lost_gpu()];
        insta::assert_snapshot!(list(incidents), @r#"
        ID  SEV  TYPE             STATE         AGE     TAKEN BY  WHAT
        #3  P2   gpu-hardware     open          12 min  -         GPU 1 of node-b is lost (XID 79)
        #2  P3   noisy-neighbour  acknowledged  12 min  on-call   resnet50 on node-b is 1.9 times slower th…
        #1  P1   gpu-oom          resolved      12 min  -         memory of node-b GPU 1 is gone
        2 open, 1 resolved
        "#);
    }

    #[test]
    fn what_went_on_as_another_is_told_from_what_is_over() {
        let incidents = vec![sample::rack(), sample::merged(), sample::resolved()];
        insta::assert_snapshot!(list(incidents), @r#"
        ID  SEV  TYPE              STATE     AGE     TAKEN BY  WHAT
        #5  P1   node-unreachable  open      12 min  -         rack r7: 3 nodes, node-b has not been heard…
        #1  P1   gpu-oom           resolved  12 min  -         memory of node-b GPU 1 is gone
        #4  P3   node-unreachable  merged    12 min  -         goes on as #5: node-d has not been heard of…
        1 open, 1 resolved, 1 merged
        "#);
    }

    #[test]
    fn nothing_open_is_one_quiet_line() {
        assert_eq!(list(Vec::new()), "No open incidents.\n");
    }

    #[test]
    fn more_than_the_limit_is_said() {
        let list =
            IncidentList { incidents: vec![sample::lost_gpu()], truncated: true, held_back: 0 };
        let text = render(&list, sample::NOW, Paint::Plain);
        assert!(text.ends_with("1 open; there are more: --limit N shows them\n"), "{text}");
    }

    #[test]
    fn what_is_held_back_is_counted_and_shown_to_who_asks() {
        let mut list =
            IncidentList { incidents: vec![sample::held()], truncated: false, held_back: 0 };
        let shown = render(&list, sample::NOW, Paint::Plain);
        list.incidents = vec![sample::lost_gpu()];
        list.held_back = 3;
        let counted = render(&list, sample::NOW, Paint::Plain);
        list.incidents.clear();
        let none = render(&list, sample::NOW, Paint::Plain);
        insta::assert_snapshot!([shown, counted, none].join("\n"), @r"
        ID  SEV  TYPE          STATE      AGE     TAKEN BY  WHAT
        #3  P2   gpu-hardware  held back  12 min  -         GPU 1 of node-b is lost (XID 79)
        1 held back

        ID  SEV  TYPE          STATE  AGE     TAKEN BY  WHAT
        #3  P2   gpu-hardware  open   12 min  -         GPU 1 of node-b is lost (XID 79)
        1 open, 3 held back; --held lists them

        No open incidents, 3 held back; --held lists them
        ");
    }
}
