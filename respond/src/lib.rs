//! What people are asked to do about incidents, who, and when: the handbook's half of the
//! aggregator. Pure throughout: no clock, no I/O, no lock, no log; `now` is an argument.
//!
//! - [`zone`], [`calendar`]: named time zones, working hours, business days
//! - [`target`]: response clocks, from detection to acknowledgement
//! - [`timer`]: timers as data, and the audit of whether they fired
//! - [`oncall`]: who is on call, until when, and why
//! - [`escalate`]: who is paged after how long, and why
//! - [`lifecycle`]: the work on an incident from detection to what was learned
//! - [`review`]: the draft of a post-incident review, from facts
//! - [`report`]: how fast and how often, by week, service and person
//! - [`config`]: what an operator may say about all of that
//! - [`runbook`]: the pages of `runbooks/` as types
//! - [`by_severity`]: one of something for each severity
//!
//! # How it is wired
//!
//! The aggregator's core task owns, for each open incident, a [`target::Clock`], an
//! [`escalate::Escalation`] and a [`lifecycle::Lifecycle`], and for all of them a
//! [`config::Settings`] and the list of [`oncall::Override`]s. All states are plain data with serde;
//! each is taken on by one synchronous `apply` (`take` for the lifecycle) and gives what is to be
//! done:
//!
//! 1. *What happens is translated once.* An incident opened, its severity raised, all of it held
//!    back or shown again, resolved, merged: each is one [`target::Input`], one [`escalate::Input`]
//!    and at most one [`lifecycle::Order`] by [`lifecycle::Actor::Gpuwarden`]. An acknowledgement
//!    goes to all three: the clock settles, escalation stops if the version still counts, the
//!    lifecycle is `responding`. A member joining on a node, rack, zone or service that the incident
//!    did not have is [`escalate::Input::DomainJoined`].
//! 2. *What is to be done is written in the same transaction* as the state: pages into the outbox of
//!    notifications under their [`escalate::PageId`], events of the lifecycle and decisions into the
//!    incident's timeline, words on timers into their log. A crash in between then does no harm, and
//!    a page that is written twice is one page.
//! 3. *Time passes in ticks.* On each tick of the core, `Tick` goes to whatever has
//!    [`timer::Timers::next`] at or before now. Nothing has to be set again after a restart, since
//!    timers are part of the states; what fell due meanwhile fires on the first tick.
//! 4. *What comes back from delivery goes back in*: a receipt is [`lifecycle::Command::Notify`], a
//!    page that no contact took is [`escalate::Input::DeliveryFailed`]. Contacts of a person are names
//!    of destinations ([`oncall::Person`]), looked up where messages are sent.
//! 5. *The auditor runs apart*: [`timer::audit::audit`] over the log of timer words, once a minute;
//!    what it finds is trouble of our own and should be told like any other.
//!
//! For a replay to give the same, overrides, acknowledgements and commands are words of the journal
//! like people's other words; settings are those of the replay.

pub mod by_severity;
pub mod calendar;
pub mod config;
pub mod escalate;
pub mod lifecycle;
pub mod oncall;
pub mod report;
pub mod review;
pub mod runbook;
pub mod target;
pub mod timer;
pub mod zone;
