//! The trouble that an incident has with a model, summed over its members: what other findings are
//! held against, however many members there are. Pure.

use std::time::Duration;

use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentType, ModelName, NodeId, RuleId};

use crate::classify::type_of;

/// So long after its beginning trouble may draw in more of its kind: what goes on for longer is told
/// apart from what begins anew.
const GROWTH: Duration = Duration::from_secs(30 * 60);

/// Trouble of one type that one model has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Which model.
    pub model: ModelName,
    /// What was found first.
    pub rule: RuleId,
    /// Where that was.
    pub node: Option<NodeId>,
    /// Other nodes have it too.
    pub several: bool,
    /// When it began on the first node.
    pub first_at: Timestamp,
    /// When it began on the last one so far.
    pub last_at: Timestamp,
}

impl Trouble {
    /// The trouble that one member is of its model.
    pub(super) fn of(model: &ModelName, member: &Member) -> Self {
        Self {
            model: model.clone(),
            rule: member.rule,
            node: member.node.clone(),
            several: false,
            first_at: member.raised_at,
            last_at: member.raised_at,
        }
    }

    /// Its type.
    pub(super) const fn kind(&self) -> IncidentType {
        type_of(self.rule)
    }

    /// Another member has it.
    pub(super) fn spread(&mut self, member: &Member) {
        self.several |= self.node != member.node;
        if member.raised_at < self.first_at {
            self.first_at = member.raised_at;
            self.rule = member.rule;
            self.node.clone_from(&member.node);
        }
        self.last_at = self.last_at.max(member.raised_at);
    }

    /// The node that has it, as people say it.
    pub(super) fn site(&self) -> &str {
        self.node.as_ref().map_or("no node", NodeId::as_str)
    }

    /// Whether a node other than this one has it.
    pub(super) fn is_beside(&self, node: &NodeId) -> bool {
        self.several || self.node.as_ref() != Some(node)
    }

    /// How far a moment is from the time in which it spread.
    pub(super) fn apart(&self, at: Timestamp) -> Duration {
        let last_at = self.last_at.min(self.first_at.after(GROWTH));
        self.first_at.since(at).max(at.since(last_at))
    }
}
