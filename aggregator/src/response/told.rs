//! What became of notifications: who was told, and who could not be. Pure.

use gpuwarden_notify::delivery::{Key, Output, State};
use gpuwarden_notify::message::{Audience, Kind};
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::vocab::{DestinationName, IncidentId};
use gpuwarden_respond::escalate::PageId;

use super::work::Office;
use super::{Response, World};

/// Something became of a notification.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    /// It was taken.
    Told(Key),
    /// It is given up there.
    Dead(Key),
}

/// The step of a page in the key of its notification.
pub(super) fn step_of(page: &PageId) -> String {
    format!("page-{}-{}-{}", page.round, page.level.as_str(), page.person)
}

impl Response {
    /// Takes what is to be written and sent, and gives what became of notifications.
    pub(super) fn collect(&mut self, outputs: Vec<Output>) -> Vec<Heard> {
        let mut heard = Vec::new();
        for output in outputs {
            match output {
                Output::Persist(row) => {
                    if matches!(row.state, State::Told { .. }) {
                        heard.push(Heard::Told(row.key.clone()));
                    }
                    self.changed.notices.push(*row);
                }
                Output::Forget(key) => {
                    self.changed.notices.retain(|row| row.key != key);
                    self.changed.forgotten.push(key);
                }
                Output::Send(send) => self.sends.push(*send),
                Output::Dead(key, _) => heard.push(Heard::Dead(key)),
            }
        }
        heard
    }

    pub(super) fn hear(&mut self, heard: Vec<Heard>, world: World<'_>) {
        self.unheard.extend(heard);
        self.hear_of_the_dead(world);
    }

    /// Takes up what became of notifications, also of those that come of it.
    pub(super) fn hear_of_the_dead(&mut self, world: World<'_>) {
        // Each may lead to one more contact, of which there are few.
        while let Some(heard) = self.unheard.pop() {
            let (Heard::Told(key) | Heard::Dead(key)) = &heard;
            let id = key.incident;
            let Some(incident) = (world.incident)(id) else { continue };
            match &heard {
                Heard::Told(key) => self.told(id, key, &incident, world),
                Heard::Dead(key) => self.dead(id, key, &incident, world),
            }
        }
    }

    fn told(&mut self, id: IncidentId, key: &Key, incident: &Incident, world: World<'_>) {
        let known = self.settings.notify.destinations.iter().find(|it| it.name == key.destination);
        let stakeholders = known.is_some_and(|it| it.audience == Audience::Stakeholders);
        let office = Office { settings: &self.settings.respond, overrides: &self.overrides };
        let Some(work) = self.works.get_mut(&id) else { return };
        let page = work.paged.get_mut(&key.step).filter(|paged| !paged.told);
        let person = page.map(|paged| {
            paged.told = true;
            paged.id.person.to_string()
        });
        let informs = stakeholders && !work.is_ticked_informed();
        if let Some(person) = person.clone() {
            work.notified(person, incident, office, world.now);
        }
        if informs {
            work.informed(key.destination.to_string(), incident, office, world.now);
        }
        if person.is_some() || informs {
            self.touch(id);
        }
    }

    fn dead(&mut self, id: IncidentId, key: &Key, incident: &Incident, world: World<'_>) {
        let Some(work) = self.works.get_mut(&id) else { return };
        let Some(paged) = work.paged.get_mut(&key.step).filter(|paged| !paged.told) else { return };
        let person = self.settings.respond.roster.people.get(&paged.id.person);
        let contacts = person.map_or(&[][..], |person| person.contacts.as_slice());
        let next = contacts.iter().find(|contact| !paged.tried.contains(contact)).cloned();
        if let Some(next) = next {
            paged.tried.push(next.clone());
            let news = format!("{} could not be told by {}", paged.id.person, key.destination);
            self.notify(id, key.step.clone(), next, Kind::Page, news, incident, world);
            self.touch(id);
        } else if !self.is_on_its_way(id, &key.step) {
            self.not_delivered(id, &key.step, incident, world);
        }
    }

    /// Whether somewhere it is still to be told, or was.
    fn is_on_its_way(&self, id: IncidentId, step: &str) -> bool {
        let alive = |destination: &DestinationName| {
            let destination = destination.clone();
            let key = Key { incident: id, step: step.to_owned(), destination, round: 0 };
            let row = self.outbox.row(&key);
            row.is_some_and(|row| row.is_on_its_way() || matches!(row.state, State::Told { .. }))
        };
        self.settings.notify.destinations.iter().any(|it| alive(&it.name))
    }

    /// A page reached nobody: the next level is asked.
    pub(super) fn not_delivered(
        &mut self,
        id: IncidentId,
        step: &str,
        incident: &Incident,
        world: World<'_>,
    ) {
        let settings = std::sync::Arc::clone(&self.settings);
        let office = Office { settings: &settings.respond, overrides: &self.overrides };
        let Some(work) = self.works.get_mut(&id) else { return };
        let Some(paged) = work.paged.get_mut(step) else { return };
        paged.failed = true;
        let page = paged.id.clone();
        let todo = work.not_delivered(page, office, world.now);
        self.carry_out(id, todo, incident, world);
        self.touch(id);
    }
}
