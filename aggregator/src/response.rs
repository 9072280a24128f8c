//! What people do about incidents: who is told what and when, what they do about it, and what is left
//! to do. Pure: what is to be written and sent is given back.
//!
//! ```text
//! incidents ─► see ─► work: clock, escalation, life ─► what is to be done ─► outbox ─► rows, requests
//! people ──► order ──┘  ▲                                                     ▲
//! time ────► pass ──────┘                              answers ─► answered ───┘
//! ```
//!
//! An incident is looked at as it is, and what is new about it is worked out from what was known of
//! it: so the same look after a crash finds nothing new, and one that was missed is made up for.

pub mod config;
mod domain;
mod due;
mod kept;
mod message;
mod order;
mod shown;
mod tell;
mod told;
mod work;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gpuwarden_notify::delivery::{self, Delivery, RequestId, Send};
use gpuwarden_notify::destination::Verdict;
use gpuwarden_notify::message::{Audience, Kind};
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{DestinationName, IncidentId};
use gpuwarden_proto::work::Stage;
use gpuwarden_respond::escalate::Page;
use gpuwarden_respond::oncall::Override;
use gpuwarden_respond::timer::audit::Logged;

pub use kept::Kept;
pub use order::WorkError;
pub use work::Work;

use self::config::{Rule, Settings};
use self::due::DueTimes;
use self::message::Telling;
use self::tell::Due;
use self::told::Heard;
use self::work::{Do, Office, Paged};
use crate::graph::Graph;

/// Works that are kept at hand; of more the oldest that are over are on disk alone.
const WORKS_MAX: usize = 20_000;

/// What is looked at, and when.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Incidents as they are.
    pub incident: &'a dyn Fn(IncidentId) -> Option<Arc<Incident>>,
    /// What stands where.
    pub graph: &'a Graph,
    /// Now.
    pub now: Timestamp,
}

/// The work on all incidents, and what is told of them.
pub struct Response {
    settings: Arc<Settings>,
    works: BTreeMap<IncidentId, Work>,
    overrides: Vec<Override>,
    due: DueTimes,
    outbox: Delivery,
    touched: BTreeSet<IncidentId>,
    changed: Kept,
    sends: Vec<Send>,
    /// What became of notifications and is not taken up yet.
    unheard: Vec<Heard>,
}

impl Response {
    /// What goes on with what was kept. Requests that nobody confirmed go out again.
    #[must_use]
    pub fn restore(settings: Arc<Settings>, kept: Kept, now: Timestamp) -> Self {
        let named =
            |it: &gpuwarden_notify::config::Destination| (it.name.clone(), it.policy.clone());
        let policies = settings.notify.destinations.iter().map(named).collect();
        let (outbox, outputs) = Delivery::restore(policies, now.unix_ns(), kept.notices, now);
        let mut response = Self {
            settings,
            works: kept.works.into_iter().map(|work| (work.id(), work)).collect(),
            overrides: kept.overrides,
            due: DueTimes::default(),
            outbox,
            touched: BTreeSet::new(),
            changed: Kept::default(),
            sends: Vec::new(),
            unheard: Vec::new(),
        };
        response.works.values().for_each(|work| response.due.set(work.id(), work.next_wake()));
        let heard = response.collect(outputs);
        // What died meanwhile is heard of with the first look at its incident.
        response.unheard = heard;
        response
    }

    /// Looks at an incident that was opened or changed.
    pub fn see(&mut self, incident: &Incident, world: World<'_>) {
        let id = incident.id;
        let settings = Arc::clone(&self.settings);
        let office = Office { settings: &settings.respond, overrides: &self.overrides };
        let (mut work, todo) = match self.works.remove(&id) {
            Some(mut work) => {
                let before = work.next_wake();
                let domains = || domain::of(incident, world.graph);
                let todo = work.see(incident, domains, office, world.now);
                let followed = work.follow(&settings.rules, incident);
                if todo.is_empty() && !followed && work.next_wake() == before {
                    self.works.insert(id, work);
                    return;
                }
                (work, todo)
            }
            // What was over before anybody could be told of it is nobody's work, and what is told of
            // an incident whose work is done with begins none.
            None if incident.resolved_at.is_some() => return,
            None => {
                let service = domain::service(incident, world.graph);
                let (mut work, todo) = Work::open(incident, service, office, world.now);
                work.follow(&settings.rules, incident);
                (work, todo)
            }
        };
        let talks = work.talks_due(&settings.rules, incident, world.now);
        self.works.insert(id, work);
        self.carry_out(id, todo, incident, world);
        self.talk(id, talks, incident, world);
        self.touch(id);
        self.hear_of_the_dead(world);
    }

    /// Does what time has brought about.
    pub fn pass(&mut self, world: World<'_>) {
        let settings = Arc::clone(&self.settings);
        for id in self.due.take(world.now) {
            let Some(incident) = (world.incident)(id) else { continue };
            let Some(mut work) = self.works.remove(&id) else { continue };
            let office = Office { settings: &settings.respond, overrides: &self.overrides };
            let todo = work.pass(office, world.now);
            let talks = work.talks_due(&settings.rules, &incident, world.now);
            self.works.insert(id, work);
            self.carry_out(id, todo, &incident, world);
            self.talk(id, talks, &incident, world);
            self.touch(id);
        }
        if self.outbox.next_wake(world.now).is_some_and(|at| at <= world.now) {
            let outputs = self.outbox.apply(world.now, delivery::Input::Tick);
            let heard = self.collect(outputs);
            self.hear(heard, world);
        }
        self.hear_of_the_dead(world);
    }

    /// A request was answered, or failed.
    pub fn answered(&mut self, request: RequestId, verdict: Verdict, world: World<'_>) {
        let input = delivery::Input::Answered(request, verdict);
        let outputs = self.outbox.apply(world.now, input);
        let heard = self.collect(outputs);
        self.hear(heard, world);
    }

    /// What is to be written since the last time.
    pub fn take_changed(&mut self) -> Kept {
        let mut kept = std::mem::take(&mut self.changed);
        let touched = std::mem::take(&mut self.touched);
        kept.works = touched.iter().filter_map(|id| self.works.get(id)).cloned().collect();
        // What goes on as another never comes back; all else may be opened again.
        self.works.retain(|id, work| !touched.contains(id) || work.stage() != Stage::Merged);
        self.limit();
        kept
    }

    /// Whether something is to be written.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        !(self.touched.is_empty() && self.changed.is_empty())
    }

    /// What is to be sent once that is on disk.
    pub fn take_sends(&mut self) -> Vec<Send> {
        std::mem::take(&mut self.sends)
    }

    /// How the outbox of notifications stands.
    #[must_use]
    pub fn outbox(&self) -> &Delivery {
        &self.outbox
    }

    /// Works at hand.
    pub fn works(&self) -> impl Iterator<Item = &Work> {
        self.works.values()
    }

    fn touch(&mut self, id: IncidentId) {
        self.touched.insert(id);
        self.due.set(id, self.works.get(&id).and_then(Work::next_wake));
    }

    fn limit(&mut self) {
        while self.works.len() > WORKS_MAX {
            let over = self.works.values().filter(|work| !work.stage().is_open());
            let Some(oldest) = over.min_by_key(|work| work.life.resolved_at()).map(Work::id) else {
                return;
            };
            self.works.remove(&oldest);
        }
    }

    fn carry_out(&mut self, id: IncidentId, todo: Vec<Do>, incident: &Incident, world: World<'_>) {
        for each in todo {
            match each {
                Do::Timer(word) => self.changed.timers.push(Logged { at: world.now, word }),
                Do::Page(page) => self.page(id, &page, incident, world),
                Do::Tell(news) => self.tell(id, Kind::Update, &news, incident, world, |_| true),
                Do::TellInside(news) => {
                    let inside = |audience| audience != Audience::Stakeholders;
                    self.tell(id, Kind::Update, &news, incident, world, inside);
                }
                Do::Over(how) => {
                    self.tell(id, Kind::Resolved, &how, incident, world, |_| true);
                    if let Some(work) = self.works.get_mut(&id) {
                        work.told.clear();
                    }
                }
            }
        }
    }

    /// Somebody is asked to do something: where they want to be told first.
    fn page(&mut self, id: IncidentId, page: &Page, incident: &Incident, world: World<'_>) {
        let step = told::step_of(&page.id);
        let person = self.settings.respond.roster.people.get(&page.id.person);
        let contact = person.and_then(|person| person.contacts.first()).cloned();
        let Some(work) = self.works.get_mut(&id) else { return };
        let tried = contact.iter().cloned().collect();
        let paged = Paged { id: page.id.clone(), tried, told: false, failed: contact.is_none() };
        work.paged.insert(step.clone(), paged);
        match contact {
            Some(contact) => {
                self.notify(id, step, contact, Kind::Page, page.why.to_string(), incident, world);
            }
            None => self.not_delivered(id, &step, incident, world),
        }
    }

    /// Those who were told before are told more.
    fn tell(
        &mut self,
        id: IncidentId,
        kind: Kind,
        news: &str,
        incident: &Incident,
        world: World<'_>,
        to: impl Fn(Audience) -> bool,
    ) {
        let Some(work) = self.works.get_mut(&id) else { return };
        work.tellings += 1;
        let step = format!("{kind}-{}", work.tellings);
        let mut told: Vec<DestinationName> = work.told.iter().cloned().collect();
        told.retain(|name| to(self.audience(name)));
        for destination in told {
            self.notify(id, step.clone(), destination, kind, news.to_owned(), incident, world);
        }
    }

    fn talk(
        &mut self,
        id: IncidentId,
        due: Vec<(usize, Due)>,
        incident: &Incident,
        world: World<'_>,
    ) {
        let settings = Arc::clone(&self.settings);
        for (place, due) in due {
            let Some(rule) = settings.rules.get(place) else { continue };
            let Some(work) = self.works.get_mut(&id) else { return };
            work.tellings += 1;
            let step = format!("rule-{place}-{}", work.tellings);
            for destination in &rule.destinations {
                let kind = self.kind_of(rule, due, destination);
                let news = if due == Due::Again { "it is still so" } else { "" }.to_owned();
                self.notify(id, step.clone(), destination.clone(), kind, news, incident, world);
            }
        }
    }

    /// Who reads what is told there.
    fn audience(&self, name: &DestinationName) -> Audience {
        let known = self.settings.notify.destinations.iter().find(|it| it.name == *name);
        known.map_or(Audience::Engineering, |it| it.audience)
    }

    /// Engineering is asked to look; others are only told. Where nothing is only made known, as in a
    /// system of alerts, all are asked.
    fn kind_of(&self, rule: &Rule, due: Due, destination: &DestinationName) -> Kind {
        let known = self.settings.notify.destinations.iter().find(|it| it.name == *destination);
        let asks = rule.audience == Audience::Engineering
            || known.is_some_and(|it| !it.policy.takes_broadcasts);
        match due {
            Due::Again => Kind::Update,
            Due::First if asks => Kind::Page,
            Due::First => Kind::Broadcast,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a notification has that many parts")]
    fn notify(
        &mut self,
        id: IncidentId,
        step: String,
        destination: DestinationName,
        kind: Kind,
        news: String,
        incident: &Incident,
        world: World<'_>,
    ) {
        let settings = Arc::clone(&self.settings);
        let audience = self.audience(&destination);
        let Some(work) = self.works.get_mut(&id) else { return };
        if kind != Kind::Resolved {
            work.told.insert(destination.clone());
        }
        let services = domain::services(incident, world.graph);
        let telling = Telling { incident, work, services: &services, links: &settings.links };
        let message = Box::new(telling.message(kind, audience, news, world.now));
        let key = delivery::Key { incident: id, step, destination, round: 0 };
        let outputs = self.outbox.apply(world.now, delivery::Input::Notify(key, message));
        let heard = self.collect(outputs);
        self.unheard.extend(heard);
    }
}
