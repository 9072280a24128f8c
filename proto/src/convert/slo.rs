//! Objectives as people and scripts see them.

use super::{Refused, parse};
use crate::pb;
use crate::slo::{Burn, Objective};

impl From<Objective> for pb::Objective {
    fn from(objective: Objective) -> Self {
        Self {
            service: objective.service,
            kind: objective.kind.as_str().to_owned(),
            target: objective.target,
            within_s: objective.within_s,
            critical: objective.critical,
            good: objective.good,
            total: objective.total,
            budget_left: objective.budget_left,
            burns: objective.burns.into_iter().map(Into::into).collect(),
            state: objective.state.as_str().to_owned(),
            reason: objective.reason,
            nodes: objective.nodes,
            nodes_silent: objective.nodes_silent,
        }
    }
}

impl TryFrom<pb::Objective> for Objective {
    type Error = Refused;

    fn try_from(wire: pb::Objective) -> Result<Self, Refused> {
        Ok(Self {
            service: wire.service,
            kind: parse("objective.kind", &wire.kind)?,
            target: wire.target,
            within_s: wire.within_s,
            critical: wire.critical,
            good: wire.good,
            total: wire.total,
            budget_left: wire.budget_left,
            burns: wire.burns.into_iter().map(Into::into).collect(),
            state: parse("objective.state", &wire.state)?,
            reason: wire.reason,
            nodes: wire.nodes,
            nodes_silent: wire.nodes_silent,
        })
    }
}

impl From<Burn> for pb::Burn {
    fn from(burn: Burn) -> Self {
        let Burn { window_s, rate, good, total } = burn;
        Self { window_s, rate, good, total }
    }
}

impl From<pb::Burn> for Burn {
    fn from(wire: pb::Burn) -> Self {
        let pb::Burn { window_s, rate, good, total } = wire;
        Self { window_s, rate, good, total }
    }
}
