//! A notice in Slack's blocks, within Slack's limits. Pure.

use serde_json::{Value, json};

use super::Letter;
use crate::message::{Audience, Kind, cut};

/// Characters of a header.
const HEADER_MAX: usize = 150;
/// Characters of a section's text.
const SECTION_MAX: usize = 3000;
/// Blocks of a message are 50: header, links and buttons are three of them.
const SECTIONS_MAX: usize = 40;
/// Characters of the text that is shown where blocks are not, such as on a lock screen.
const TEXT_MAX: usize = 4000;
/// Characters of a link's address.
const URL_MAX: usize = 3000;

/// Whether somebody listens to what is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Buttons {
    /// Pressing one tells us.
    Answered,
    /// Nobody hears: only links.
    Links,
}

/// `text` and `blocks` of a message.
pub(super) fn of(letter: &Letter<'_>, buttons: Buttons) -> (String, Vec<Value>) {
    let headline = &letter.words.headline;
    let header = cut::to_chars(headline, HEADER_MAX);
    let mut blocks = vec![
        json!({"type": "header", "text": {"type": "plain_text", "text": header, "emoji": false}}),
    ];
    // What a header has no room for is told below it.
    let body = if header == *headline {
        letter.words.body.clone()
    } else {
        format!("{headline}\n{}", letter.words.body)
    };
    blocks.extend(sections(&body));
    blocks.extend(links(letter));
    if buttons == Buttons::Answered {
        blocks.extend(actions(letter));
    }
    (escaped(&cut::to_chars(headline, TEXT_MAX)), blocks)
}

/// The lines of a body, as many to a section as it takes. Escaping makes a text up to five times as
/// long, so it is parted after it.
fn sections(body: &str) -> Vec<Value> {
    let lines = body.lines().map(|line| escaped(&cut::to_chars(line, SECTION_MAX / 6)));
    let text = lines.collect::<Vec<_>>().join("\n");
    cut::into_parts(&text, SECTION_MAX, SECTIONS_MAX)
        .into_iter()
        .filter(|part| !part.trim().is_empty())
        .map(|part| json!({"type": "section", "text": {"type": "mrkdwn", "text": part}}))
        .collect()
}

/// One line of links, of those that it has.
fn links(letter: &Letter<'_>) -> Option<Value> {
    let message = &letter.notice.first;
    let shown: Vec<String> = message
        .shown_links()
        .into_iter()
        .filter(|(_, link)| link.len() <= URL_MAX / 8 && !link.contains(['<', '>', '|', ' ']))
        .map(|(label, link)| format!("<{}|{label}>", escaped(link)))
        .collect();
    let text = shown.join(" · ");
    (!shown.is_empty())
        .then(|| json!({"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}))
}

/// The buttons, while there is something to press them for.
fn actions(letter: &Letter<'_>) -> Option<Value> {
    let message = &letter.notice.first;
    let open = matches!(message.kind, Kind::Page | Kind::Update) && message.over.is_none();
    if message.audience != Audience::Engineering || !open {
        return None;
    }
    let button = |action: &str, label: &str| {
        json!({
            "type": "button",
            "action_id": format!("gpuwarden-{action}"),
            "value": message.incident.0.to_string(),
            "text": {"type": "plain_text", "text": label, "emoji": false},
        })
    };
    let mut elements = Vec::new();
    if message.owner.is_none() {
        let mut acknowledge = button("acknowledge", "Acknowledge");
        acknowledge["style"] = json!("primary");
        elements.push(acknowledge);
    }
    elements.push(button("escalate", "Escalate"));
    elements.push(button("resolve", "Resolve"));
    Some(json!({"type": "actions", "elements": elements}))
}

/// A text in which Slack sees no link, mention or entity of its own.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
