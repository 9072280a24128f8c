//! Nodes as people and scripts see them.

use super::Refused;
use super::event::unknown_number;
use crate::fleet::Node;
use crate::pb;
use crate::time::Timestamp;
use crate::vocab::{NodeId, NodeState};

fn node_id(text: &str) -> Result<NodeId, Refused> {
    NodeId::new(text).map_err(|error| Refused::because("node")(error.to_string()))
}

impl From<Node> for pb::Node {
    fn from(node: Node) -> Self {
        let state = match node.state {
            NodeState::Connected => pb::NodeState::Connected,
            NodeState::Disconnected => pb::NodeState::Disconnected,
            NodeState::Lost => pb::NodeState::Lost,
            NodeState::Stopped => pb::NodeState::Stopped,
        };
        Self {
            id: node.id.as_str().to_owned(),
            state: state.into(),
            last_seen_unix_ns: node.last_seen_at.unix_ns(),
            agent_version: node.agent_version,
            snapshot: node.snapshot.map(Into::into),
            outbox_rows: node.outbox_rows,
            open_incidents: node.open_incidents,
        }
    }
}

impl TryFrom<pb::Node> for Node {
    type Error = Refused;

    fn try_from(wire: pb::Node) -> Result<Self, Refused> {
        let state = match pb::NodeState::try_from(wire.state) {
            Ok(pb::NodeState::Connected) => NodeState::Connected,
            Ok(pb::NodeState::Disconnected) => NodeState::Disconnected,
            Ok(pb::NodeState::Lost) => NodeState::Lost,
            Ok(pb::NodeState::Stopped) => NodeState::Stopped,
            Ok(pb::NodeState::Unspecified) | Err(_) => {
                return Err(unknown_number("node.state", wire.state));
            }
        };
        Ok(Self {
            id: node_id(&wire.id)?,
            state,
            last_seen_at: Timestamp::from_unix_ns(wire.last_seen_unix_ns),
            agent_version: wire.agent_version,
            snapshot: wire.snapshot.map(TryInto::try_into).transpose()?,
            outbox_rows: wire.outbox_rows,
            open_incidents: wire.open_incidents,
        })
    }
}
