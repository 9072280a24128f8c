//! The fleet as people and scripts see it.

use super::{Refused, each, optional_time, parse};
use crate::entity::Entity;
use crate::pb;
use crate::time::Timestamp;
use crate::topology::{Branch, Edge, OpenIncident, Portrait, Totals};
use crate::vocab::IncidentId;

fn present(wire: Option<pb::Entity>, field: &'static str) -> Result<Entity, Refused> {
    wire.ok_or_else(|| Refused::missing(field))?.try_into()
}

impl From<Totals> for pb::Totals {
    fn from(totals: Totals) -> Self {
        let Totals { nodes, unheard, lost, gpus, mig_instances, servers, replicas, open_incidents } =
            totals;
        Self { nodes, unheard, lost, gpus, mig_instances, servers, replicas, open_incidents }
    }
}

impl From<pb::Totals> for Totals {
    fn from(wire: pb::Totals) -> Self {
        let pb::Totals {
            nodes,
            unheard,
            lost,
            gpus,
            mig_instances,
            servers,
            replicas,
            open_incidents,
        } = wire;
        Self { nodes, unheard, lost, gpus, mig_instances, servers, replicas, open_incidents }
    }
}

impl From<Branch> for pb::Branch {
    fn from(branch: Branch) -> Self {
        Self {
            depth: branch.depth,
            kind: branch.kind.as_str().to_owned(),
            name: branch.name.map(|name| name.to_string()),
            totals: Some(branch.totals.into()),
        }
    }
}

impl TryFrom<pb::Branch> for Branch {
    type Error = Refused;

    fn try_from(wire: pb::Branch) -> Result<Self, Refused> {
        Ok(Self {
            depth: wire.depth,
            kind: parse("branch.kind", &wire.kind)?,
            name: wire.name.map(Into::into),
            totals: wire.totals.unwrap_or_default().into(),
        })
    }
}

impl From<Edge> for pb::Edge {
    fn from(edge: Edge) -> Self {
        Self {
            from: Some(edge.from.into()),
            kind: edge.kind.as_str().to_owned(),
            to: Some(edge.to.into()),
            at_unix_ns: edge.at.map_or(0, Timestamp::unix_ns),
        }
    }
}

impl TryFrom<pb::Edge> for Edge {
    type Error = Refused;

    fn try_from(wire: pb::Edge) -> Result<Self, Refused> {
        Ok(Self {
            from: present(wire.from, "edge.from")?,
            kind: parse("edge.kind", &wire.kind)?,
            to: present(wire.to, "edge.to")?,
            at: optional_time(wire.at_unix_ns),
        })
    }
}

impl From<OpenIncident> for pb::OpenIncident {
    fn from(open: OpenIncident) -> Self {
        Self {
            id: open.id.0,
            severity: open.severity.as_str().to_owned(),
            r#type: open.kind.as_str().to_owned(),
            title: open.title,
        }
    }
}

impl TryFrom<pb::OpenIncident> for OpenIncident {
    type Error = Refused;

    fn try_from(wire: pb::OpenIncident) -> Result<Self, Refused> {
        Ok(Self {
            id: IncidentId(wire.id),
            severity: parse("severity", &wire.severity)?,
            kind: parse("type", &wire.r#type)?,
            title: wire.title,
        })
    }
}

impl From<Portrait> for pb::Portrait {
    fn from(portrait: Portrait) -> Self {
        Self {
            entity: Some(portrait.entity.into()),
            ancestors: portrait.ancestors.into_iter().map(Into::into).collect(),
            unknown: portrait.unknown,
            totals: portrait.totals.map(Into::into),
            edges: portrait.edges.into_iter().map(Into::into).collect(),
            edges_total: portrait.edges_total,
            open: portrait.open.into_iter().map(Into::into).collect(),
            open_total: portrait.open_total,
        }
    }
}

impl TryFrom<pb::Portrait> for Portrait {
    type Error = Refused;

    fn try_from(wire: pb::Portrait) -> Result<Self, Refused> {
        Ok(Self {
            entity: present(wire.entity, "portrait.entity")?,
            ancestors: each(wire.ancestors, TryInto::try_into)?,
            unknown: wire.unknown,
            totals: wire.totals.map(Into::into),
            edges: each(wire.edges, TryInto::try_into)?,
            edges_total: wire.edges_total,
            open: each(wire.open, TryInto::try_into)?,
            open_total: wire.open_total,
        })
    }
}
