//! The fleet as a tree: cluster, zone, rack, node, with what there is in each. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::topology::{Branch, Totals};
use gpuwarden_proto::vocab::{IncidentId, NodeId};

use super::View;
use crate::node::Link;

/// The kinds of branches, from the root outward.
pub const LEVELS: [EntityKind; 4] =
    [EntityKind::Cluster, EntityKind::Zone, EntityKind::Rack, EntityKind::Node];

/// A name on the way to a branch. What is unknown comes last.
type Step = (bool, Option<Arc<str>>);

/// What there is in a part of the fleet, while it is added up.
#[derive(Debug, Default)]
pub(super) struct Sum {
    totals: Totals,
    /// An incident may have members on many nodes.
    incidents: BTreeSet<IncidentId>,
}

impl Sum {
    pub(super) fn totals(self) -> Totals {
        Totals { open_incidents: self.incidents.len() as u64, ..self.totals }
    }
}

impl View<'_> {
    /// The branches down to `deepest`, each followed by what is in it. `incidents` gives those of a node
    /// that are not over.
    #[must_use]
    pub fn tree(
        &self,
        deepest: EntityKind,
        incidents: impl Fn(&NodeId) -> BTreeSet<IncidentId>,
    ) -> Vec<Branch> {
        let depth = LEVELS.iter().position(|kind| *kind == deepest).unwrap_or(LEVELS.len() - 1);
        let mut larger = HashMap::new();
        let mut sums: BTreeMap<Vec<Step>, Sum> = BTreeMap::new();
        for node in self.all_nodes() {
            let path = self.path(node, &mut larger);
            let own = incidents(node);
            for length in 1..=depth + 1 {
                self.add(node, &own, sums.entry(path[..length].to_vec()).or_default());
            }
        }
        let branch = |(path, sum): (Vec<Step>, Sum)| {
            let depth = path.len() - 1;
            let name = path.into_iter().next_back().and_then(|(_, name)| name);
            let kind = LEVELS[depth];
            Branch { depth: u32::try_from(depth).unwrap_or(0), kind, name, totals: sum.totals() }
        };
        sums.into_iter().map(branch).collect()
    }

    /// What there is on some nodes.
    #[must_use]
    pub fn totals<'n>(
        &self,
        nodes: impl Iterator<Item = &'n NodeId>,
        incidents: impl Fn(&NodeId) -> BTreeSet<IncidentId>,
    ) -> Totals {
        let mut sum = Sum::default();
        nodes.for_each(|node| self.add(node, &incidents(node), &mut sum));
        sum.totals()
    }

    /// The nodes that a cluster, zone, rack, driver, tenant or node is made of; `None` for all else.
    #[must_use]
    pub fn nodes_of(&self, entity: &Entity) -> Option<Vec<NodeId>> {
        match (entity.kind, &entity.node) {
            (EntityKind::Node, Some(node)) => Some(vec![node.clone()]),
            (kind, None) if super::GROUPS.contains(&kind) => {
                Some(self.graph.nodes(entity).cloned().collect())
            }
            _ => None,
        }
    }

    /// Nodes that have been heard of, and those that only the file names.
    fn all_nodes(&self) -> BTreeSet<&NodeId> {
        self.nodes.keys().chain(self.graph.sites.keys()).collect()
    }

    /// The way to a node. What a rack or a zone is in is asked once.
    fn path(
        &self,
        node: &NodeId,
        larger: &mut HashMap<Entity, Option<Entity>>,
    ) -> [Step; LEVELS.len()] {
        let mut path: [Step; LEVELS.len()] = std::array::from_fn(|_| (true, None));
        path[LEVELS.len() - 1] = (false, Some(node.as_str().into()));
        let told = |kind| self.graph.group_of(node, kind);
        let mut next = told(EntityKind::Rack)
            .or_else(|| told(EntityKind::Zone))
            .or_else(|| told(EntityKind::Cluster));
        while let Some(group) = next {
            if let Some(level) = LEVELS.iter().position(|kind| *kind == group.kind) {
                path[level] = (false, Some(Arc::clone(&group.name)));
            }
            next = larger.entry(group).or_insert_with_key(|part| self.graph.larger(part)).clone();
        }
        path
    }

    fn add(&self, node: &NodeId, incidents: &BTreeSet<IncidentId>, to: &mut Sum) {
        let totals = &mut to.totals;
        totals.nodes += 1;
        to.incidents.extend(incidents);
        let Some(known) = self.nodes.get(node) else {
            totals.unheard += 1;
            return;
        };
        totals.lost += u64::from(known.link == Link::Lost);
        let Some(snapshot) = &known.snapshot else { return };
        let instances = snapshot.gpus.iter().filter(|gpu| gpu.uuid.is_mig()).count() as u64;
        totals.gpus += snapshot.gpus.len() as u64 - instances;
        totals.mig_instances += instances;
        totals.servers += snapshot.servers.len() as u64;
        totals.replicas += self.replicas.on(node).len() as u64;
    }
}
