//! The work on an incident, and what a person asks of it.

use super::{Refused, each, optional_time, parse};
use crate::pb;
use crate::pb::order_request::Ask as Wire;
use crate::time::Timestamp;
use crate::vocab::IncidentId;
use crate::work::{
    ActionItem, Actor, Ask, CheckBox, Command, Expected, Notice, Order, Phase, Work,
};

/// A word of a closed list whose error says which there are.
fn word<T: std::str::FromStr<Err = String>>(field: &'static str, text: &str) -> Result<T, Refused> {
    text.parse().map_err(Refused::because(field))
}

fn ns(at: Option<Timestamp>) -> u64 {
    at.map_or(0, Timestamp::unix_ns)
}

fn optional(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl From<Work> for pb::Work {
    fn from(work: Work) -> Self {
        Self {
            incident: work.incident.0,
            stage: work.stage.as_str().to_owned(),
            version: work.version,
            severity: work.severity.as_str().to_owned(),
            worst: work.worst.as_str().to_owned(),
            owner: work.owner.unwrap_or_default(),
            respond_by_unix_ns: work.respond_by.unix_ns(),
            standing: work.standing.as_str().to_owned(),
            paging: Some(work.paging.into()),
            reached: work.reached.map_or_else(String::new, |level| level.as_str().to_owned()),
            next_page_unix_ns: ns(work.next_page_at),
            expected_over: work.expected_over.map(Into::into),
            detected_unix_ns: work.detected_at.unix_ns(),
            mitigated_unix_ns: ns(work.mitigated_at),
            resolved_unix_ns: ns(work.resolved_at),
            review_unix_ns: ns(work.review_at),
            root_cause: work.root_cause.unwrap_or_default(),
            checklist: work.checklist.into_iter().map(Into::into).collect(),
            actions: work.actions.into_iter().map(Into::into).collect(),
            reopened: work.reopened,
            history: work.history.into_iter().map(Into::into).collect(),
            notices: work.notices.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::Work> for Work {
    type Error = Refused;

    fn try_from(wire: pb::Work) -> Result<Self, Refused> {
        let level = |text: &str| word("work.reached", text);
        Ok(Self {
            incident: IncidentId(wire.incident),
            stage: word("work.stage", &wire.stage)?,
            version: wire.version,
            severity: parse("work.severity", &wire.severity)?,
            worst: parse("work.worst", &wire.worst)?,
            owner: optional(wire.owner),
            respond_by: Timestamp::from_unix_ns(wire.respond_by_unix_ns),
            standing: word("work.standing", &wire.standing)?,
            paging: wire.paging.ok_or(Refused::missing("work.paging"))?.try_into()?,
            reached: optional(wire.reached).map(|text| level(&text)).transpose()?,
            next_page_at: optional_time(wire.next_page_unix_ns),
            expected_over: wire.expected_over.map(Into::into),
            detected_at: Timestamp::from_unix_ns(wire.detected_unix_ns),
            mitigated_at: optional_time(wire.mitigated_unix_ns),
            resolved_at: optional_time(wire.resolved_unix_ns),
            review_at: optional_time(wire.review_unix_ns),
            root_cause: optional(wire.root_cause),
            checklist: each(wire.checklist, TryInto::try_into)?,
            actions: each(wire.actions, TryInto::try_into)?,
            reopened: wire.reopened,
            history: wire.history.into_iter().map(Into::into).collect(),
            notices: wire.notices.into_iter().map(Into::into).collect(),
        })
    }
}

impl From<Phase> for pb::Paging {
    fn from(phase: Phase) -> Self {
        let bare = |state: &str| (state.to_owned(), String::new(), 0);
        let (state, by, until_unix_ns) = match phase {
            Phase::Waiting => bare("waiting"),
            Phase::Climbing => bare("climbing"),
            Phase::Acknowledged { by, until } => ("acknowledged".to_owned(), by, until.unix_ns()),
            Phase::Exhausted => bare("exhausted"),
            Phase::Mitigated => bare("mitigated"),
            Phase::Held { by } => ("held".to_owned(), by, 0),
            Phase::Over => bare("over"),
        };
        Self { state, by, until_unix_ns }
    }
}

impl TryFrom<pb::Paging> for Phase {
    type Error = Refused;

    fn try_from(wire: pb::Paging) -> Result<Self, Refused> {
        let pb::Paging { state, by, until_unix_ns } = wire;
        Ok(match state.as_str() {
            "waiting" => Self::Waiting,
            "climbing" => Self::Climbing,
            "acknowledged" => {
                Self::Acknowledged { by, until: Timestamp::from_unix_ns(until_unix_ns) }
            }
            "exhausted" => Self::Exhausted,
            "mitigated" => Self::Mitigated,
            "held" => Self::Held { by },
            "over" => Self::Over,
            _ => return Err(Refused::because("paging.state")(format!("`{state}` is unknown"))),
        })
    }
}

impl From<Expected> for pb::Expected {
    fn from(Expected { at, by, said_at }: Expected) -> Self {
        Self { at_unix_ns: at.unix_ns(), by, said_unix_ns: said_at.unix_ns() }
    }
}

impl From<pb::Expected> for Expected {
    fn from(wire: pb::Expected) -> Self {
        let time = Timestamp::from_unix_ns;
        Self { at: time(wire.at_unix_ns), by: wire.by, said_at: time(wire.said_unix_ns) }
    }
}

impl From<CheckBox> for pb::CheckBox {
    fn from(CheckBox { item, needed, ticked_at, proof }: CheckBox) -> Self {
        Self { item: item.as_str().to_owned(), needed, ticked_unix_ns: ns(ticked_at), proof }
    }
}

impl TryFrom<pb::CheckBox> for CheckBox {
    type Error = Refused;

    fn try_from(wire: pb::CheckBox) -> Result<Self, Refused> {
        let pb::CheckBox { item, needed, ticked_unix_ns, proof } = wire;
        let item = word("checklist.item", &item)?;
        Ok(Self { item, needed, ticked_at: optional_time(ticked_unix_ns), proof })
    }
}

impl From<ActionItem> for pb::ActionItem {
    fn from(action: ActionItem) -> Self {
        let ActionItem { number, kind, text, owner, due, done_at } = action;
        Self {
            number,
            kind: kind.as_str().to_owned(),
            text,
            owner: owner.unwrap_or_default(),
            due_unix_ns: ns(due),
            done_unix_ns: ns(done_at),
        }
    }
}

impl TryFrom<pb::ActionItem> for ActionItem {
    type Error = Refused;

    fn try_from(wire: pb::ActionItem) -> Result<Self, Refused> {
        Ok(Self {
            number: wire.number,
            kind: word("action.kind", &wire.kind)?,
            text: wire.text,
            owner: optional(wire.owner),
            due: optional_time(wire.due_unix_ns),
            done_at: optional_time(wire.done_unix_ns),
        })
    }
}

impl From<Notice> for pb::Notice {
    fn from(Notice { at, destination, kind, state, fault }: Notice) -> Self {
        Self { at_unix_ns: at.unix_ns(), destination, kind, state, fault }
    }
}

impl From<pb::Notice> for Notice {
    fn from(wire: pb::Notice) -> Self {
        let pb::Notice { at_unix_ns, destination, kind, state, fault } = wire;
        Self { at: Timestamp::from_unix_ns(at_unix_ns), destination, kind, state, fault }
    }
}

/// What a person asks, of which incident, and the version that they saw.
pub type Asked = (IncidentId, String, Option<u64>, Ask);

impl pb::OrderRequest {
    /// A person's order on the wire; `None` for what people do not ask this way.
    #[must_use]
    pub fn of((id, by, expected, ask): Asked) -> Option<Self> {
        let wire = match ask {
            Ask::Escalate(level) => Wire::Escalate(level.as_str().to_owned()),
            Ask::Expect(at) => Wire::ExpectUnixNs(ns(at)),
            Ask::Command(command) => command_to_wire(command)?,
        };
        let expected_version = expected.unwrap_or(0);
        Some(Self { id: id.0, by, expected_version, ask: Some(wire) })
    }

    /// What it asks for.
    ///
    /// # Errors
    ///
    /// It names nothing that can be asked for.
    pub fn asked(self) -> Result<Asked, Refused> {
        let ask = match self.ask.ok_or(Refused::missing("ask"))? {
            Wire::Escalate(level) => Ask::Escalate(word("escalate", &level)?),
            Wire::ExpectUnixNs(at) => Ask::Expect(optional_time(at)),
            wire => Ask::Command(command_of_wire(wire)?),
        };
        let expected = (self.expected_version != 0).then_some(self.expected_version);
        Ok((IncidentId(self.id), self.by, expected, ask))
    }
}

/// The same for whoever carries it out.
#[must_use]
pub fn order(by: String, expected: Option<u64>, command: Command) -> Order {
    Order { by: Actor::Person(by), expected, command }
}

fn command_to_wire(command: Command) -> Option<Wire> {
    Some(match command {
        Command::Mitigate { how } => Wire::Mitigate(how),
        Command::Reopen { reason } => Wire::Reopen(reason),
        Command::ScheduleReview { at } => Wire::ScheduleReviewUnixNs(at.unix_ns()),
        Command::OpenReview => Wire::Review("open".to_owned()),
        Command::SubmitReview => Wire::Review("submit".to_owned()),
        Command::ApproveReview => Wire::Review("approve".to_owned()),
        Command::ReturnReview { reason } => Wire::ReturnReview(reason),
        Command::Improve => Wire::Improve(true),
        Command::Close => Wire::Close(true),
        Command::Cancel { why, reason } => {
            Wire::Cancel(pb::Cancel { why: why.as_str().to_owned(), reason })
        }
        Command::SetRootCause { text } => Wire::RootCause(text),
        Command::AddAction { kind, text } => {
            Wire::AddAction(pb::AddAction { kind: kind.as_str().to_owned(), text })
        }
        Command::AssignAction { number, owner, due } => {
            let due_unix_ns = due.unix_ns();
            Wire::AssignAction(pb::AssignAction { number, owner, due_unix_ns })
        }
        Command::FinishAction { number } => Wire::FinishAction(number),
        Command::Check { item, note } => {
            Wire::Check(pb::Check { item: item.as_str().to_owned(), note })
        }
        Command::Regrade { to, reason } => {
            Wire::Regrade(pb::Regrade { to: to.as_str().to_owned(), reason })
        }
        // What we ourselves say, and what goes by a call of its own.
        Command::Classify { .. }
        | Command::Notify { .. }
        | Command::Inform { .. }
        | Command::Acknowledge
        | Command::StartRunbook { .. }
        | Command::Resolve { .. }
        | Command::Merge { .. } => return None,
    })
}

fn command_of_wire(wire: Wire) -> Result<Command, Refused> {
    let nothing = |field| Refused::because(field)("asks for nothing".to_owned());
    Ok(match wire {
        Wire::Mitigate(how) => Command::Mitigate { how },
        Wire::Reopen(reason) => Command::Reopen { reason },
        Wire::ScheduleReviewUnixNs(at) => {
            Command::ScheduleReview { at: Timestamp::from_unix_ns(at) }
        }
        Wire::Review(step) => match step.as_str() {
            "open" => Command::OpenReview,
            "submit" => Command::SubmitReview,
            "approve" => Command::ApproveReview,
            _ => {
                let fault = format!("`{step}` is no step (one of: open, submit, approve)");
                return Err(Refused::because("review")(fault));
            }
        },
        Wire::ReturnReview(reason) => Command::ReturnReview { reason },
        Wire::Improve(true) => Command::Improve,
        Wire::Improve(false) => return Err(nothing("improve")),
        Wire::Close(true) => Command::Close,
        Wire::Close(false) => return Err(nothing("close")),
        Wire::Cancel(pb::Cancel { why, reason }) => {
            Command::Cancel { why: word("cancel.why", &why)?, reason }
        }
        Wire::RootCause(text) => Command::SetRootCause { text },
        Wire::AddAction(pb::AddAction { kind, text }) => {
            Command::AddAction { kind: word("add_action.kind", &kind)?, text }
        }
        Wire::AssignAction(pb::AssignAction { number, owner, due_unix_ns }) => {
            let due = Timestamp::from_unix_ns(due_unix_ns);
            Command::AssignAction { number, owner, due }
        }
        Wire::FinishAction(number) => Command::FinishAction { number },
        Wire::Check(pb::Check { item, note }) => {
            Command::Check { item: word("check.item", &item)?, note }
        }
        Wire::Regrade(pb::Regrade { to, reason }) => {
            Command::Regrade { to: parse("regrade.to", &to)?, reason }
        }
        Wire::Escalate(_) | Wire::ExpectUnixNs(_) => return Err(nothing("ask")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::Severity;
    use crate::work::checklist::Item;
    use crate::work::{ActionKind, Level, NotOne};

    fn again(ask: &Ask) -> Ask {
        let asked = (IncidentId(3), "ann".to_owned(), Some(7), ask.clone());
        let (id, by, expected, ask) = pb::OrderRequest::of(asked).unwrap().asked().unwrap();
        assert_eq!((id, by.as_str(), expected), (IncidentId(3), "ann", Some(7)));
        ask
    }

    #[test]
    fn what_people_ask_comes_back_as_it_went() {
        let at = Timestamp::from_unix_s(1_800_000_000);
        let text = || "since the rack was dark".to_owned();
        let commands = [
            Command::Mitigate { how: text() },
            Command::Reopen { reason: text() },
            Command::ScheduleReview { at },
            Command::OpenReview,
            Command::SubmitReview,
            Command::ApproveReview,
            Command::ReturnReview { reason: text() },
            Command::Improve,
            Command::Close,
            Command::Cancel { why: NotOne::FalsePositive, reason: text() },
            Command::SetRootCause { text: text() },
            Command::AddAction { kind: ActionKind::Detect, text: text() },
            Command::AssignAction { number: 2, owner: "ben".to_owned(), due: at },
            Command::FinishAction { number: 2 },
            Command::Check { item: Item::StakeholdersInformed, note: text() },
            Command::Regrade { to: Severity::P3, reason: text() },
        ];
        let asks = commands.into_iter().map(Ask::Command);
        let asks = asks.chain([Ask::Escalate(Level::L3), Ask::Expect(Some(at)), Ask::Expect(None)]);
        for ask in asks {
            assert_eq!(again(&ask), ask);
        }
    }

    #[test]
    fn what_is_no_order_is_refused_with_what_would_be_one() {
        let wire = |ask| pb::OrderRequest { id: 1, ask, ..pb::OrderRequest::default() };
        let told = |ask| wire(ask).asked().unwrap_err().to_string();
        assert_eq!(told(None), "ask: is missing");
        assert_eq!(
            told(Some(Wire::Escalate("l9".to_owned()))),
            "escalate: `l9` is no level (one of: l1, l2, l3, management)"
        );
        assert_eq!(
            told(Some(Wire::Review("burn".to_owned()))),
            "review: `burn` is no step (one of: open, submit, approve)"
        );
    }
}
