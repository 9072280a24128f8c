//! Changes that other systems tell of: a plain form, CloudEvents with CDEvents among them, and the
//! change events of PagerDuty's format. Pure.
//!
//! - [`plain`]: our own form, one change or a list of them
//! - [`event`]: CloudEvents 1.0
//! - [`enqueued`]: what is posted to `/v2/change/enqueue`

pub mod enqueued;
pub mod event;
pub mod plain;

use gpuwarden_proto::change::{ChangeKind, Told};
use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::vocab::NodeId;
use serde_json::Value;

use super::Fault;
use super::field::Fields;

/// Changes that one request may hold.
pub const CHANGES_MAX: usize = 200;
/// The longest text that is looked at, in bytes; what a record keeps is shorter.
const TEXT_MAX_BYTES: usize = 16 * 1024;
/// Names of one kind that one change may give.
const NAMES_MAX: usize = 32;
/// The names of things, as fields call them.
const NAMES: [(&str, EntityKind); 6] = [
    ("service", EntityKind::Service),
    ("model", EntityKind::Model),
    ("node", EntityKind::Node),
    ("rack", EntityKind::Rack),
    ("zone", EntityKind::Zone),
    ("driver", EntityKind::Driver),
];

/// What one request told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadChanges {
    /// What can be recorded.
    pub changes: Vec<Told>,
    /// What cannot, and why.
    pub faults: Vec<Fault>,
}

impl ReadChanges {
    fn add(&mut self, read: Result<Told, Fault>) {
        match read {
            Ok(told) => self.changes.push(told),
            Err(fault) => self.faults.push(fault),
        }
    }

    /// Reads each of a list.
    fn each(
        list: &[Value],
        read: impl Fn(&str, &Value) -> Result<Told, Fault>,
    ) -> Result<Self, Fault> {
        if list.len() > CHANGES_MAX {
            let told =
                format!("{} at one time, at most {CHANGES_MAX}: send them in parts", list.len());
            return Err(Fault::new("body", told));
        }
        let mut all = Self::default();
        list.iter().enumerate().for_each(|(at, each)| all.add(read(&format!("[{at}]"), each)));
        Ok(all)
    }
}

/// The things that an object names: each by a text or a list of texts.
fn about(fields: &Fields<'_>) -> Result<Vec<Entity>, Fault> {
    let mut about = Vec::new();
    for (key, kind) in NAMES {
        for name in names(fields, key)? {
            about.push(entity(kind, name).map_err(|fault| fields.fault(key, fault))?);
        }
    }
    Ok(about)
}

fn names<'a>(fields: &Fields<'a>, key: &str) -> Result<Vec<&'a str>, Fault> {
    match fields.get(key) {
        Some(Value::Array(list)) if list.len() <= NAMES_MAX => {
            let text = |each: &'a Value| {
                each.as_str().ok_or_else(|| fields.fault(key, "should be a list of texts"))
            };
            list.iter().map(text).collect()
        }
        Some(Value::Array(_)) => Err(fields.fault(key, format!("has more than {NAMES_MAX} names"))),
        _ => Ok(fields.text(key, TEXT_MAX_BYTES)?.into_iter().collect()),
    }
}

/// One thing by its name; a model with a version after a colon is that version.
fn entity(kind: EntityKind, name: &str) -> Result<Entity, String> {
    match kind {
        EntityKind::Node => {
            NodeId::new(name).map(|node| Entity::node(&node)).map_err(|error| error.to_string())
        }
        EntityKind::Model if name.contains(':') => Ok(Entity::fleet(EntityKind::Version, name)),
        _ => Ok(Entity::fleet(kind, name)),
    }
}

/// What kind of change words speak of, where none of our own words is given.
fn guessed(words: &str) -> ChangeKind {
    let words = words.to_ascii_lowercase();
    let has = |any: &[&str]| any.iter().any(|word| words.contains(word));
    if has(&["config", "setting", "flag"]) {
        ChangeKind::ConfigChanged
    } else if has(&["driver"]) {
        ChangeKind::DriverChanged
    } else if has(&["network", "switch", "maintenance", "infra", "power", "storage", "firmware"]) {
        ChangeKind::Infrastructure
    } else if has(&[
        "deploy",
        "release",
        "rollout",
        "upgrade",
        "rollback",
        "rolledback",
        "rolled back",
    ]) {
        ChangeKind::Rollout
    } else {
        ChangeKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_guessed_from_words_only_where_they_are_plain() {
        let told = [
            "Build Success - deploy of search",
            "feature flag turned on",
            "firmware of switch 7",
            "driver 580 on rack r1",
            "rolled back",
            "hello",
        ];
        let kinds = told.map(|words| guessed(words).as_str());
        assert_eq!(
            kinds,
            ["rollout", "config-changed", "infrastructure", "driver-changed", "rollout", "other"]
        );
    }
}
