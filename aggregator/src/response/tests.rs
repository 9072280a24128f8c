//! The people's half on small scenes: what people are told, and when.

use std::collections::BTreeMap;

use gpuwarden_notify::delivery::Key;
use gpuwarden_notify::destination::Verdict;
use gpuwarden_proto::settings::Document;
use gpuwarden_proto::vocab::PersonName;
use gpuwarden_proto::work::checklist::Item;
use gpuwarden_proto::work::{Ask, Command as Order, Level};

use super::*;
use crate::correlate::Policy;
use crate::testing::{START, Stage, at};

const PEOPLE: &str = r#"
[[destination]]
name = "ann-phone"
kind = "webhook"
url = "https://a.example.org/"
[[destination]]
name = "ann-mail"
kind = "webhook"
url = "https://am.example.org/"
[[destination]]
name = "ben-phone"
kind = "webhook"
url = "https://b.example.org/"
[[destination]]
name = "cyd-phone"
kind = "webhook"
url = "https://c.example.org/"
[[destination]]
name = "boss-phone"
kind = "webhook"
audience = "management"
url = "https://d.example.org/"
[[destination]]
name = "status"
kind = "webhook"
audience = "stakeholders"
url = "https://s.example.org/"

[[oncall.person]]
name = "ann"
contacts = ["ann-phone", "ann-mail"]
[[oncall.person]]
name = "ben"
contacts = ["ben-phone"]
[[oncall.person]]
name = "cyd"
contacts = ["cyd-phone"]
[[oncall.person]]
name = "boss"
contacts = ["boss-phone"]

[[oncall.schedule]]
name = "first"
[[oncall.schedule.layer]]
name = "always"
people = ["ann"]
starts = "2026-01-05T09:00"
turn = "weekly"
[[oncall.schedule]]
name = "second"
[[oncall.schedule.layer]]
name = "always"
people = ["ben"]
starts = "2026-01-05T09:00"
turn = "weekly"
[[oncall.schedule]]
name = "third"
[[oncall.schedule.layer]]
name = "always"
people = ["cyd"]
starts = "2026-01-05T09:00"
turn = "weekly"
[[oncall.schedule]]
name = "managers"
[[oncall.schedule.layer]]
name = "always"
people = ["boss"]
starts = "2026-01-05T09:00"
turn = "weekly"

[escalation]
l1 = ["first"]
l2 = ["second"]
l3 = ["third"]
management = ["managers"]

[[communication]]
audience = "stakeholders"
destinations = ["status"]
"#;

fn settings() -> Arc<Settings> {
    let mut document = Document::parse("aggregator.toml", PEOPLE);
    let settings = Settings::read(&mut document.root());
    assert_eq!(document.finish(), Ok(()));
    Arc::new(settings)
}

/// Incidents, the people's half, and receivers that take what they are told, but for those that are
/// broken.
struct Scene {
    stage: Stage,
    response: Response,
    known: BTreeMap<IncidentId, Arc<Incident>>,
    kept: BTreeMap<IncidentId, Work>,
    rows: BTreeMap<Key, gpuwarden_notify::delivery::Row>,
    broken: Vec<&'static str>,
    now: Timestamp,
    log: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        Self {
            stage: Stage::new(Policy::default()),
            response: Response::restore(settings(), Kept::default(), START),
            known: BTreeMap::new(),
            kept: BTreeMap::new(),
            rows: BTreeMap::new(),
            broken: Vec::new(),
            now: START,
            log: Vec::new(),
        }
    }

    /// Does something in a world as it is now.
    fn with<T>(&mut self, what: impl FnOnce(&mut Response, World<'_>) -> T) -> T {
        let known = self.known.clone();
        let incident = |id: IncidentId| known.get(&id).cloned();
        let world = World { incident: &incident, graph: self.stage.state.graph(), now: self.now };
        what(&mut self.response, world)
    }

    /// Lets time pass second by second, and then plays a line.
    fn play(&mut self, script: &str) -> &mut Self {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (second, words) = line.split_once(' ').unwrap();
            self.pass_to(second.parse().unwrap());
            match words.split_whitespace().collect::<Vec<_>>()[..] {
                ["pass"] => {}
                ["ack", id, by] => {
                    let id = IncidentId(id.parse().unwrap());
                    self.with(|response, world| response.acknowledged(id, by, None, world));
                }
                _ => drop(self.stage.play(line)),
            }
            self.look();
            self.deliver();
        }
        self
    }

    fn pass_to(&mut self, second: u64) {
        while self.now < at(second) {
            self.now = self.now.after(std::time::Duration::from_secs(1));
            let mut touched = crate::correlate::Touched::default();
            self.stage.state.tick(self.now, &mut touched);
            self.stage.touched.changed.extend(touched.changed);
            self.stage.over.append(&mut touched.over);
            self.look();
            self.with(Response::pass);
            self.deliver();
        }
    }

    fn look(&mut self) {
        let changed = std::mem::take(&mut self.stage.touched.changed);
        for id in changed.into_keys() {
            let over = self.stage.over.iter().rev().find(|incident| incident.id == id).cloned();
            let Some(incident) = self.stage.state.incident(id).cloned().or(over) else { continue };
            let incident = Arc::new(incident);
            self.known.insert(id, Arc::clone(&incident));
            self.with(|response, world| response.see(&incident, world));
        }
    }

    /// What is written is written, and only then what is to be sent is sent.
    fn deliver(&mut self) {
        loop {
            let kept = self.response.take_changed();
            self.kept.extend(kept.works.into_iter().map(|work| (work.id(), work)));
            self.rows.extend(kept.notices.into_iter().map(|row| (row.key.clone(), row)));
            kept.forgotten.iter().for_each(|key| drop(self.rows.remove(key)));
            let sends = self.response.take_sends();
            if sends.is_empty() {
                return;
            }
            for send in sends {
                let broken = self.broken.contains(&send.destination.as_str());
                let verdict = match broken {
                    true => Verdict::Refused("it is broken".to_owned()),
                    false => Verdict::Delivered(None),
                };
                let first = &send.notice.first;
                let second = self.now.since(START).as_secs();
                let word = if broken { " in vain" } else { "" };
                self.log.push(format!(
                    "{second} {}{word}: {} {} {} {}",
                    send.destination, first.incident, first.severity, first.kind, first.news
                ));
                self.with(|response, world| response.answered(send.request, verdict, world));
            }
        }
    }

    fn order(&mut self, id: u64, by: &str, ask: Ask) -> Result<(), WorkError> {
        let id = IncidentId(id);
        let told = self.with(|r, world| r.order(id, by.to_owned(), None, ask, world));
        self.deliver();
        told
    }

    /// As after `kill -9`: only what was written is known.
    fn restart(&mut self) {
        let kept = Kept {
            works: self.kept.values().filter(|work| work.is_live()).cloned().collect(),
            notices: self.rows.values().cloned().collect(),
            ..Kept::default()
        };
        self.response = Response::restore(settings(), kept, self.now);
        let open: Vec<Arc<Incident>> = self.known.values().cloned().collect();
        for incident in open.iter().filter(|incident| incident.resolved_at.is_none()) {
            self.with(|response, world| response.see(incident, world));
        }
        self.deliver();
    }

    fn told(&self) -> String {
        self.log.join("\n")
    }

    fn history(&self, id: u64) -> String {
        let work = self.response.shown(IncidentId(id)).unwrap();
        let line = |line: &gpuwarden_proto::incident::TimelineEntry| {
            format!("{} {}: {}", line.at.since(START).as_secs(), line.kind, line.text)
        };
        work.history.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// The only replica of a model that serves is gone: P1.
const OUTAGE: &str = "
    0 node-a snapshot models=bert:9 sources=nvml,triton/default
    10 node-a raise model-unavailable bert down";

#[test]
fn a_p1_pages_the_first_level_at_once_and_climbs_while_nobody_answers() {
    let mut scene = Scene::new();
    scene.play(OUTAGE).play("700 pass");
    insta::assert_snapshot!(scene.told(), @r"
    10 ann-phone: #1 P1 page the incident was opened
    10 status: #1 P1 broadcast 
    310 ben-phone: #1 P1 page L1 did not answer within 5 min
    460 ann-phone: #1 P1 update the time to respond is half over
    460 ben-phone: #1 P1 update the time to respond is half over
    610 cyd-phone: #1 P1 page L2 did not answer within 5 min
    ");
}

#[test]
fn who_has_taken_it_stops_the_climb_and_those_who_were_told_hear_of_it() {
    let mut scene = Scene::new();
    scene.play(OUTAGE).play("130 ack 1 ann\n 900 pass");
    insta::assert_snapshot!(scene.told(), @r"
    10 ann-phone: #1 P1 page the incident was opened
    10 status: #1 P1 broadcast 
    130 ann-phone: #1 P1 update taken by ann
    ");
    insta::assert_snapshot!(scene.history(1), @r"
    10 classified: P1: 1 of 1 replica of bert down, and it had traffic
    10 paged: ann paged as L1 (first, layer always): the incident was opened
    10 notified: ann was told
    10 informed: stakeholders were told: status
    130 taken: taken by ann until 2027-01-15 08:32 UTC
    ");
}

#[test]
fn an_acknowledgement_that_ends_pages_again() {
    let mut scene = Scene::new();
    scene.play(OUTAGE).play("130 ack 1 ann\n 1940 pass");
    let last = scene.log.iter().rev().find(|line| line.contains("page")).unwrap();
    assert_eq!(last, "1930 ann-phone: #1 P1 page ann's acknowledgement ended");
}

#[test]
fn a_contact_that_cannot_be_told_gives_way_to_the_next_and_then_to_the_next_level() {
    let mut scene = Scene::new();
    scene.broken = vec!["ann-phone", "ann-mail"];
    scene.play(OUTAGE).play("20 pass");
    insta::assert_snapshot!(scene.told(), @r"
    10 ann-phone in vain: #1 P1 page the incident was opened
    10 status: #1 P1 broadcast 
    10 ann-mail in vain: #1 P1 page ann could not be told by ann-phone
    10 ben-phone: #1 P1 page the page to ann was not delivered
    ");
}

#[test]
fn what_is_over_is_told_to_those_who_were_told_and_its_review_is_scheduled() {
    let mut scene = Scene::new();
    scene.play(OUTAGE).play("60 node-a clear model-unavailable bert\n 130 pass");
    insta::assert_snapshot!(scene.told(), @r"
    10 ann-phone: #1 P1 page the incident was opened
    10 status: #1 P1 broadcast 
    120 ann-phone: #1 P1 resolved quiet for 1 min
    120 status: #1 P1 resolved quiet for 1 min
    ");
    let work = scene.response.shown(IncidentId(1)).unwrap();
    assert_eq!(work.stage, gpuwarden_proto::work::Stage::Resolved);
    assert!(work.review_at.is_some_and(|at| at.since(scene.now).as_secs() <= 48 * 3600));
    let ticked = |item| work.checklist.iter().any(|b| b.item == item && b.ticked_at.is_some());
    assert!(ticked(Item::OnCallNotified) && ticked(Item::StakeholdersInformed));
    assert!(ticked(Item::ReviewScheduled) && !ticked(Item::RootCauseDocumented));
}

#[test]
fn what_was_paged_before_a_crash_is_not_paged_again_and_the_climb_goes_on() {
    let mut scene = Scene::new();
    scene.play(OUTAGE).play("100 pass");
    let before = scene.log.len();
    scene.restart();
    assert_eq!(scene.log.len(), before);
    scene.play("320 pass");
    assert_eq!(scene.log[before], "310 ben-phone: #1 P1 page L1 did not answer within 5 min");
}

#[test]
fn a_node_of_another_rack_that_joins_wakes_who_had_taken_it() {
    let mut scene = Scene::new();
    scene.play(
        "0 node-a snapshot models=bert:9 labels=rack:r1
         0 node-b snapshot models=bert:9 labels=rack:r2
         10 node-a raise error-rate-high bert 0.5
         20 ack 1 ann
         25 node-b raise error-rate-high bert 0.5
         30 pass",
    );
    insta::assert_snapshot!(scene.told(), @r"
    10 ann-phone: #1 P2 page the incident was opened
    10 status: #1 P2 broadcast 
    20 ann-phone: #1 P2 update taken by ann
    25 ann-phone: #1 P2 page rack r2 joined, which fails by itself
    ");
}

#[test]
fn what_one_person_asks_for_pages_that_level_and_what_has_no_meaning_is_refused() {
    let mut scene = Scene::new();
    scene.play(OUTAGE);
    scene.order(1, "ann", Ask::Escalate(Level::L3)).unwrap();
    assert_eq!(scene.log.last().unwrap(), "10 cyd-phone: #1 P1 page ann asked for this level");
    let close = scene.order(1, "ann", Ask::Command(Order::Close)).unwrap_err();
    assert_eq!(close.to_string(), "#1 is triaged: close has no meaning there; resolve it first");
    let unknown = scene.order(9, "ann", Ask::Command(Order::Close)).unwrap_err();
    assert!(matches!(unknown, WorkError::Unknown(IncidentId(9))));
}

#[test]
fn what_is_opened_again_after_it_was_closed_keeps_its_history_and_pages_anew() {
    let mut scene = Scene::new();
    scene.play(
        "0 node-a snapshot models=bert:9,t5:9 labels=rack:r1
         0 node-b snapshot models=bert:9
         10 node-a raise error-rate-high bert 0.2
         20 ack 1 ann
         60 node-a clear error-rate-high bert
         130 pass",
    );
    let say = |command| Ask::Command(command);
    scene.order(1, "ann", say(Order::SetRootCause { text: "a bad batch".to_owned() })).unwrap();
    for item in [Item::RunbookExecuted, Item::StakeholdersInformed, Item::ActionsTracked] {
        let note = "done".to_owned();
        scene.order(1, "ann", say(Order::Check { item, note })).unwrap();
    }
    scene.order(1, "ann", say(Order::Close)).unwrap();
    scene.play("200 node-a raise error-rate-high bert 0.2\n 201 pass");
    let work = scene.response.shown(IncidentId(1)).unwrap();
    assert_eq!(work.stage, gpuwarden_proto::work::Stage::Triaged);
    assert!(scene.history(1).contains("root-cause: root cause: a bad batch"));
    let pages = scene.log.iter().filter(|line| line.contains("ann-phone: #1 P3 page")).count();
    assert_eq!(pages, 2, "{}", scene.told());
}

#[test]
fn what_is_told_of_an_incident_that_was_over_before_it_was_seen_begins_no_work() {
    let mut scene = Scene::new();
    scene.stage.play(OUTAGE).play("12 resolve 1 force");
    scene.look();
    scene.deliver();
    assert_eq!(scene.log, [""; 0]);
    assert_eq!(scene.response.shown(IncidentId(1)), None);
}

#[test]
fn who_takes_over_is_paged_instead() {
    let mut scene = Scene::new();
    let name = |text| PersonName::new(text).unwrap();
    let asked = |schedule: &str, who| gpuwarden_proto::oncall::TakeOver {
        schedule: gpuwarden_proto::vocab::ScheduleName::new(schedule).unwrap(),
        who: name(who),
        from: None,
        to: at(3600),
        by: "ben".to_owned(),
    };
    let refused = scene.response.take_over(asked("tenth", "ben"), START).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "there is no schedule tenth (there are: first, managers, second, third)"
    );
    scene.response.take_over(asked("first", "ben"), START).unwrap();
    scene.play(OUTAGE);
    assert!(scene.log[0].starts_with("10 ben-phone: #1 P1 page"), "{}", scene.told());
}
