//! One thing of the fleet.

use gpuwarden_proto::entity::Entity;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::topology::{Edge, OpenIncident, Portrait, Totals};
use gpuwarden_proto::vocab::EdgeKind;

use crate::page::Page;
use crate::quantity::ago;
use crate::text::{Paint, WIDTH, clean};

/// Things of one kind that are listed.
const LISTED_MAX: usize = 24;

/// Words for an edge; `None` where they would say again what stands there already.
type Words = Option<&'static str>;

/// How an edge is told: where the thing is its beginning, and where it is its end.
const WORDS: [(EdgeKind, Words, Words); 5] = [
    (EdgeKind::Contains, Some("holds"), None),
    (EdgeKind::Serves, Some("serves"), Some("served by")),
    (EdgeKind::DependsOn, Some("depends on"), Some("needed by")),
    (EdgeKind::CoLocated, Some("beside"), None),
    (EdgeKind::ChangedBy, Some("was given"), Some("given to")),
];

/// The page.
pub(super) fn render(portrait: &Portrait, now: Timestamp, paint: Paint) -> String {
    let mut page = Page::new(WIDTH);
    page.line(&clean(&portrait.entity.to_string()));
    if !portrait.ancestors.is_empty() {
        let names: Vec<String> =
            portrait.ancestors.iter().map(|each| name(each, portrait)).collect();
        page.labelled("in", &names.join(", "));
    }
    if let Some(totals) = &portrait.totals {
        page.labelled("has", &has(totals));
    }
    for (kind, out, into) in WORDS {
        let of_kind = || portrait.edges.iter().filter(move |edge| edge.kind == kind);
        let begun = of_kind().filter(|edge| edge.from == portrait.entity);
        let begun: Vec<_> = begun.map(|edge| (&edge.to, edge)).collect();
        list(&mut page, out, &begun, portrait, now);
        let ended = of_kind().filter(|edge| edge.to == portrait.entity);
        let ended: Vec<_> = ended.map(|edge| (&edge.from, edge)).collect();
        list(&mut page, into, &ended, portrait, now);
    }
    let left_out = portrait.edges_total.saturating_sub(portrait.edges.len() as u64);
    if left_out > 0 {
        page.labelled("", &format!("and {left_out} more that do not fit into one answer"));
    }
    for sentence in &portrait.unknown {
        page.labelled("unknown", sentence);
    }
    open(&mut page, portrait, paint);
    page.text()
}

fn list(
    page: &mut Page,
    label: Option<&str>,
    ends: &[(&Entity, &Edge)],
    portrait: &Portrait,
    now: Timestamp,
) {
    let (Some(label), false) = (label, ends.is_empty()) else { return };
    let told = |(entity, edge): &(&Entity, &Edge)| match edge.at {
        Some(at) => format!("{} {}", name(entity, portrait), ago(now, at)),
        None => name(entity, portrait),
    };
    let mut names: Vec<String> = ends.iter().take(LISTED_MAX).map(told).collect();
    if ends.len() > LISTED_MAX {
        names.push(format!("{} others", ends.len() - LISTED_MAX));
    }
    page.labelled(label, &names.join(", "));
}

/// A thing by its name; its node is not told again where it is that of the portrait.
fn name(entity: &Entity, portrait: &Portrait) -> String {
    if entity.node == portrait.entity.node {
        format!("{} {}", entity.kind, entity.name)
    } else {
        entity.to_string()
    }
}

fn has(totals: &Totals) -> String {
    let words = [
        (totals.nodes, "nodes"),
        (totals.lost, "lost"),
        (totals.unheard, "never heard of"),
        (totals.gpus, "GPUs"),
        (totals.mig_instances, "MIG instances"),
        (totals.servers, "servers"),
        (totals.replicas, "models on servers"),
    ];
    let told = words.into_iter().filter(|(count, _)| *count > 0);
    let told: Vec<String> = told.map(|(count, word)| format!("{count} {word}")).collect();
    if told.is_empty() { "nothing that is known".to_owned() } else { told.join(", ") }
}

fn open(page: &mut Page, portrait: &Portrait, paint: Paint) {
    if portrait.open.is_empty() {
        page.labelled("open", "no incident");
    }
    for OpenIncident { id, severity, kind, title } in &portrait.open {
        let severity = paint.severity(*severity, severity.as_str());
        page.line(&format!("  {:<10}{id} {severity} {kind}: {}", "open", clean(title)));
    }
    let left_out = portrait.open_total.saturating_sub(portrait.open.len() as u64);
    if left_out > 0 {
        page.labelled("", &format!("and {left_out} more"));
    }
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::entity::EntityKind;
    use gpuwarden_proto::vocab::{GpuUuid, IncidentId, IncidentType, NodeId, Severity};

    use super::*;

    #[test]
    fn a_thing_says_where_it_is_what_needs_it_and_what_is_open() {
        let node = NodeId::new("node-a").expect("a good name");
        let gpu = |uuid| Entity::gpu(&node, &GpuUuid::new(uuid).expect("a good uuid"));
        let replica = Entity {
            kind: EntityKind::Replica,
            name: "default/bert:1".into(),
            node: Some(node.clone()),
        };
        let edge = |from: &Entity, kind, to: &Entity, at| Edge {
            from: from.clone(),
            kind,
            to: to.clone(),
            at,
        };
        let (whole, part) = (gpu("GPU-1"), gpu("MIG-1"));
        let version = Entity::fleet(EntityKind::Version, "bert:1");
        let at = Some(Timestamp::from_unix_s(1_000));
        let portrait = Portrait {
            entity: whole.clone(),
            ancestors: vec![Entity::node(&node), Entity::fleet(EntityKind::Rack, "r1")],
            unknown: vec!["zone unknown: there is no topology file".to_owned()],
            totals: None,
            edges: vec![
                edge(&Entity::node(&node), EdgeKind::Contains, &whole, None),
                edge(&whole, EdgeKind::Contains, &part, None),
                edge(&replica, EdgeKind::DependsOn, &whole, None),
                edge(&whole, EdgeKind::ChangedBy, &version, at),
            ],
            edges_total: 5,
            open: vec![OpenIncident {
                id: IncidentId(7),
                severity: Severity::P2,
                kind: IncidentType::GpuHardware,
                title: "GPU 1 of node-a is lost".to_owned(),
            }],
            open_total: 1,
        };
        let text = render(&portrait, Timestamp::from_unix_s(1_060), Paint::Plain);
        insta::assert_snapshot!(text, @r"
        gpu GPU-1 of node-a
          in        node node-a, rack r1
          holds     mig-instance MIG-1
          needed by replica default/bert:1
          was given version bert:1 1 min ago
                    and 1 more that do not fit into one answer
          unknown   zone unknown: there is no topology file
          open      #7 P2 gpu-hardware: GPU 1 of node-a is lost
        ");
    }
}
