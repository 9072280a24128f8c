//! What a template may name, by audience. Pure.
//!
//! Stakeholders' templates are given only what is public: one that asks for a node finds nothing.

use gpuwarden_proto::time::{Timestamp, spoken};
use minijinja::{Value, context};

use super::{Audience, Done, Message};

/// The facts of a message as a template sees them.
pub(super) fn of(message: &Message) -> Value {
    let public = public(message);
    match message.audience {
        Audience::Stakeholders => public,
        Audience::Engineering | Audience::Management => {
            context! { ..own(message), ..public }
        }
    }
}

fn public(message: &Message) -> Value {
    let some = |text: &str, other: &str| line(if text.is_empty() { other } else { text });
    let over = message.over.as_ref();
    context! {
        number => message.incident.0,
        kind => message.kind.as_str(),
        urgency => urgency(message),
        service => some(&message.public.service, "A service"),
        impact => some(&message.public.impact, "is disturbed"),
        since => clock(message.since),
        age => spoken(message.at.since(message.since)),
        expected_over => message.expected_over.map(clock),
        next_update => message.next_update.map(clock),
        lasted => over.map(|over| spoken(over.at.since(message.since))),
        review => over.and_then(|over| over.review_at).map(day),
    }
}

fn own(message: &Message) -> Value {
    let cause = message.cause.as_ref().map(|cause| {
        let percent = (cause.confidence.clamp(0.0, 1.0) * 100.0).round() as u32;
        context! { what => line(&cause.what), percent }
    });
    let step = |done: &Done| context! { at => clock(done.at), what => line(&done.what) };
    let done: Vec<Value> = message.done.iter().map(step).collect();
    let next = message.next.as_ref();
    context! {
        severity => message.severity.as_str(),
        type => message.incident_type.as_str(),
        broken => line(&message.broken),
        whom => line(&message.whom),
        cause,
        done,
        next => next.map(|next| context! { what => line(&next.what), command => line(&next.command) }),
        news => line(&message.news),
        owner => message.owner.as_deref().map(line),
        mended => message.over.as_ref().map(|over| line(&over.by)),
    }
}

/// A severity in a word that needs no explaining.
fn urgency(message: &Message) -> &'static str {
    use gpuwarden_proto::vocab::Severity;
    match message.severity {
        Severity::P1 => "Outage",
        Severity::P2 => "Serious disruption",
        Severity::P3 => "Disruption",
        Severity::P4 => "Minor disruption",
    }
}

/// A fact is one line, whatever it holds.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `14:02 UTC`: an hour and minute is what is compared with a watch.
fn clock(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(11..16).map_or(text.clone(), |minute| format!("{minute} UTC"))
}

/// `2026-11-24 14:02 UTC`.
fn day(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..10).map_or(text.clone(), |date| format!("{date} {}", clock(at)))
}
