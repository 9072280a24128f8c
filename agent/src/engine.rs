//! The node's judgement: what the sources read goes in, what should be told comes out. One value owns
//! all state; [`Engine::apply`] is synchronous and touches nothing outside.

mod changes;
mod counters;
mod intake;
mod inventory;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use gpuwarden_proto::event::{Body, Event, Finding, Subject};
use gpuwarden_proto::vocab::{GpuUuid, Phase, RuleId, ServerName};

use crate::hold::{Hold, Sight, Step};
use crate::rule::{Check, Context, Observation, RULES, Rule, Thresholds, Verdict};
use crate::sample::{Input, Moment, Now};
use crate::window::Window;
pub use counters::{EngineCounters, EventKind, SourceCounters};

/// A finding that goes on is told again with newer numbers after this long, if they changed.
const TELL_AGAIN: Duration = Duration::from_secs(15);

/// What the engine wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Tell this.
    Emit(Event),
    /// Read this server at once, and closely for a moment.
    LookAgain(ServerName),
}

/// What there is to judge anew.
enum Touched {
    Everything,
    Gpus,
    Gpu(GpuUuid),
    Server(ServerName),
    Sources,
    Nothing,
}

/// Where one rule stands on one subject.
#[derive(Debug, Default)]
struct Stand {
    hold: Hold,
    told: Option<(Moment, Finding)>,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    window: Window,
    thresholds: Thresholds,
    stands: BTreeMap<(RuleId, Subject), Stand>,
    hostname: String,
    labels: BTreeMap<String, String>,
    counters: EngineCounters,
}

impl Engine {
    /// An engine that has seen nothing, for a node with these servers.
    pub fn new(thresholds: Thresholds, servers: &[ServerName]) -> Self {
        let mut window = Window::default();
        for server in servers {
            let made = crate::window::ServerWindow::new(server.clone());
            window.servers.insert(server.clone(), made);
        }
        Self {
            window,
            thresholds,
            stands: BTreeMap::new(),
            hostname: String::new(),
            labels: BTreeMap::new(),
            counters: EngineCounters::default(),
        }
    }

    /// The same, on a node that is labelled so.
    #[must_use]
    pub fn labelled(mut self, labels: BTreeMap<String, String>) -> Self {
        self.labels = labels;
        self
    }

    /// What was counted.
    pub fn counters(&self) -> &EngineCounters {
        &self.counters
    }

    /// Findings that are out, by rule.
    pub fn active(&self) -> impl Iterator<Item = &Finding> {
        self.stands.values().filter_map(|stand| stand.told.as_ref().map(|(_, finding)| finding))
    }

    /// Takes in what the world says and returns what follows from it.
    pub fn apply(&mut self, now: Now, input: Input) -> Vec<Effect> {
        self.counters.count_input(&input);
        let mut effects = Vec::new();
        let touched = self.take_in(now, input, &mut effects);
        self.judge(now, &touched, &mut effects);
        for effect in &effects {
            if let Effect::Emit(event) = effect {
                self.counters.count_event(event);
            }
        }
        effects
    }

    fn judge(&mut self, now: Now, touched: &Touched, effects: &mut Vec<Effect>) {
        for rule in RULES {
            for (subject, verdict) in self.verdicts(now, rule, touched) {
                if verdict == Verdict::Suspicious
                    && let Some(server) = server_of(&subject)
                {
                    effects.push(Effect::LookAgain(server));
                }
                let event = self.stand(now, rule, subject, verdict);
                effects.extend(event.map(Effect::Emit));
            }
        }
    }

    /// What a rule says of each subject that was touched.
    fn verdicts(&mut self, now: Now, rule: &Rule, touched: &Touched) -> Vec<(Subject, Verdict)> {
        let mut panics = 0;
        let mut verdicts = Vec::new();
        let mut say = |subject: Subject, check: &dyn Fn(&Context<'_>) -> Verdict| {
            let key = (rule.id, subject.identity());
            let active = self.stands.get(&key).is_some_and(|stand| stand.hold.is_active());
            let context =
                Context { now, window: &self.window, thresholds: &self.thresholds, active };
            let verdict = guarded(&mut panics, || check(&context));
            // What is quiet and was quiet needs no place to stand.
            if self.stands.contains_key(&key)
                || matches!(verdict, Verdict::Firing(_) | Verdict::Suspicious)
            {
                verdicts.push((subject, verdict));
            }
        };
        match rule.check {
            Check::Gpu(check) => {
                for gpu in self.window.gpus.values().filter(|gpu| touched.gpu(&gpu.uuid)) {
                    say(gpu.subject(), &|context| check(gpu, context));
                }
            }
            Check::Server(check) => {
                for server in self.window.servers.values().filter(|one| touched.server(&one.name)) {
                    say(server.subject(), &|context| check(server, context));
                }
            }
            Check::Model(check) => {
                let servers = self.window.servers.values().filter(|one| touched.server(&one.name));
                let all = matches!(touched, Touched::Everything);
                for model in servers.flat_map(|server| server.models.values()) {
                    // As time passes, a model at rest gives no rule anything new to see.
                    if !all
                        || model.is_restless()
                        || self.stands.contains_key(&(rule.id, model.subject()))
                    {
                        say(model.subject(), &|context| check(model, context));
                    }
                }
            }
            Check::Source(check) => {
                for source in self.window.sources.values().filter(|_| touched.sources()) {
                    let subject = Subject::Source { source: source.name.clone() };
                    say(subject, &|context| check(source, context));
                }
            }
        }
        self.counters.rule_panics += panics;
        verdicts
    }

    /// Lets the hold decide, and says what is to be told.
    fn stand(
        &mut self,
        now: Now,
        rule: &Rule,
        subject: Subject,
        verdict: Verdict,
    ) -> Option<Event> {
        let (sight, seen) = match verdict {
            Verdict::Firing(observation) => (Sight::Firing, Some(observation)),
            Verdict::Suspicious | Verdict::Quiet => (Sight::Quiet, None),
            Verdict::Missing => (Sight::Missing, None),
        };
        let key = (rule.id, subject.identity());
        let stand = self.stands.entry(key.clone()).or_default();
        let finding = match stand.hold.step(now.moment, sight, rule.enter, rule.leave) {
            Step::Raise { since } => {
                let gpus = self.window.gpus_of(&subject);
                let finding = stand.raise(now, rule.id, subject, seen?, since);
                finding.gpus = gpus;
                finding.clone()
            }
            Step::Stay => stand.update(now, seen?)?,
            Step::Clear => {
                let (_, finding) = self.stands.remove(&key)?.told?;
                Finding { phase: Phase::Cleared, ..finding }
            }
            Step::Nothing => {
                if stand.hold == Hold::Idle {
                    self.stands.remove(&key);
                }
                return None;
            }
        };
        Some(Event { observed_at: now.wall, body: Body::Finding(finding) })
    }
}

impl Stand {
    fn raise(
        &mut self,
        now: Now,
        rule: RuleId,
        subject: Subject,
        seen: Observation,
        since: Moment,
    ) -> &mut Finding {
        let finding = Finding {
            rule,
            subject,
            phase: Phase::Raised,
            grade: seen.grade,
            summary: seen.summary,
            evidence: seen.evidence,
            suspects: seen.suspects,
            raised_at: now.wall.before(now.moment.since(since)),
            gpus: Vec::new(),
            about: Vec::new(),
        };
        &mut self.told.insert((now.moment, finding)).1
    }

    /// Newer numbers: told when it got worse, or when they changed and enough time has passed.
    fn update(&mut self, now: Now, seen: Observation) -> Option<Finding> {
        let (told_at, known) = self.told.as_mut()?;
        let worse = seen.grade > known.grade;
        let due = now.moment.since(*told_at) >= TELL_AGAIN && seen.summary != known.summary;
        if !worse && !due {
            return None;
        }
        *told_at = now.moment;
        known.grade = known.grade.max(seen.grade);
        known.summary = seen.summary;
        known.evidence = seen.evidence;
        known.suspects = seen.suspects;
        known.phase = Phase::Updated;
        Some(known.clone())
    }
}

impl Touched {
    fn gpu(&self, uuid: &GpuUuid) -> bool {
        match self {
            Self::Everything | Self::Gpus => true,
            Self::Gpu(touched) => touched == uuid,
            Self::Server(_) | Self::Sources | Self::Nothing => false,
        }
    }

    fn server(&self, name: &ServerName) -> bool {
        match self {
            Self::Everything => true,
            Self::Server(touched) => touched == name,
            Self::Gpus | Self::Gpu(_) | Self::Sources | Self::Nothing => false,
        }
    }

    fn sources(&self) -> bool {
        matches!(self, Self::Everything | Self::Sources)
    }
}

/// A rule that fails by a bug of ours says nothing, and is counted: the others go on.
fn guarded(panics: &mut u64, check: impl FnOnce() -> Verdict) -> Verdict {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|_| {
        *panics += 1;
        Verdict::Missing
    })
}

fn server_of(subject: &Subject) -> Option<ServerName> {
    match subject {
        Subject::Model { server, .. } | Subject::Server { server } => Some(server.clone()),
        Subject::Node
        | Subject::Gpu { .. }
        | Subject::Process { .. }
        | Subject::Source { .. }
        | Subject::Service { .. }
        | Subject::Alert { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_panics_is_counted_and_says_nothing() {
        let mut panics = 0;
        let verdict = guarded(&mut panics, || panic!("a bug of ours"));
        assert_eq!((verdict, panics), (Verdict::Missing, 1));
        assert_eq!((guarded(&mut panics, || Verdict::Quiet), panics), (Verdict::Quiet, 1));
    }
}
