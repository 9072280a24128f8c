//! All people and schedules, and which schedules answer at which level for which service.

use std::collections::BTreeMap;

use super::{Because, Override, Schedule};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{DestinationName, PersonName, ScheduleName, ServiceName};
pub use gpuwarden_proto::work::Level;

/// Somebody who may be on call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub name: PersonName,
    /// Where they are told, in the order in which it is tried. Numbers and addresses stand with the
    /// destinations, nowhere else.
    pub contacts: Vec<DestinationName>,
}

/// The schedules of each level.
pub type Reach = BTreeMap<Level, Vec<ScheduleName>>;

/// Everybody and every schedule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    /// People, by name.
    pub people: BTreeMap<PersonName, Person>,
    /// Schedules, by name.
    pub schedules: BTreeMap<ScheduleName, Schedule>,
    /// Who answers at which level.
    pub reach: Reach,
    /// Who answers instead at the levels that are named here, for one service.
    pub services: BTreeMap<ServiceName, Reach>,
}

impl Roster {
    /// The schedules that answer at a level.
    #[must_use]
    pub fn schedules_of(&self, level: Level, service: Option<&ServiceName>) -> &[ScheduleName] {
        let own = service.and_then(|service| self.services.get(service)?.get(&level));
        own.or_else(|| self.reach.get(&level)).map_or(&[], Vec::as_slice)
    }

    /// Who is on at a level, each once, with the schedule that says so.
    #[must_use]
    pub fn on(
        &self,
        level: Level,
        service: Option<&ServiceName>,
        overrides: &[Override],
        at: Timestamp,
    ) -> Vec<(PersonName, ScheduleName, Because)> {
        let mut on: Vec<(PersonName, ScheduleName, Because)> = Vec::new();
        for name in self.schedules_of(level, service) {
            let found = self.schedules.get(name).map(|schedule| schedule.who(overrides, at));
            if let Some((Some(who), because)) = found
                && on.iter().all(|(known, ..)| *known != who)
            {
                on.push((who, name.clone(), because));
            }
        }
        on
    }
}
