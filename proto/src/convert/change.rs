//! Changes.

use super::{Refused, each, optional_time, parse};
use crate::change::{ABOUT_MAX, ChangeKey, ChangeOrigin, RecordedChange, Told};
use crate::event::Change;
use crate::pb;
use crate::time::Timestamp;
use crate::vocab::NodeId;

impl From<RecordedChange> for pb::RecordedChange {
    fn from(change: RecordedChange) -> Self {
        Self {
            key: change.key.as_str().to_owned(),
            kind: change.kind.as_str().to_owned(),
            about: change.about.into_iter().map(Into::into).collect(),
            summary: change.summary,
            by: change.by,
            origin: change.origin.as_str().to_owned(),
            link: change.link,
            started_unix_ns: change.started_at.unix_ns(),
            finished_unix_ns: change.finished_at.map_or(0, Timestamp::unix_ns),
            before: change.before,
            after: change.after,
            ..Self::default()
        }
    }
}

impl TryFrom<pb::RecordedChange> for RecordedChange {
    type Error = Refused;

    fn try_from(wire: pb::RecordedChange) -> Result<Self, Refused> {
        if let Some(seen) = wire.change {
            return seen_before(&wire.node, wire.observed_unix_ns, seen);
        }
        if wire.about.len() > ABOUT_MAX {
            return Err(too_much());
        }
        Ok(Self {
            key: ChangeKey::new(&wire.key)
                .map_err(|error| Refused::because("change.key")(error.to_string()))?,
            kind: parse("change.kind", &wire.kind)?,
            about: each(wire.about, TryInto::try_into)?,
            summary: wire.summary,
            by: wire.by,
            origin: parse("change.origin", &wire.origin)?,
            link: wire.link,
            started_at: Timestamp::from_unix_ns(wire.started_unix_ns),
            finished_at: optional_time(wire.finished_unix_ns),
            before: wire.before,
            after: wire.after,
        })
    }
}

/// A change as it is told: without a key, without a start, where that is not known.
impl From<Told> for pb::RecordedChange {
    fn from(told: Told) -> Self {
        Self {
            key: told.key.unwrap_or_default(),
            kind: told.kind.as_str().to_owned(),
            about: told.about.into_iter().map(Into::into).collect(),
            summary: told.summary,
            by: told.by,
            origin: told.origin.as_str().to_owned(),
            link: told.link,
            started_unix_ns: told.started_at.map_or(0, Timestamp::unix_ns),
            finished_unix_ns: told.finished_at.map_or(0, Timestamp::unix_ns),
            before: told.before,
            after: told.after,
            ..Self::default()
        }
    }
}

impl TryFrom<pb::RecordedChange> for Told {
    type Error = Refused;

    fn try_from(wire: pb::RecordedChange) -> Result<Self, Refused> {
        if wire.about.len() > ABOUT_MAX {
            return Err(too_much());
        }
        Ok(Self {
            key: (!wire.key.is_empty()).then_some(wire.key),
            kind: parse("change.kind", &wire.kind)?,
            about: each(wire.about, TryInto::try_into)?,
            summary: wire.summary,
            by: wire.by,
            origin: match wire.origin.as_str() {
                "" => ChangeOrigin::Person,
                word => match parse("change.origin", word)? {
                    ChangeOrigin::Agent => return Err(only_streams()),
                    origin => origin,
                },
            },
            link: wire.link,
            started_at: optional_time(wire.started_unix_ns),
            finished_at: optional_time(wire.finished_unix_ns),
            before: wire.before,
            after: wire.after,
        })
    }
}

fn only_streams() -> Refused {
    let fault = "only the stream of a node tells what its agent saw".to_owned();
    Refused { field: "change.origin", fault }
}

fn too_much() -> Refused {
    Refused { field: "change.about", fault: format!("names more than {ABOUT_MAX} things") }
}

/// What stores before version 3 kept: no more than what an agent saw.
fn seen_before(node: &str, observed_ns: u64, seen: pb::Change) -> Result<RecordedChange, Refused> {
    let node =
        NodeId::new(node).map_err(|error| Refused::because("change.node")(error.to_string()))?;
    let seen: Change = seen.try_into()?;
    Ok(RecordedChange::observed(&node, Timestamp::from_unix_ns(observed_ns), &seen))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::{decode_change, encode_change};
    use crate::entity::Entity;
    use crate::event::Subject;
    use crate::vocab::{ChangeKind, EntityKind};
    use prost::Message as _;

    #[test]
    fn a_change_comes_back_as_it_was() {
        let at = Timestamp::from_unix_s(9);
        let told = Told {
            key: Some("ci-1".to_owned()),
            about: vec![
                Entity::fleet(EntityKind::Service, "search"),
                Entity::node(&NodeId::new("node-a").unwrap()),
            ],
            by: "ann".to_owned(),
            link: "https://ci/1".to_owned(),
            finished_at: Some(at),
            before: "6".to_owned(),
            after: "7".to_owned(),
            ..Told::new(ChangeKind::Rollout, ChangeOrigin::Kubernetes, "search 7")
        };
        assert_eq!(Told::try_from(pb::RecordedChange::from(told.clone())), Ok(told.clone()));
        let change = told.recorded(at).unwrap();
        assert_eq!(decode_change(&encode_change(&change)), Ok(change));
    }

    #[test]
    fn what_an_older_version_kept_is_still_read() {
        let (kind, version) = (ChangeKind::DriverChanged, "570.1".to_owned());
        let seen = Change { subject: Subject::Node, kind, summary: "newer".to_owned(), version };
        let (node, at) = (NodeId::new("node-a").unwrap(), Timestamp::from_unix_s(9));
        let old = pb::RecordedChange {
            node: "node-a".to_owned(),
            observed_unix_ns: at.unix_ns(),
            change: Some(seen.clone().into()),
            ..pb::RecordedChange::default()
        };
        let read = decode_change(&old.encode_to_vec());
        assert_eq!(read, Ok(RecordedChange::observed(&node, at, &seen)));
    }

    #[test]
    fn a_word_that_is_not_known_is_refused_with_its_field() {
        let wire = pb::RecordedChange { key: "k".to_owned(), ..Default::default() };
        let refused = RecordedChange::try_from(wire).unwrap_err();
        assert_eq!(refused.field, "change.kind");
    }
}
