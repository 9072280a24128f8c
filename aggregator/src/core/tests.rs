//! A replay of what an aggregator has written of its history gives the incidents that it had: any
//! story of nodes, people and restarts.

use std::collections::{BTreeMap, BTreeSet};

use gpuwarden_proto::convert::encode_event;
use gpuwarden_proto::event::{Body, Change};
use gpuwarden_proto::repeat::Repeat;
use gpuwarden_proto::silence::{Draft, End, SilenceId};
use gpuwarden_proto::uplink::ToNode;
use gpuwarden_proto::vocab::{Phase, SilenceKind};
use proptest::prelude::*;

use super::*;
use crate::clock::Simulated;
use crate::config::Candidate;
use crate::replay::Replay;
use crate::replay::export::export;
use crate::replay::log::Log;
use crate::store::{History as _, MemoryStore, Store as _};
use crate::testing::{START, finding, node, snapshot, subject};

/// What happens in a story.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes; nodes that have a stream give signs of life meanwhile, or do not.
    Wait { ms: u64, alive: bool },
    /// A node opens a stream, having held back so many events.
    Hello { node: usize, held: usize },
    /// A node tells of some things at one time, as they were some time before.
    Tell { node: usize, said: Vec<Said>, before_ms: u64 },
    /// A node sends again what it sent last.
    Again { node: usize },
    /// A node says how it stands, and lists so many of its active findings.
    Snapshot { node: usize, how: usize, listed: usize },
    /// A stream ends.
    Gone { node: usize },
    /// A person's word on an incident that is not over.
    Command { nth: usize, what: usize },
    /// Something is told from elsewhere.
    Alert { which: usize, how: usize },
    /// Somebody has something held back, from a time on and for a time.
    Silence { which: usize, from_ms: u64, lasts_ms: u64 },
    /// Somebody ends a silence before its time.
    End { id: u64 },
    /// The aggregator ends and begins anew.
    Restart { clean: bool },
}

#[derive(Debug, Clone)]
enum Said {
    Finding { phase: Phase, what: usize, how: usize },
    Change(usize),
}

const NODES: usize = 5;
const FINDINGS: &[(&str, &str)] = &[
    ("gpu-memory-exhausted", "gpu0"),
    ("xid", "gpu0"),
    ("error-rate-high", "bert"),
    ("queue-backup", "bert"),
    ("latency-high", "resnet"),
    ("model-unavailable", "bert"),
    ("server-unavailable", "server"),
    ("noisy-neighbour", "bert"),
    ("thermal-throttle", "gpu1"),
    ("telemetry-blind", "nvml"),
];
const ALERTS: &[(&str, &str)] =
    &[("model", "bert"), ("UUID", "GPU-0"), ("service", "chat"), ("x", "y")];
const HOW: &[&str] = &["degraded", "down", "warning", "0.1", "0.4", "0.9"];
const CHANGES: &[(&str, &str, &str)] = &[
    ("model-deployed", "bert", ""),
    ("model-loaded", "resnet", ""),
    ("driver-changed", "node", "571.2"),
    ("agent-stopped", "node", ""),
    ("server-restarted", "server", ""),
];
const SILENCED: &[&[&str]] = &[
    &["node=node-0"],
    &["node!=node-1"],
    &["rule=~queue.*|xid"],
    &["rack=r1", "severity!=P2"],
    &["severity=P1", "node=~.+"],
    &["model=bert"],
];
const STANDS: &[&str] = &[
    "models=bert:9,resnet:1 sources=nvml,triton/default labels=rack:r1,zone:a driver=570.1",
    "models=bert:0,resnet:1 sources=nvml,triton/default labels=rack:r1,zone:a driver=570.1",
    "models=bert:9 sources=!nvml,triton/default labels=rack:r2,zone:a driver=571.2",
    "models= sources=nvml labels=rack:r1,zone:a driver=570.1",
];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let nth = || 0..NODES;
    let phase = prop_oneof![
        5 => Just(Phase::Raised),
        2 => Just(Phase::Updated),
        3 => Just(Phase::Cleared)
    ];
    let said = prop_oneof![
        6 => (phase, 0..FINDINGS.len(), 0..HOW.len())
            .prop_map(|(phase, what, how)| Said::Finding { phase, what, how }),
        1 => (0..CHANGES.len()).prop_map(Said::Change),
    ];
    let wait = prop_oneof![0_u64..300, 300_u64..3000, 3000_u64..20_000, 50_000_u64..90_000];
    let step = prop_oneof![
        4 => (wait, any::<bool>()).prop_map(|(ms, alive)| Step::Wait { ms, alive }),
        2 => (nth(), 0_usize..3).prop_map(|(node, held)| Step::Hello { node, held }),
        10 => (nth(), proptest::collection::vec(said, 1..4), 0_u64..5000)
            .prop_map(|(node, said, before_ms)| Step::Tell { node, said, before_ms }),
        1 => nth().prop_map(|node| Step::Again { node }),
        4 => (nth(), 0..STANDS.len(), 0_usize..4)
            .prop_map(|(node, how, listed)| Step::Snapshot { node, how, listed }),
        1 => nth().prop_map(|node| Step::Gone { node }),
        2 => (0_usize..4, 0_usize..4).prop_map(|(nth, what)| Step::Command { nth, what }),
        4 => (0..ALERTS.len(), 0_usize..5).prop_map(|(which, how)| Step::Alert { which, how }),
        2 => (0..SILENCED.len(), 0_u64..9_000, 1_u64..60_000)
            .prop_map(|(which, from_ms, lasts_ms)| Step::Silence { which, from_ms, lasts_ms }),
        1 => (1_u64..6).prop_map(|id| Step::End { id }),
        1 => any::<bool>().prop_map(|clean| Step::Restart { clean }),
    ];
    proptest::collection::vec(step, 1..120)
}

/// A node's end.
#[derive(Default)]
struct Agent {
    session: Option<(SessionId, Arc<Pulse>, mpsc::Receiver<ToNode>)>,
    seq: u64,
    last: Vec<(Entry, Event)>,
    active: BTreeSet<usize>,
}

impl Agent {
    fn body(&mut self, said: &Said, observed_at: Timestamp) -> Body {
        match *said {
            Said::Finding { phase, what, how } => {
                match phase {
                    Phase::Cleared => self.active.remove(&what),
                    Phase::Raised | Phase::Updated => self.active.insert(what),
                };
                let (rule, about) = FINDINGS[what];
                Body::Finding(finding(phase, &[rule, about, HOW[how], "by=7"], observed_at))
            }
            Said::Change(what) => {
                let (kind, about, to) = CHANGES[what];
                let (kind, version) = (kind.parse().unwrap(), to.to_owned());
                let summary = String::new();
                Body::Change(Change { subject: subject(about), kind, summary, version })
            }
        }
    }
}

/// An aggregator with a store and a clock of its own.
struct Live {
    config: Arc<Config>,
    store: MemoryStore,
    clock: Clock,
    hand: Simulated,
    core: Core,
    agents: BTreeMap<usize, Agent>,
}

impl Live {
    fn new() -> Self {
        Self::with(config())
    }

    fn with(config: Config) -> Self {
        let (clock, hand) = Clock::simulated(START);
        let (store, config) = (MemoryStore::default(), Arc::new(config));
        let core = begun(&config, &store, &clock);
        Self { config, store, clock, hand, core, agents: BTreeMap::new() }
    }

    fn play(&mut self, step: &Step) {
        match *step {
            Step::Wait { ms, alive } => self.wait(ms, alive),
            Step::Hello { node, held } => self.hello(node, held),
            Step::Tell { node, ref said, before_ms } => self.tell(node, said, before_ms),
            Step::Again { node } => {
                let again = self.agents.entry(node).or_default().last.clone();
                self.send(node, again);
            }
            Step::Snapshot { node, how, listed } => self.snapshot(node, how, listed),
            Step::Gone { node: nth } => {
                let agent = self.agents.entry(nth).or_default();
                if let Some((session, ..)) = agent.session.take() {
                    self.ask(Request::Gone(named(nth), session));
                }
            }
            Step::Command { nth, what } => self.command(nth, what),
            Step::Alert { which, how } => self.alert(which, how),
            Step::Silence { which, from_ms, lasts_ms } => self.silence(which, from_ms, lasts_ms),
            Step::End { id } => {
                let (answer, _) = oneshot::channel();
                let (id, by) = (SilenceId(id), "bob".to_owned());
                self.ask(Request::Silence(SilenceRequest::End(id, by, answer)));
            }
            Step::Restart { clean } => self.restart(clean),
        }
    }

    fn wait(&mut self, ms: u64, alive: bool) {
        // Ticks come late and irregularly, as in life.
        let mut left = ms;
        while left > 0 {
            let some = left.min(170 + left % 391);
            left -= some;
            self.hand.advance(Duration::from_millis(some));
            let now = self.clock.now();
            let sessions = self.agents.values().filter_map(|agent| agent.session.as_ref());
            sessions.filter(|_| alive).for_each(|(_, pulse, _)| pulse.heard(now));
            self.input(Input::Tick);
        }
    }

    fn hello(&mut self, nth: usize, held: usize) {
        let agent = self.agents.entry(nth).or_default();
        agent.seq += held as u64;
        let hello = Hello {
            node: named(nth),
            epoch: Epoch(1),
            next_seq: Seq(agent.seq + 1),
            agent_version: String::new(),
            boot_id: String::new(),
        };
        agent.seq -= held as u64;
        let (outbox, inbox) = mpsc::channel(1000);
        let (ended, _) = oneshot::channel();
        let pulse = Arc::new(Pulse::default());
        pulse.heard(self.clock.now());
        let stream = Stream { outbox, ended, pulse: Arc::clone(&pulse) };
        let (answer, mut answered) = oneshot::channel();
        self.ask(Request::Hello(hello, stream, answer));
        let session = answered.try_recv().unwrap().unwrap().session;
        self.agents.entry(nth).or_default().session = Some((session, pulse, inbox));
    }

    fn tell(&mut self, nth: usize, said: &[Said], before_ms: u64) {
        let observed_at = self.clock.now().before(Duration::from_millis(before_ms));
        let agent = self.agents.entry(nth).or_default();
        let told = said.iter().map(|said| {
            let event = Event { observed_at, body: agent.body(said, observed_at) };
            agent.seq += 1;
            (Entry { seq: Seq(agent.seq), event: encode_event(&event) }, event)
        });
        let told = told.collect();
        self.send(nth, told);
    }

    fn send(&mut self, nth: usize, said: Vec<(Entry, Event)>) {
        let agent = self.agents.entry(nth).or_default();
        let Some(session) = agent.session.as_ref().map(|(session, ..)| *session) else { return };
        let sent = said.clone();
        let (entries, events): (Vec<Entry>, Vec<Event>) = said.into_iter().unzip();
        let last = entries.last().map_or(Seq(0), |entry| entry.seq);
        self.input(Input::Batches(vec![Arrived {
            node: named(nth),
            session,
            epoch: Epoch(1),
            received_at: self.clock.now().before(Duration::from_millis(3)),
            entries,
            events,
            rejected: Vec::new(),
            last_seq: last,
        }]));
        // A stream that was ended meanwhile takes nothing.
        let Some(agent) = self.agents.get_mut(&nth) else { return };
        let inbox = agent.session.as_mut().map(|(_, _, inbox)| inbox);
        let heard = inbox.is_some_and(|inbox| inbox.try_recv().is_ok());
        if heard && !sent.is_empty() {
            agent.last = sent;
        }
    }

    fn snapshot(&mut self, nth: usize, how: usize, listed: usize) {
        let now = self.clock.now();
        let agent = self.agents.entry(nth).or_default();
        let Some(session) = agent.session.as_ref().map(|(session, ..)| *session) else { return };
        let words: Vec<&str> = STANDS[how].split_whitespace().collect();
        let mut said = snapshot(&words, now.before(Duration::from_millis(20)));
        let active = agent.active.iter().take(listed).map(|what| FINDINGS[*what]);
        said.active = active
            .map(|(rule, about)| finding(Phase::Updated, &[rule, about, "degraded"], now))
            .collect();
        self.ask(Request::Snapshot(named(nth), session, Box::new(said)));
    }

    fn command(&mut self, nth: usize, what: usize) {
        let open: Vec<IncidentId> = self.core.state.incidents().map(|each| each.id).collect();
        let Some(id) = open.get(nth % open.len().max(1)) else { return };
        let (by, text) = ("ann".to_owned(), "known".to_owned());
        let command = match what {
            0 => Command::Acknowledge { by },
            1 => Command::Note { by, text },
            _ => Command::Resolve { by, reason: text, force: what == 3 },
        };
        let (answer, _) = oneshot::channel();
        self.ask(Request::Command(*id, command, answer));
    }

    fn alert(&mut self, which: usize, how: usize) {
        let now = self.clock.now();
        let (name, value) = ALERTS[which];
        let before = now.before(Duration::from_secs(20));
        let times = match how {
            0 => String::new(),
            1 => format!(r#","endsAt":"{now}""#),
            2 => format!(r#","startsAt":"{before}""#),
            3 => format!(r#","endsAt":"{}""#, now.after(Duration::from_secs(8))),
            _ => format!(r#","annotations":{{"summary":"{now}"}}"#),
        };
        let body = format!(r#"[{{"labels":{{"alertname":"A","{name}":"{value}"}}{times}}}]"#);
        let heard = crate::outside::alertmanager::api(body.as_bytes(), now).unwrap();
        let (answer, _) = oneshot::channel();
        self.ask(Request::Outside(heard.signals, answer));
    }

    fn silence(&mut self, which: usize, from_ms: u64, lasts_ms: u64) {
        // Half of them begin at once.
        let from = Duration::from_millis(if from_ms < 4_500 { 0 } else { from_ms });
        let draft = Draft {
            kind: SilenceKind::Maintenance,
            matchers: SILENCED[which].iter().map(|text| text.parse().unwrap()).collect(),
            entities: Vec::new(),
            starts_at: Some(self.clock.now().after(from)),
            end: End::After(Duration::from_millis(lasts_ms)),
            author: "ann".to_owned(),
            reason: "a test".to_owned(),
            even_critical: lasts_ms.is_multiple_of(5),
            // The story begins at 08:00.
            repeat: lasts_ms.is_multiple_of(7).then(|| Repeat {
                every: "day".parse().unwrap(),
                at: "08:01".parse().unwrap(),
                zone: "UTC".parse().unwrap(),
                last: "2027-01-15".parse().unwrap(),
            }),
        };
        let (answer, _) = oneshot::channel();
        self.ask(Request::Silence(SilenceRequest::Create(draft, answer)));
    }

    fn restart(&mut self, clean: bool) {
        if clean {
            self.stop();
        }
        self.agents.values_mut().for_each(|agent| agent.session = None);
        self.core = begun(&self.config, &self.store, &self.clock);
        self.commit();
    }

    fn stop(&mut self) {
        let core = std::mem::replace(
            &mut self.core,
            begun(&self.config, &MemoryStore::default(), &self.clock),
        );
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(core.finish(self.clock.now())).unwrap();
    }

    fn ask(&mut self, request: Request) {
        self.input(Input::Request(request));
    }

    /// An input, after a tick: what time brought about has a transaction of its own.
    fn input(&mut self, input: Input) {
        for input in [Input::Tick, input] {
            let now = self.clock.now();
            self.core.apply(now, input).unwrap();
            self.commit();
        }
    }

    fn commit(&mut self) {
        let now = self.clock.now();
        self.core.hand_over(now);
        while !matches!(self.core.commit, Commit::Idle) {
            let done = self.core.writer.done.blocking_recv().unwrap();
            self.core.apply(now, Input::Done(done)).unwrap();
            self.core.hand_over(now);
        }
    }

    /// All incidents as they are on disk, by number.
    fn incidents(&mut self) -> Vec<Incident> {
        let over = self.store.resolved(None, usize::MAX).unwrap();
        let open = self.store.load().unwrap().incidents;
        let all = over.into_iter().chain(open).map(|incident| (incident.id, incident));
        all.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    fn log(&self) -> String {
        let mut log = Vec::new();
        export(&self.store, &mut log).unwrap();
        String::from_utf8(log).unwrap()
    }
}

fn named(nth: usize) -> NodeId {
    node(&format!("node-{nth}"))
}

const RULES: &str = r#"
[[inhibit]]
name = "xid-first"
source = ["rule=xid"]
target = ["rule=~queue.*|telemetry.*|error.*"]
equal = ["rack"]
"#;

fn config() -> Config {
    let rules = Config::parse("rules.toml", RULES).unwrap();
    Config { start_grace: Duration::from_secs(2), ..rules }
}

fn begun(config: &Arc<Config>, store: &MemoryStore, clock: &Clock) -> Core {
    let mut store = store.clone();
    let (loaded, now) = (store.load().unwrap(), clock.now());
    let writer = Writer::start(Box::new(store), clock.clone()).unwrap();
    let begun = Begun { loaded, now };
    let (sends, _) = mpsc::unbounded_channel();
    Core::new(Arc::clone(config), clock.clone(), Arc::new(Metrics::default()), begun, writer, sends)
}

fn replayed(log: &str) -> Vec<Incident> {
    let events = Log::new("log", log.as_bytes());
    let replay = Replay { events, config: config(), skip_bad: false, until: None };
    let replayed = replay.run().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(replayed.remarks, Vec::<String>::new());
    replayed.incidents
}

/// Where two incidents differ, in JSON.
fn check(live: &[Incident], replayed: &[Incident], log: &str) {
    for (live, replayed) in live.iter().zip(replayed) {
        let json = |incident| serde_json::to_string_pretty(incident).unwrap();
        if live != replayed {
            let (live, replayed) = (json(live), json(replayed));
            let differing: Vec<String> = live
                .lines()
                .zip(replayed.lines())
                .filter(|(a, b)| a != b)
                .map(|(a, b)| format!("live: {a}\nreplayed: {b}"))
                .collect();
            panic!("{}\n{log}", differing.join("\n"));
        }
    }
    assert_eq!(live.len(), replayed.len(), "{log}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn a_replay_gives_the_incidents_that_were(mut steps in steps()) {
        // What a crash finds on disk is exact where each event was committed by itself: a log does
        // not tell which numbers were committed together with a change before them.
        if steps.iter().any(|step| matches!(step, Step::Restart { clean: false })) {
            steps.iter_mut().for_each(|step| if let Step::Tell { said, .. } = step { said.truncate(1) });
        }
        let mut live = Live::new();
        steps.iter().for_each(|step| live.play(step));
        live.stop();
        let log = live.log();
        check(&live.incidents(), &replayed(&log), &log);
    }

    #[test]
    fn what_is_sent_again_changes_nothing(steps in steps()) {
        let (mut once, mut again) = (Live::new(), Live::new());
        for step in &steps {
            match *step {
                // A sign of life it is all the same.
                Step::Again { node } => once.send(node, Vec::new()),
                ref step => once.play(step),
            }
            again.play(step);
        }
        [&mut once, &mut again].into_iter().for_each(Live::stop);
        prop_assert_eq!(once.incidents(), again.incidents());
    }

    #[test]
    fn the_report_of_a_candidate_is_that_of_a_replay_against_it(steps in steps()) {
        // It has no rules of inhibition.
        let candidate = "[incidents]\nquiet_period = \"20s\"\ncause_window = \"5s\"\n";
        let candidate = Config::parse("candidate.toml", candidate).unwrap();
        let (policy, inhibitions) = (candidate.policy(), candidate.inhibitions.clone());
        let shadow = Candidate { policy, inhibitions, percent: 20 };
        let mut live = Live::with(Config { shadow: Some(shadow), ..config() });
        let told = steps.iter().filter(|step| !matches!(step, Step::Restart { .. }));
        told.for_each(|step| live.play(step));
        let until = live.clock.now();
        live.input(Input::Tick);
        let report = live.core.shadow_report(until).unwrap();
        let log = live.log();
        let events = Log::new("log", log.as_bytes());
        let replay = Replay { events, config: config(), skip_bad: false, until: Some(until) };
        let replayed = replay.against(&candidate).unwrap().report;
        prop_assert_eq!(&report, &Report { since: report.since, ..replayed }, "{}", log);
    }
}
