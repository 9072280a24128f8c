//! What a candidate config would have done otherwise.

use super::{Refused, each, optional_time, parse};
use crate::pb;
use crate::shadow::{Difference, Report, Side};
use crate::time::Timestamp;
use crate::vocab::{DifferenceKind, IncidentId};

impl From<Report> for pb::ShadowReport {
    fn from(report: Report) -> Self {
        let count = |(kind, count): (DifferenceKind, u64)| pb::ShadowCount {
            kind: kind.as_str().to_owned(),
            count,
        };
        Self {
            since_unix_ns: report.since.unix_ns(),
            until_unix_ns: report.until.unix_ns(),
            live: report.live,
            shadow: report.shadow,
            alike: report.alike,
            counts: report.counts.into_iter().map(count).collect(),
            differences: report.differences.into_iter().map(Into::into).collect(),
            unlisted: report.unlisted,
            skipped: report.skipped,
            lapses: report.lapses,
            paused: report.paused,
        }
    }
}

impl TryFrom<pb::ShadowReport> for Report {
    type Error = Refused;

    fn try_from(wire: pb::ShadowReport) -> Result<Self, Refused> {
        let count = |wire: pb::ShadowCount| {
            Ok((parse::<DifferenceKind>("shadow.counts.kind", &wire.kind)?, wire.count))
        };
        Ok(Self {
            since: Timestamp::from_unix_ns(wire.since_unix_ns),
            until: Timestamp::from_unix_ns(wire.until_unix_ns),
            live: wire.live,
            shadow: wire.shadow,
            alike: wire.alike,
            counts: wire.counts.into_iter().map(count).collect::<Result<_, Refused>>()?,
            differences: each(wire.differences, TryInto::try_into)?,
            unlisted: wire.unlisted,
            skipped: wire.skipped,
            lapses: wire.lapses,
            paused: wire.paused,
        })
    }
}

impl From<Difference> for pb::ShadowDifference {
    fn from(difference: Difference) -> Self {
        Self {
            kind: difference.kind.as_str().to_owned(),
            live: difference.live.into_iter().map(Into::into).collect(),
            shadow: difference.shadow.into_iter().map(Into::into).collect(),
            text: difference.text,
        }
    }
}

impl TryFrom<pb::ShadowDifference> for Difference {
    type Error = Refused;

    fn try_from(wire: pb::ShadowDifference) -> Result<Self, Refused> {
        Ok(Self {
            kind: parse("shadow.difference.kind", &wire.kind)?,
            live: each(wire.live, TryInto::try_into)?,
            shadow: each(wire.shadow, TryInto::try_into)?,
            text: wire.text,
        })
    }
}

impl From<Side> for pb::ShadowSide {
    fn from(side: Side) -> Self {
        Self {
            id: side.id.0,
            r#type: side.kind.as_str().to_owned(),
            severity: side.severity.as_str().to_owned(),
            state: side.state.as_str().to_owned(),
            title: side.title,
            members: side.members,
            detected_unix_ns: side.detected_at.unix_ns(),
            resolved_unix_ns: side.resolved_at.map_or(0, Timestamp::unix_ns),
        }
    }
}

impl TryFrom<pb::ShadowSide> for Side {
    type Error = Refused;

    fn try_from(wire: pb::ShadowSide) -> Result<Self, Refused> {
        Ok(Self {
            id: IncidentId(wire.id),
            kind: parse("shadow.side.type", &wire.r#type)?,
            severity: parse("shadow.side.severity", &wire.severity)?,
            state: parse("shadow.side.state", &wire.state)?,
            title: wire.title,
            members: wire.members,
            detected_at: Timestamp::from_unix_ns(wire.detected_unix_ns),
            resolved_at: optional_time(wire.resolved_unix_ns),
        })
    }
}
