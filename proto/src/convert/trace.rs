//! Traces of events.

use super::{Refused, parse};
use crate::pb;
use crate::time::Timestamp;
use crate::trace::Trace;
use crate::vocab::{Epoch, IncidentId, NodeId, Seq};

impl From<Trace> for pb::EventTrace {
    fn from(trace: Trace) -> Self {
        Self {
            node: trace.node.as_str().to_owned(),
            epoch: trace.epoch.0,
            seq: trace.seq.0,
            received_unix_ns: trace.received_at.unix_ns(),
            event: trace.event.map(Into::into),
            fate: trace.fate.as_str().to_owned(),
            incident: trace.incident.map_or(0, |id| id.0),
            through: trace.through.into_iter().map(|id| id.0).collect(),
            score: trace.score,
            reason: trace.reason,
            unsure: trace.unsure,
        }
    }
}

impl TryFrom<pb::EventTrace> for Trace {
    type Error = Refused;

    fn try_from(wire: pb::EventTrace) -> Result<Self, Refused> {
        Ok(Self {
            node: NodeId::new(&wire.node)
                .map_err(|error| Refused::because("trace.node")(error.to_string()))?,
            epoch: Epoch(wire.epoch),
            seq: Seq(wire.seq),
            received_at: Timestamp::from_unix_ns(wire.received_unix_ns),
            event: wire.event.map(TryInto::try_into).transpose()?,
            fate: parse("trace.fate", &wire.fate)?,
            incident: (wire.incident != 0).then_some(IncidentId(wire.incident)),
            through: wire.through.into_iter().map(IncidentId).collect(),
            score: wire.score,
            reason: wire.reason,
            unsure: wire.unsure,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Event, Gap};
    use crate::vocab::Fate;

    #[test]
    fn a_trace_comes_back_as_it_was() {
        let gap = Gap { count: 3, first_seq: 1, last_seq: 3, reason: "full".to_owned() };
        let at = Timestamp::from_unix_s(9);
        let trace = Trace {
            node: NodeId::new("node-a").expect("a good name"),
            epoch: Epoch(u64::MAX),
            seq: Seq(3),
            received_at: at,
            event: Some(Event { observed_at: at, body: Body::Gap(gap) }),
            fate: Fate::Gap,
            incident: Some(IncidentId(2)),
            through: vec![IncidentId(1)],
            score: Some(0.5),
            reason: "why".to_owned(),
            unsure: vec!["whether".to_owned()],
        };
        assert_eq!(pb::EventTrace::from(trace.clone()).try_into(), Ok(trace));
    }

    #[test]
    fn a_fate_that_is_not_known_is_refused() {
        let wire = pb::EventTrace {
            node: "node-a".to_owned(),
            fate: "eaten".to_owned(),
            ..Default::default()
        };
        let refused = Trace::try_from(wire).map_err(|refused| refused.field);
        assert_eq!(refused, Err("trace.fate"));
    }
}
