use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::repeat::Repeat;
use gpuwarden_proto::settings::Document;
use gpuwarden_proto::silence::{End, Matcher, Suppression};
use gpuwarden_proto::vocab::{Severity, SilenceKind};
use proptest::prelude::*;

use super::*;
use crate::correlate::Policy;
use crate::incident::Command;
use crate::testing::{Stage, at, node};

const RULES: &str = r#"
[[inhibit]]
name = "rack-first"
source = ["rule=gpu-lost"]
target = ["rule=~queue-backup|latency-high|xid"]
equal = ["rack"]
"#;

/// A stage on which things are held back.
struct Scene {
    stage: Stage,
    suppressor: Suppressor,
}

impl Scene {
    fn new(rules: &str) -> Self {
        let mut document = Document::parse("a.toml", rules);
        let rules = inhibit::read(&mut document.root());
        document.finish().unwrap();
        let suppressor = Suppressor::new(rules, Duration::from_secs(30 * 86_400));
        Self { stage: Stage::new(Policy::default()), suppressor }
    }

    /// Plays a script; between its lines what is held back is worked out.
    fn play(&mut self, script: &str) -> &mut Self {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.stage.play(line);
            let words: Vec<&str> = line.split_whitespace().collect();
            if words[2..].first() == Some(&"snapshot") {
                self.suppressor.note_node(&self.stage.state, &node(words[1]));
            }
            let touched = std::mem::take(&mut self.stage.touched);
            self.suppressor.note(&touched);
            self.weigh(words[0].parse().unwrap());
        }
        self
    }

    fn weigh(&mut self, second: u64) {
        let mut touched = Touched::default();
        self.suppressor.weigh(&mut self.stage.state, at(second), &mut touched);
    }

    fn silence(&mut self, second: u64, words: &str) -> Result<SilenceId, String> {
        let draft = draft(words, second);
        let made = self.suppressor.draw(draft, at(second)).and_then(|made| {
            let id = made.id;
            self.suppressor.take(made, &self.stage.state, at(second)).map(|()| id)
        });
        self.weigh(second);
        made.map_err(|refusal| refusal.to_string())
    }

    fn end(&mut self, second: u64, id: u64) -> Result<(), String> {
        let (id, by) = (SilenceId(id), "bob".to_owned());
        let ended = self.suppressor.end(id, by, &self.stage.state, at(second));
        self.weigh(second);
        ended.map_err(|refusal| refusal.to_string())
    }

    /// What is held back, and what is shown.
    fn shown(&self) -> String {
        let line = |incident: &Incident| {
            let Incident { id, severity, suppressed_by, .. } = incident;
            let held = if incident.held_since.is_some() { "held back" } else { "shown" };
            let by: Vec<String> = suppressed_by.iter().map(told).collect();
            format!("{id} {severity} {held} {}", by.join(", ")).trim_end().to_owned()
        };
        self.stage.state.incidents().map(line).collect::<Vec<_>>().join("\n")
    }

    /// The lines of an incident's history about it.
    fn history(&self, id: u64) -> String {
        let incident = self.stage.state.incident(IncidentId(id)).unwrap();
        let ours =
            incident.timeline.iter().filter(|e| ["held", "released"].contains(&e.kind.as_str()));
        ours.map(|e| format!("{} {}", e.kind, e.text)).collect::<Vec<_>>().join("\n")
    }

    /// The same from nothing but what is there.
    fn scratch(&self, second: u64) -> Vec<(IncidentId, Vec<Suppression>, bool)> {
        let silences = self.suppressor.orders.values().map(|order| order.silence.clone()).collect();
        let mut fresh = Suppressor::new(self.suppressor.rules.clone(), self.suppressor.longest);
        let state = &self.stage.state;
        fresh.restore(silences, self.suppressor.next_id, state, at(second));
        for incident in state.incidents() {
            let note = fresh.note_of(Fleet::of(state), incident);
            fresh.index.note(incident.id, note);
        }
        let verdict = |incident: &Incident| {
            let case = state.case(incident.id).unwrap();
            let told = fresh.told(case, &fresh.verdict(state, incident.id), at(second));
            (incident.id, told.by, told.wholly)
        };
        state.incidents().map(verdict).collect()
    }

    fn as_it_stands(&self) -> Vec<(IncidentId, Vec<Suppression>, bool)> {
        let now = |incident: &Incident| {
            (incident.id, incident.suppressed_by.clone(), incident.held_since.is_some())
        };
        self.stage.state.incidents().map(now).collect()
    }
}

fn told(suppression: &Suppression) -> String {
    let Suppression { by, members_held, members_total, .. } = suppression;
    format!("{by} {members_held}/{members_total}")
}

/// `DAYS/TIME/ZONE/LAST`, but with `+` for each `/` of a zone.
fn repeat(text: &str) -> Repeat {
    let parts: Vec<&str> = text.split('/').collect();
    let zone = parts[2].replace('+', "/");
    Repeat {
        every: parts[0].parse().unwrap(),
        at: parts[1].parse().unwrap(),
        zone: zone.parse().unwrap(),
        last: parts[3].parse().unwrap(),
    }
}

/// `MATCHER … for@SECONDS [from@SECOND] [critical@] [rack@NAME] [every@REPEAT]`.
fn draft(words: &str, second: u64) -> Draft {
    let option = |key: &str| words.split(' ').find_map(|word| word.strip_prefix(key));
    let number = |key| option(key).map(|text| text.parse::<u64>().unwrap());
    let matchers = words.split(' ').filter_map(|word| word.parse::<Matcher>().ok()).collect();
    let from = number("from@");
    let kind = if from.is_some() { SilenceKind::Maintenance } else { SilenceKind::Silence };
    let rack = |name| Entity::fleet(EntityKind::Rack, name);
    Draft {
        kind,
        matchers,
        entities: option("rack@").map(rack).into_iter().collect(),
        starts_at: Some(at(from.unwrap_or(second))),
        end: End::After(Duration::from_secs(number("for@").unwrap_or(3600))),
        author: "ann".to_owned(),
        reason: "a test".to_owned(),
        even_critical: words.contains("critical@"),
        repeat: option("every@").map(repeat),
    }
}
#[test]
fn a_silence_holds_back_and_says_so_until_it_is_over() {
    let mut scene = Scene::new("");
    scene.play("0 node-a raise queue-backup bert\n1 node-b raise queue-backup resnet");
    scene.silence(2, "node=node-a for@60").unwrap();
    insta::assert_snapshot!(scene.shown(), @r"
    #1 P3 held back silence S1 1/1
    #2 P3 shown
    ");
    scene.weigh(61);
    assert!(scene.stage.state.incident(IncidentId(1)).unwrap().held_since.is_some());
    scene.weigh(62);
    insta::assert_snapshot!(scene.history(1), @r"
    held by silence S1 (ann) until 2027-01-15 08:01 UTC: a test
    released the time of S1 is over
    ");
}

#[test]
fn one_more_finding_that_is_not_held_back_makes_it_shown_at_once() {
    let mut scene = Scene::new("");
    scene.silence(0, "rule=queue-backup").unwrap();
    scene.play("1 node-a raise queue-backup bert");
    insta::assert_snapshot!(scene.shown(), @"#1 P3 held back silence S1 1/1");
    scene.play("2 node-a raise latency-high bert");
    insta::assert_snapshot!(scene.shown(), @"#1 P3 shown silence S1 1/2");
    scene.play("3 node-a clear latency-high bert");
    insta::assert_snapshot!(scene.shown(), @"#1 P3 held back silence S1 1/1");
    insta::assert_snapshot!(scene.history(1), @r"
    held by silence S1 (ann) until 2027-01-15 09:00 UTC: a test
    released node-a model bert latency-high is not held back
    held by silence S1 (ann) until 2027-01-15 09:00 UTC: a test
    ");
}

#[test]
fn members_join_and_severity_rises_while_all_is_held_back() {
    let mut scene = Scene::new("");
    scene.silence(0, "node=node-a").unwrap();
    scene.play("1 node-a raise queue-backup bert\n2 node-a raise error-rate-high bert 0.5");
    let incident = scene.stage.state.incident(IncidentId(1)).unwrap();
    assert_eq!((incident.members.len(), incident.severity), (2, Severity::P2));
    insta::assert_snapshot!(scene.shown(), @"#1 P2 held back silence S1 2/2");
}

#[test]
fn p1_is_held_back_only_by_what_names_it() {
    let lost = "0 node-a snapshot models=bert:9 sources=nvml,triton/default
                1 node-a raise model-unavailable bert down";
    let mut scene = Scene::new("");
    scene.silence(0, "node=node-a").unwrap();
    scene.play(lost);
    insta::assert_snapshot!(scene.shown(), @"#1 P1 shown");
    scene.silence(2, "node=node-a severity=P1 for@10").unwrap();
    assert_eq!(scene.shown(), "#1 P1 held back silence S2 1/1");
    scene.weigh(20);
    scene.silence(21, "node=node-a critical@").unwrap();
    insta::assert_snapshot!(scene.shown(), @"#1 P1 held back silence S3 1/1");
}

#[test]
fn what_rises_to_p1_is_shown_again_with_the_reason() {
    let mut scene = Scene::new("");
    scene.silence(0, "node=node-a").unwrap();
    scene.play(
        "0 node-a snapshot models=bert:9 sources=nvml,triton/default
         1 node-a raise queue-backup bert
         2 node-a raise model-unavailable bert down",
    );
    insta::assert_snapshot!(format!("{}\n{}", scene.shown(), scene.history(1)), @r"
    #1 P1 shown
    held by silence S1 (ann) until 2027-01-15 09:00 UTC: a test
    released it is P1, which S1 does not name
    ");
}

#[test]
fn maintenance_begins_and_ends_by_itself() {
    let mut scene = Scene::new("");
    scene.play("0 node-a snapshot labels=rack:r7\n1 node-a raise queue-backup bert");
    scene.silence(2, "rack@r7 from@10 for@5").unwrap();
    assert_eq!(scene.shown(), "#1 P3 shown");
    scene.weigh(10);
    assert_eq!(scene.shown(), "#1 P3 held back maintenance S1 1/1");
    scene.weigh(15);
    insta::assert_snapshot!(scene.history(1), @r"
    held by maintenance S1 (ann) until 2027-01-15 08:00 UTC: a test
    released the time of S1 is over
    ");
}

#[test]
fn maintenance_that_comes_again_holds_back_each_time_until_its_last_day_or_until_it_is_ended() {
    // The second 0 is Friday, 2027-01-15, 08:00 UTC.
    let (mut scene, day) = (Scene::new(""), 86_400);
    scene.play("0 node-a snapshot labels=rack:r7\n1 node-a raise queue-backup bert");
    let listed = |scene: &Scene, second| {
        let list = scene.suppressor.silences(true, &scene.stage.state, at(second));
        let line = |each: &gpuwarden_proto::silence::Listed| {
            let (id, from, to) = (each.silence.id, each.silence.starts_at, each.silence.ends_at);
            format!("{id} {} {from} {to}", each.state)
        };
        list.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    scene
        .silence(2, "rack@r7 from@2 for@3600 every@weekday/09:30/Europe+Berlin/2027-01-19")
        .unwrap();
    let mut told = vec![listed(&scene, 2)];
    for second in [1800, 5400, 3 * day + 1800, 3 * day + 5400, 4 * day + 1800, 4 * day + 5400] {
        scene.weigh(second);
        told.push(format!("{} | {}", scene.shown(), listed(&scene, second)));
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    S1 planned 2027-01-15T08:30:00.000Z 2027-01-15T09:30:00.000Z
    #1 P3 held back maintenance S1 1/1 | S1 active 2027-01-15T08:30:00.000Z 2027-01-15T09:30:00.000Z
    #1 P3 shown | S1 planned 2027-01-18T08:30:00.000Z 2027-01-18T09:30:00.000Z
    #1 P3 held back maintenance S1 1/1 | S1 active 2027-01-18T08:30:00.000Z 2027-01-18T09:30:00.000Z
    #1 P3 shown | S1 planned 2027-01-19T08:30:00.000Z 2027-01-19T09:30:00.000Z
    #1 P3 held back maintenance S1 1/1 | S1 active 2027-01-19T08:30:00.000Z 2027-01-19T09:30:00.000Z
    #1 P3 shown | S1 over 2027-01-19T08:30:00.000Z 2027-01-19T09:30:00.000Z
    ");
    let counted = scene.suppressor.orders[&SilenceId(1)].silence.incidents_held;
    assert_eq!(counted, 3);

    scene.silence(4 * day + 6000, "rack@r7 from@2 for@60 every@day/00:00/UTC/2027-12-31").unwrap();
    scene.end(4 * day + 6001, 2).unwrap();
    scene.weigh(6 * day);
    assert!(listed(&scene, 6 * day).starts_with("S2 over "), "{}", listed(&scene, 6 * day));
}

#[test]
fn what_goes_on_after_a_restart_is_the_time_that_is_under_way() {
    let (mut scene, day) = (Scene::new(""), 86_400);
    scene.silence(0, "node=node-a from@0 for@7200 every@day/09:00/UTC/2027-02-01").unwrap();
    scene.suppressor.restart(&scene.stage.state, at(2 * day + 3700));
    scene.play(&format!("{} node-a raise queue-backup bert", 2 * day + 3701));
    assert_eq!(scene.shown(), "#1 P3 held back maintenance S1 1/1");
}

#[test]
fn what_cannot_come_again_is_refused() {
    let mut scene = Scene::new("");
    let mut refused = |words: &str| scene.silence(5, words).unwrap_err();
    insta::assert_snapshot!(
        [refused("node=a every@day/02:00/UTC/2027-02-01"),
         refused("node=a from@5 every@day/02:00/Mars+Olympus/2027-02-01"),
         refused("node=a from@5 for@90000 every@day/02:00/UTC/2027-02-01"),
         refused("node=a from@5 every@mon/02:00/UTC/2027-01-17"),
         refused("node=a from@5 every@mon/02:00/UTC/2029-01-17")].join("\n"),
        @r#"
    a silence does not come again; what is planned is maintenance
    `Mars/Olympus` is no time zone (try "Europe/Berlin", "America/New_York" or "UTC")
    it would last 1 d 1 h and come again after 1 d 0 h: let it come less often or end earlier
    it would never begin: its last day comes before its first time
    it would still come in more than a year: name an earlier last day
    "#
    );
}

#[test]
fn a_second_source_keeps_inhibiting_when_the_first_one_ends() {
    let mut scene = Scene::new(RULES);
    scene.play(
        "0 node-a snapshot labels=rack:r1
         0 node-b snapshot labels=rack:r1
         0 node-c snapshot labels=rack:r1
         0 node-d snapshot labels=rack:r2
         1 node-a raise gpu-lost gpu1
         2 node-b raise gpu-lost gpu2
         9 node-c raise queue-backup bert
         9 node-d raise queue-backup resnet",
    );
    insta::assert_snapshot!(scene.shown(), @r"
    #1 P3 shown
    #2 P3 shown
    #3 P3 held back #1 (inhibition rack-first) 1/1
    #4 P3 shown
    ");
    scene.play("20 node-a clear gpu-lost gpu1");
    insta::assert_snapshot!(scene.shown(), @r"
    #1 P3 shown
    #2 P3 shown
    #3 P3 held back #2 (inhibition rack-first) 1/1
    #4 P3 shown
    ");
    scene.play("30 node-b clear gpu-lost gpu2");
    insta::assert_snapshot!(scene.shown(), @r"
    #1 P3 shown
    #2 P3 shown
    #3 P3 shown
    #4 P3 shown
    ");
    insta::assert_snapshot!(scene.history(3), @r"
    held by #1 (inhibition rack-first): #1 is active, same rack r1
    released #2 does not hold it back any more (inhibition rack-first)
    ");
}

#[test]
fn what_is_missing_on_both_sides_is_not_the_same() {
    let mut scene = Scene::new(RULES);
    scene.play("1 node-a raise gpu-lost gpu1\n200 node-c raise queue-backup bert");
    assert_eq!(scene.shown(), "#1 P3 shown\n#2 P3 shown");
    scene.play(
        "201 node-a snapshot labels=rack:r1 active=gpu-lost/gpu1
                202 node-c snapshot labels=rack:r1 active=queue-backup/bert",
    );
    assert_eq!(scene.shown(), "#1 P3 shown\n#2 P3 held back #1 (inhibition rack-first) 1/1");
}

#[test]
fn of_those_that_inhibit_each_other_one_stays_shown() {
    let each = "[[inhibit]]\nname = \"one\"\nsource = [\"rule=xid\"]\ntarget = [\"rule=xid\"]\n";
    let mut scene = Scene::new(each);
    scene.play("1 node-a raise xid gpu1\n2 node-b raise xid gpu2\n3 node-c raise xid gpu3");
    insta::assert_snapshot!(scene.shown(), @r"
    #1 P3 shown
    #2 P3 held back #1 (inhibition one) 1/1
    #3 P3 held back #1 (inhibition one) 1/1
    ");
    scene.play("4 node-a clear xid gpu1");
    insta::assert_snapshot!(scene.shown(), @r"
    #1 P3 held back #2 (inhibition one) 1/1
    #2 P3 shown
    #3 P3 held back #2 (inhibition one) 1/1
    ");
}

#[test]
fn an_incident_over_several_racks_is_not_hidden_by_the_loss_of_one() {
    let mut scene = Scene::new(RULES);
    scene.play(
        "0 node-a snapshot labels=rack:r1
         0 node-b snapshot labels=rack:r1
         0 node-c snapshot labels=rack:r2
         1 node-a raise gpu-lost gpu1
         200 node-b raise queue-backup bert
         201 node-c raise queue-backup bert",
    );
    insta::assert_snapshot!(scene.shown(), @r"
    #1 P3 shown
    #2 P3 shown #1 (inhibition rack-first) 1/2
    ");
}

#[test]
fn what_cannot_be_is_refused_with_all_that_is_wrong() {
    let mut scene = Scene::new("");
    let mut refused = |words: &str| scene.silence(5, words).unwrap_err();
    insta::assert_snapshot!(
        [refused("for@60"), refused("service= for@60"), refused("service= rule=~.* for@0"),
         refused("node=~( severity=P7 for@9999999"), refused("node=a from@99999999")].join("\n"),
        @r"
    say what is to be held back: a matcher at least, like node=gpu-node-7
    service= would also match what has no such value, which is nearly everything: name a value in one of them
    it would end at 2027-01-15T08:00:05.000Z, before it begins; service= rule=~.* would also match what has no such value, which is nearly everything: name a value in one of them
    it would last 115 d 17 h, at most 30 d 0 h are allowed; `node=~(` is no expression: unclosed group; `severity=P7` can never match: severity is one of P1, P2, P3, P4
    it would begin in more than a year
    "
    );
    let draft = Draft { author: " ".to_owned(), reason: String::new(), ..draft("node=a", 5) };
    let refused = scene.suppressor.draw(draft, at(5)).unwrap_err();
    assert_eq!(refused.to_string(), "say who asks for it; say why");
    assert_eq!(
        scene.end(6, 9).unwrap_err(),
        "there is no silence S9; those that are over are kept for 30 days"
    );
    scene.silence(7, "node=a").unwrap();
    scene.end(8, 1).unwrap();
    assert!(scene.end(9, 1).unwrap_err().starts_with("S1 has been over since"));
}

#[test]
fn what_is_held_back_is_counted_once_also_after_a_restart() {
    let mut scene = Scene::new("");
    scene.silence(0, "node=node-a").unwrap();
    scene.play("1 node-a raise queue-backup bert\n2 node-a raise latency-high bert\n3 node-a update latency-high bert");
    let counted = |scene: &Scene| {
        let silence = &scene.suppressor.orders[&SilenceId(1)].silence;
        (silence.incidents_held, silence.findings_held)
    };
    assert_eq!(counted(&scene), (1, 2));
    let silences = scene.suppressor.take_changed();
    scene.suppressor = Suppressor::new(Vec::new(), Duration::from_secs(86_400));
    scene.suppressor.restore(silences, 2, &scene.stage.state, at(4));
    scene.weigh(4);
    assert_eq!(counted(&scene), (1, 2));
    scene.play("5 node-a clear latency-high bert\n6 node-a raise latency-high bert");
    assert_eq!(counted(&scene), (1, 3), "it is another time");
    let standing = scene.suppressor.standing(&scene.stage.state);
    assert_eq!((standing.incidents, standing.active), ([1, 0, 0], [1, 0]));
}

#[test]
fn a_dry_run_tells_what_would_be_held_back_and_makes_nothing() {
    let mut scene = Scene::new("");
    scene.play(
        "0 node-p snapshot models=gpt:9 sources=nvml,triton/default
         1 node-p raise model-unavailable gpt down
         1 node-a raise queue-backup bert
         2 node-b raise queue-backup bert
         3 node-a raise xid gpu1",
    );
    let told =
        scene.suppressor.preview(draft("node=~node-[ap]", 4), &scene.stage.state, at(4)).unwrap();
    let expected =
        gpuwarden_proto::silence::Hold { incidents: 1, findings: 2, in_part: 1, critical: 1 };
    assert_eq!(told.now, expected, "{}", scene.stage.shown());
    assert!(scene.suppressor.orders.is_empty());
}

#[test]
fn silences_are_listed_the_active_first_and_forgotten_after_a_while() {
    let mut scene = Scene::new("");
    scene.silence(0, "node=a for@10").unwrap();
    scene.silence(0, "node=b from@50").unwrap();
    scene.silence(0, "node=c for@3600").unwrap();
    let listed = |scene: &Scene, second| {
        let list = scene.suppressor.silences(true, &scene.stage.state, at(second));
        list.iter().map(|l| format!("{} {}", l.silence.id, l.state)).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(listed(&scene, 20), "S3 active, S2 planned, S1 over");
    scene.suppressor.forget(at(20).after(LISTED_FOR));
    assert_eq!(listed(&scene, 20), "S3 active, S2 planned");
}

/// One step of a random story.
#[derive(Debug, Clone)]
enum Step {
    Line(usize, usize, usize),
    Rack(usize, usize),
    Silence(usize, u64, bool),
    End(u64),
    Resolve(u64),
    Pass(u64),
}

const VERBS: [&str; 8] = [
    "raise queue-backup bert",
    "clear queue-backup bert",
    "raise gpu-lost gpu1",
    "clear gpu-lost gpu1",
    "raise xid gpu1",
    "clear xid gpu1",
    "raise model-unavailable bert down",
    "clear model-unavailable bert",
];
const WANTED: [&str; 7] = [
    "node=node-0",
    "node!=node-1",
    "rule=~queue.*|xid",
    "rack=r1",
    "severity=P1 node=~.+",
    "type=gpu-hardware",
    "rack@r0",
];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4usize, 0..VERBS.len(), 0..3usize).prop_map(|(n, v, m)| Step::Line(n, v, m)),
        1 => (0..4usize, 0..3usize).prop_map(|(n, r)| Step::Rack(n, r)),
        2 => (0..WANTED.len(), 1..200u64, any::<bool>()).prop_map(|(w, s, c)| Step::Silence(w, s, c)),
        1 => (1..8u64).prop_map(Step::End),
        1 => (1..6u64).prop_map(Step::Resolve),
        3 => (1..90u64).prop_map(Step::Pass),
    ]
}

impl Scene {
    fn step(&mut self, second: &mut u64, step: &Step) {
        *second += 1;
        let now = *second;
        match step {
            // Other models and GPUs on other nodes, so that there are several incidents.
            Step::Line(on, verb, other) => {
                let verb = VERBS[*verb].replace("bert", &format!("bert{other}"));
                self.play(&format!(
                    "{now} node-{on} {}",
                    verb.replace("gpu1", &format!("gpu{on}"))
                ));
            }
            Step::Rack(on, rack) => {
                let active: Vec<String> = self
                    .stage
                    .state
                    .nodes
                    .get(&node(&format!("node-{on}")))
                    .iter()
                    .flat_map(|known| known.findings.iter().filter(|(_, place)| place.active))
                    .map(|((rule, subject), _)| match subject {
                        gpuwarden_proto::event::Subject::Gpu { uuid, .. } => {
                            format!("{rule}/{}", uuid.as_str().replace("GPU-", "gpu"))
                        }
                        gpuwarden_proto::event::Subject::Model { model, .. } => {
                            format!("{rule}/{model}")
                        }
                        other => format!("{rule}/{other}"),
                    })
                    .collect();
                self.play(&format!(
                    "{now} node-{on} snapshot labels=rack:r{rack} active={}",
                    active.join(",")
                ));
            }
            Step::Silence(wanted, lasts, later) => {
                let from = if *later { format!(" from@{}", now + 20) } else { String::new() };
                let critical = if lasts % 7 == 0 { " critical@" } else { "" };
                drop(
                    self.silence(now, &format!("{} for@{lasts}{from}{critical}", WANTED[*wanted])),
                );
            }
            Step::End(id) => drop(self.end(now, *id)),
            Step::Resolve(id) => {
                let (by, reason) = ("ann".to_owned(), "a test".to_owned());
                let command = Command::Resolve { by, reason, force: true };
                let mut touched = Touched::default();
                // It may be over already.
                drop(self.stage.state.command(at(now), IncidentId(*id), command, &mut touched));
                self.suppressor.note(&touched);
                self.weigh(now);
            }
            Step::Pass(seconds) => {
                *second += seconds;
                self.play(&format!("{second} tick"));
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_held_back_is_the_same_from_scratch(steps in prop::collection::vec(step(), 1..60)) {
        let mut scene = Scene::new(&(RULES.to_owned() + r#"
            [[inhibit]]
            name = "gpu"
            source = ["rule=~gpu-lost|xid"]
            target = ["rule=xid"]
            equal = ["node"]
        "#));
        let mut second = 0;
        for taken in &steps {
            scene.step(&mut second, taken);
            prop_assert_eq!(scene.as_it_stands(), scene.scratch(second), "{:?}", taken);
        }
    }

    #[test]
    fn something_is_left_to_show_of_what_nobody_silenced(steps in prop::collection::vec(step(), 1..60)) {
        let mut scene = Scene::new(RULES);
        let mut second = 0;
        for taken in steps.iter().filter(|step| !matches!(step, Step::Silence(..))) {
            scene.step(&mut second, taken);
            let active = |incident: &&Incident| incident.members.iter().any(|m| m.cleared_at.is_none());
            let open: Vec<&Incident> = scene.stage.state.incidents().filter(active).collect();
            prop_assert!(open.is_empty() || open.iter().any(|incident| incident.held_since.is_none()));
        }
    }
}
