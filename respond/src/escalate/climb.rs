//! The way up: what each input does in each phase.

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::Severity;

use super::{
    DECISIONS_MAX, Decision, Desk, Escalation, Input, Ladder, Page, PageId, Paged, Pages, Phase,
    Resume, Silent, Step, Taken, Why,
};
use crate::oncall::Level;
use crate::timer::{Timer, TimerId, TimerKind, TimerWord};

/// The timers that belong to the way up, as opposed to management's.
const LADDER: [TimerKind; 4] = [
    TimerKind::NextLevel,
    TimerKind::NextRound,
    TimerKind::WorkBegins,
    TimerKind::AcknowledgementEnds,
];

pub(super) fn take_up(
    state: &mut Escalation,
    input: Input,
    desk: Desk<'_>,
    now: Timestamp,
) -> Vec<Step> {
    let mut climb = Climb { state, desk, now, steps: Vec::new() };
    climb.take_up(input);
    climb.steps
}

struct Climb<'a> {
    state: &'a mut Escalation,
    desk: Desk<'a>,
    now: Timestamp,
    steps: Vec<Step>,
}

impl Climb<'_> {
    fn take_up(&mut self, input: Input) {
        match input {
            Input::Opened { severity, held_by } if self.state.phase == Phase::New => {
                self.open(severity, held_by, Why::Opened);
            }
            Input::Reopened { severity, held_by } if self.state.phase == Phase::Over => {
                self.open(severity, held_by, Why::Reopened);
            }
            Input::Opened { .. } | Input::Reopened { .. } => {}
            Input::Severity(severity) => self.regrade(severity),
            Input::Acknowledged { by, version, until } => self.acknowledge(by, version, until),
            Input::DomainJoined(domain) => self.widen(domain),
            Input::Jump { to, by } => self.jump(to, by),
            Input::DeliveryFailed(page) => self.not_delivered(page),
            Input::HeldBack { by } => self.hold(by),
            Input::ShownAgain => self.show(),
            Input::Mitigated => self.mitigate(),
            Input::Resolved => {
                self.cancel(|_| true);
                self.state.phase = Phase::Over;
            }
            Input::Tick => {
                while let Some(timer) = self.state.timers.take_due(self.now) {
                    self.steps.push(Step::Timer(TimerWord::Fired(timer.id)));
                    self.fire(timer.id.kind);
                }
            }
        }
    }

    fn fire(&mut self, kind: TimerKind) {
        match (kind, self.state.phase.clone()) {
            (TimerKind::WorkBegins, Phase::Waiting) => self.round(Why::WorkBegins, Level::L1),
            (TimerKind::NextLevel, Phase::Climbing) => {
                let level = self.state.reached.unwrap_or(Level::L1);
                let waited = self.now.since(self.state.asked_at);
                self.ascend(Why::Unanswered { level, waited }, Level::L1);
            }
            (TimerKind::NextRound, Phase::Climbing) => {
                if self.state.tries < self.ladder().rounds {
                    self.round(Why::AnotherRound { nth: self.state.tries + 1 }, Level::L1);
                } else {
                    self.exhaust();
                }
            }
            (TimerKind::AcknowledgementEnds, Phase::Acknowledged(Taken { by, .. })) => {
                self.begin(Why::AcknowledgementEnded { by }, Level::L1);
            }
            (TimerKind::Management, _) => {
                let lasted = self.state.critical_since.map(|since| self.now.since(since));
                self.tell_management(&Why::Critical { lasted: lasted.unwrap_or_default() });
            }
            _ => {}
        }
    }

    fn open(&mut self, severity: Severity, held_by: Option<String>, why: Why) {
        self.state.severity = severity;
        self.state.critical_since = None;
        if let Some(by) = held_by {
            // What was answered before is not answered now.
            self.state.version += 1;
            self.state.phase = Phase::Held { by: by.clone(), resume: Resume::Climb };
            return self.not_paged(None, Silent::HeldBack { by });
        }
        self.watch_critical();
        self.begin(why, Level::L1);
    }

    fn regrade(&mut self, severity: Severity) {
        let from = self.state.severity;
        if severity == from || matches!(self.state.phase, Phase::New | Phase::Over) {
            return;
        }
        self.state.severity = severity;
        if !matches!(self.state.phase, Phase::Held { .. }) {
            self.watch_critical();
        }
        if severity < from {
            let reached = self.state.reached.unwrap_or(Level::L1);
            let worse = Why::Worse { from, to: severity };
            match self.state.phase.clone() {
                Phase::Held { by, .. } => {
                    self.state.phase = Phase::Held { by: by.clone(), resume: Resume::Climb };
                    self.not_paged(None, Silent::HeldBack { by });
                }
                // Who was called already is told that it is worse; nobody's wait begins below them.
                Phase::Climbing => self.begin(worse, reached),
                _ => self.begin(worse, Level::L1),
            }
        } else if self.state.phase == Phase::Climbing {
            self.wait();
        }
    }

    /// Sets the timer for management for as long as it is critical.
    fn watch_critical(&mut self) {
        if self.state.severity != Severity::P1 {
            self.cancel(|kind| kind == TimerKind::Management);
            self.state.critical_since = None;
            return;
        }
        if self.state.critical_since.is_none() {
            self.state.critical_since = Some(self.now);
            self.state.management_told = false;
        }
        if let (false, Some(since)) = (self.state.management_told, self.state.critical_since) {
            self.set(TimerKind::Management, since.after(self.desk.policy.management_after));
        }
    }

    fn acknowledge(&mut self, by: String, version: u32, until: Option<Timestamp>) {
        let answers_nothing =
            matches!(self.state.phase, Phase::New | Phase::Over | Phase::Mitigated);
        if version < self.state.version || answers_nothing {
            return self.decide(Step::LateAcknowledgement { by, version });
        }
        let longest = self.now.after(self.desk.policy.acknowledged_for_max);
        let usual = self.now.after(self.ladder().acknowledged_for);
        let until = until.unwrap_or(usual).clamp(self.now, longest);
        self.decide(Step::Acknowledged { by: by.clone(), until });
        self.take(Taken { by, until });
    }

    fn take(&mut self, taken: Taken) {
        if let Phase::Held { resume, .. } = &mut self.state.phase {
            *resume = Resume::Taken(taken);
            return;
        }
        self.cancel(|kind| LADDER.contains(&kind));
        self.set(TimerKind::AcknowledgementEnds, taken.until);
        self.state.phase = Phase::Acknowledged(taken);
    }

    fn widen(&mut self, domain: String) {
        match self.state.phase.clone() {
            Phase::Acknowledged(_) | Phase::Exhausted | Phase::Mitigated => {
                self.begin(Why::NewDomain { domain }, Level::L1);
            }
            Phase::Climbing => self.not_paged(None, Silent::AlreadyClimbing),
            Phase::Waiting => self.not_paged(None, self.outside_working_hours()),
            Phase::Held { by, .. } => {
                self.state.phase = Phase::Held { by: by.clone(), resume: Resume::Climb };
                self.not_paged(None, Silent::HeldBack { by });
            }
            Phase::New | Phase::Over => self.not_paged(None, Silent::Over),
        }
    }

    fn jump(&mut self, to: Level, by: String) {
        let why = Why::AskedFor { by };
        match self.state.phase {
            Phase::New | Phase::Over => self.not_paged(Some(to), Silent::Over),
            Phase::Climbing | Phase::Waiting | Phase::Exhausted => {
                if self.state.phase != Phase::Climbing {
                    self.next_round();
                }
                self.state.phase = Phase::Climbing;
                self.page_level(to, &why);
                if self.state.reached.is_none_or(|reached| reached < to) {
                    self.state.reached = Some(to);
                    let rung = self.ladder().rungs.iter().find(|rung| rung.level == to);
                    let after = rung.map_or(self.now.since(self.state.round_began), |r| r.after);
                    self.state.round_began = self.now.before(after);
                    self.wait();
                }
            }
            Phase::Acknowledged(_) | Phase::Mitigated | Phase::Held { .. } => {
                self.next_round();
                self.page_level(to, &why);
            }
        }
    }

    fn not_delivered(&mut self, page: PageId) {
        self.decide(Step::NotDelivered(page.clone()));
        if page.round != self.state.round || self.state.phase != Phase::Climbing {
            return;
        }
        let same = |p: &&mut Paged| p.person == page.person && p.level == page.level && !p.failed;
        let Some(paged) = self.state.paged.iter_mut().find(same) else { return };
        paged.failed = true;
        let mut highest = self.state.paged.iter().filter(|p| Some(p.level) == self.state.reached);
        if Some(page.level) == self.state.reached && highest.all(|paged| paged.failed) {
            self.ascend(Why::NotDelivered { person: page.person }, Level::L1);
        }
    }

    fn hold(&mut self, by: String) {
        let resume = match self.state.phase.clone() {
            Phase::New | Phase::Over => return,
            Phase::Held { resume, .. } => resume,
            Phase::Acknowledged(taken) => Resume::Taken(taken),
            Phase::Mitigated => Resume::Rest,
            Phase::Waiting | Phase::Climbing | Phase::Exhausted => Resume::Climb,
        };
        self.cancel(|_| true);
        self.state.phase = Phase::Held { by: by.clone(), resume };
        self.not_paged(None, Silent::HeldBack { by });
    }

    fn show(&mut self) {
        let Phase::Held { resume, .. } = self.state.phase.clone() else { return };
        self.state.phase = Phase::Mitigated;
        match resume {
            Resume::Rest => return,
            Resume::Taken(taken) if taken.until > self.now => self.take(taken),
            Resume::Taken(Taken { by, .. }) => {
                self.begin(Why::AcknowledgementEnded { by }, Level::L1);
            }
            Resume::Climb => self.begin(Why::ShownAgain, Level::L1),
        }
        self.watch_critical();
    }

    fn mitigate(&mut self) {
        match &mut self.state.phase {
            Phase::New | Phase::Over => {}
            Phase::Held { resume, .. } => *resume = Resume::Rest,
            phase => {
                *phase = Phase::Mitigated;
                self.cancel(|_| true);
            }
        }
    }

    /// Earlier answers stop to count.
    fn begin(&mut self, why: Why, up_to: Level) {
        self.state.version += 1;
        self.state.tries = 0;
        if self.state.phase == Phase::Mitigated {
            self.watch_critical();
        }
        self.round(why, up_to);
    }

    fn round(&mut self, why: Why, up_to: Level) {
        self.cancel(|kind| LADDER.contains(&kind));
        self.next_round();
        if let Pages::WorkingHours = self.ladder().pages
            && !self.desk.calendar.is_open(self.now)
        {
            self.state.phase = Phase::Waiting;
            self.not_paged(None, self.outside_working_hours());
            return self.set(TimerKind::WorkBegins, self.desk.calendar.opens(self.now));
        }
        self.state.tries += 1;
        self.state.phase = Phase::Climbing;
        self.ascend(why, up_to);
    }

    fn next_round(&mut self) {
        self.state.round += 1;
        self.state.round_began = self.now;
        self.state.reached = None;
        self.state.paged.clear();
    }

    /// Pages the next level that has somebody, and all further ones up to `up_to`.
    fn ascend(&mut self, mut why: Why, up_to: Level) {
        while let Some(level) = self.next_level() {
            self.state.reached = Some(level);
            if !self.page_level(level, &why) {
                why = Why::NobodyBelow { level };
            } else if level >= up_to {
                break;
            }
        }
        if self.state.paged.iter().all(|paged| paged.failed) {
            // Said at once, and tried again in the next round: somebody may come on call.
            self.decide(Step::Exhausted { rounds: self.state.tries });
        }
        self.wait();
    }

    /// The next rung. Above the ladder only as long as nobody at all was reached.
    fn next_level(&self) -> Option<Level> {
        let above = |level: Level| self.state.reached.is_none_or(|reached| reached < level);
        let rung = self.ladder().rungs.iter().map(|rung| rung.level).find(|level| above(*level));
        let reached_nobody = self.state.paged.iter().all(|paged| paged.failed);
        rung.or_else(|| self.state.reached?.next().filter(|_| reached_nobody))
    }

    /// Pages whoever is on call there. Says whether that may reach anybody.
    fn page_level(&mut self, level: Level, why: &Why) -> bool {
        let Desk { roster, overrides, .. } = self.desk;
        let service = self.state.service.clone();
        let on = roster.on(level, service.as_ref(), overrides, self.now);
        if on.is_empty() {
            let schedules = roster.schedules_of(level, service.as_ref()).to_vec();
            let silent = match schedules.is_empty() {
                true => Silent::NoSchedule,
                false => Silent::NobodyOnCall { schedules },
            };
            self.not_paged(Some(level), silent);
        }
        for (person, schedule, because) in on {
            let same = |paged: &&Paged| paged.person == person && paged.level == level;
            if self.state.paged.iter().any(|paged| same(&paged)) {
                self.not_paged(Some(level), Silent::AlreadyPaged { person });
                continue;
            }
            self.state.asked_at = self.now;
            self.state.paged.push(Paged { person: person.clone(), level, failed: false });
            let (incident, round) = (self.state.incident, self.state.round);
            let id = PageId { incident, round, level, person };
            let version = self.state.version;
            self.decide(Step::Page(Page { id, version, schedule, because, why: why.clone() }));
        }
        self.state.paged.iter().any(|paged| paged.level == level && !paged.failed)
    }

    /// Sets the timer for whatever comes next.
    fn wait(&mut self) {
        self.cancel(|kind| LADDER.contains(&kind));
        let ladder = self.ladder();
        let above = |level: Level| self.state.reached.is_none_or(|reached| reached < level);
        let rung = ladder.rungs.iter().find(|rung| above(rung.level));
        let (kind, at) = match rung {
            Some(rung) => (TimerKind::NextLevel, self.state.round_began.after(rung.after)),
            None => (TimerKind::NextRound, self.now.after(ladder.again_after)),
        };
        self.set(kind, at);
    }

    fn exhaust(&mut self) {
        if self.state.severity == Severity::P1 && !self.state.management_told {
            self.tell_management(&Why::LastResort);
        }
        self.cancel(|kind| LADDER.contains(&kind));
        self.state.phase = Phase::Exhausted;
        self.decide(Step::Exhausted { rounds: self.state.tries });
    }

    fn tell_management(&mut self, why: &Why) {
        self.cancel(|kind| kind == TimerKind::Management);
        self.state.management_told = true;
        self.page_level(Level::Management, why);
    }

    fn ladder(&self) -> &Ladder {
        let Desk { policy, .. } = &self.desk;
        policy.ladders.get(self.state.severity)
    }

    fn outside_working_hours(&self) -> Silent {
        Silent::OutsideWorkingHours { until: self.desk.calendar.opens(self.now) }
    }

    fn not_paged(&mut self, level: Option<Level>, why: Silent) {
        self.decide(Step::NotPaged { level, why });
    }

    fn decide(&mut self, step: Step) {
        if self.state.decisions.len() == DECISIONS_MAX {
            self.state.decisions.remove(0);
            self.state.decisions_dropped += 1;
        }
        let (version, round) = (self.state.version, self.state.round);
        let decision = Decision { at: self.now, version, round, step: step.clone() };
        self.state.decisions.push(decision);
        self.steps.push(step);
    }

    fn set(&mut self, kind: TimerKind, at: Timestamp) {
        self.cancel(|set| set == kind);
        self.state.epoch += 1;
        let id = TimerId { incident: self.state.incident, epoch: self.state.epoch, kind };
        let word = self.state.timers.set(Timer { at: at.max(self.now), id });
        self.steps.push(Step::Timer(word));
    }

    fn cancel(&mut self, unwanted: impl Fn(TimerKind) -> bool) {
        let words = self.state.timers.cancel(unwanted);
        self.steps.extend(words.into_iter().map(Step::Timer));
    }
}
