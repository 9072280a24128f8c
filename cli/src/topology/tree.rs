//! The fleet as a tree.

use gpuwarden_proto::entity::EntityKind;
use gpuwarden_proto::topology::{Branch, Totals};

use crate::client::Tree;
use crate::table::{self, Cell, fixed, flexible};
use crate::text::Paint;

/// The table, and what is not known of it.
pub(super) fn render(tree: &Tree, paint: Paint) -> String {
    if tree.branches.is_empty() {
        return "No node has been heard of yet, and no topology file names one.\n".to_owned();
    }
    let columns = [
        flexible("PLACE"),
        fixed("NODES"),
        fixed("GPUS"),
        fixed("MIG"),
        fixed("SERVERS"),
        fixed("MODELS"),
        fixed("OPEN"),
    ];
    let rows: Vec<_> = tree.branches.iter().map(row).collect();
    let mut text = table::render(columns, &rows, paint);
    for kind in [EntityKind::Cluster, EntityKind::Zone, EntityKind::Rack] {
        text += &unknown(tree, kind);
    }
    if tree.truncated {
        text += "\nThere is more than fits into one answer; ask for less with --depth.\n";
    }
    text
}

fn row(branch: &Branch) -> [Cell; 7] {
    let Totals { gpus, mig_instances, servers, replicas, open_incidents, .. } = branch.totals;
    let name = branch.name.as_deref().unwrap_or("unknown");
    let indent = branch.depth as usize * 2;
    let number = |number: u64| match number {
        0 => "-".to_owned(),
        number => number.to_string(),
    };
    [
        format!("{:indent$}{} {name}", "", branch.kind).into(),
        nodes(branch).into(),
        number(gpus).into(),
        number(mig_instances).into(),
        number(servers).into(),
        number(replicas).into(),
        number(open_incidents).into(),
    ]
}

/// How many nodes, and how many of them nothing is heard of; of a node itself only the latter.
fn nodes(branch: &Branch) -> String {
    let Totals { nodes, unheard, lost, .. } = branch.totals;
    if branch.kind == EntityKind::Node {
        return match (unheard, lost) {
            (0, 0) => "-".to_owned(),
            (0, _) => "lost".to_owned(),
            _ => "never heard of".to_owned(),
        };
    }
    let words = [(lost, "lost"), (unheard, "never heard of")];
    let told = words.into_iter().filter(|(count, _)| *count > 0);
    let told: Vec<String> = told.map(|(count, word)| format!("{count} {word}")).collect();
    if told.is_empty() { nodes.to_string() } else { format!("{nodes} ({})", told.join(", ")) }
}

/// A sentence on the nodes of which it is not known in what of a kind they stand.
fn unknown(tree: &Tree, kind: EntityKind) -> String {
    let nameless = |branch: &&Branch| branch.kind == kind && branch.name.is_none();
    let nodes: u64 = tree.branches.iter().filter(nameless).map(|b| b.totals.nodes).sum();
    match nodes {
        0 => String::new(),
        1 => format!(
            "\n{kind} unknown of 1 node: neither a topology file nor its label `{kind}` tells it."
        ),
        _ => format!(
            "\n{kind} unknown of {nodes} nodes: neither a topology file nor their label `{kind}` tells it."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(kind: EntityKind, name: Option<&str>, totals: Totals) -> Branch {
        let levels = [EntityKind::Cluster, EntityKind::Zone, EntityKind::Rack, EntityKind::Node];
        let depth = levels.iter().position(|level| *level == kind).expect("a level") as u32;
        Branch { depth, kind, name: name.map(Into::into), totals }
    }

    #[test]
    fn a_tree_says_what_there_is_and_what_is_unknown() {
        let all = Totals {
            nodes: 5,
            unheard: 1,
            lost: 1,
            gpus: 32,
            mig_instances: 7,
            servers: 4,
            replicas: 12,
            open_incidents: 2,
        };
        let one = Totals { nodes: 1, gpus: 8, ..Totals::default() };
        let branches = vec![
            branch(EntityKind::Cluster, Some("prod"), all),
            branch(EntityKind::Zone, Some("a"), Totals { unheard: 0, lost: 0, ..all }),
            branch(EntityKind::Rack, Some("r1"), Totals { nodes: 4, lost: 0, ..all }),
            branch(EntityKind::Node, Some("node-a"), one),
            branch(EntityKind::Node, Some("node-b"), Totals { lost: 1, ..one }),
            branch(EntityKind::Rack, None, one),
        ];
        let text = render(&Tree { branches, truncated: true }, Paint::Plain);
        insta::assert_snapshot!(text, @"");
    }
}
