//! Words for messages: built in, and overridden by whoever has a better way to say it. Pure.
//!
//! There is one template for each kind and audience, named `KIND.AUDIENCE.txt`. Its first line is the
//! headline, the rest the body; blank lines are left out. A user's template that cannot be read or
//! fails on a message gives way to the built-in one, and the words say so: a page with a clumsy text
//! is better than none.

use std::collections::BTreeMap;

use gpuwarden_proto::time::spoken;
use minijinja::{Environment, UndefinedBehavior};

use super::{Audience, Kind, Message, Notice, cut, example, facts};

/// The longest headline, in characters.
pub const HEADLINE_MAX: usize = 250;
/// The longest body, in characters.
pub const BODY_MAX: usize = 12_000;
/// The longest template of a user, in bytes.
pub const TEMPLATE_MAX_BYTES: usize = 64 * 1024;
/// Steps that one rendering may take.
const FUEL: u64 = 100_000;

/// The built-in templates.
const BUILT_IN: [(&str, &str); 12] = [
    ("page.engineering.txt", include_str!("../../templates/page.engineering.txt")),
    ("page.stakeholders.txt", include_str!("../../templates/page.stakeholders.txt")),
    ("page.management.txt", include_str!("../../templates/page.management.txt")),
    ("update.engineering.txt", include_str!("../../templates/update.engineering.txt")),
    ("update.stakeholders.txt", include_str!("../../templates/update.stakeholders.txt")),
    ("update.management.txt", include_str!("../../templates/update.management.txt")),
    ("resolved.engineering.txt", include_str!("../../templates/resolved.engineering.txt")),
    ("resolved.stakeholders.txt", include_str!("../../templates/resolved.stakeholders.txt")),
    ("resolved.management.txt", include_str!("../../templates/resolved.management.txt")),
    ("broadcast.engineering.txt", include_str!("../../templates/broadcast.engineering.txt")),
    ("broadcast.stakeholders.txt", include_str!("../../templates/broadcast.stakeholders.txt")),
    ("broadcast.management.txt", include_str!("../../templates/broadcast.management.txt")),
];

/// A notice in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// What is read first, in one line: severity, what is broken for whom, since when.
    pub headline: String,
    /// The rest, in lines.
    pub body: String,
    /// What was wrong with the user's template, where the built-in one stands in.
    pub fault: Option<String>,
}

/// The templates in use.
#[derive(Debug)]
pub struct Templates {
    built_in: Environment<'static>,
    own: Environment<'static>,
    overridden: Vec<String>,
}

impl Default for Templates {
    fn default() -> Self {
        Self::new(BTreeMap::new()).0
    }
}

impl Templates {
    /// The built-in ones, and over them those of a user by their names; with what is wrong with
    /// these, each in a sentence. What is wrong is not used.
    #[must_use]
    pub fn new(own: BTreeMap<String, String>) -> (Self, Vec<String>) {
        let mut built_in = environment();
        for (name, text) in BUILT_IN {
            built_in.add_template(name, text).expect("the built-in templates are tested");
        }
        let mut templates = Self { built_in, own: environment(), overridden: Vec::new() };
        let mut faults = Vec::new();
        for (name, text) in own {
            if let Err(fault) = templates.take_up(&name, text) {
                faults.push(format!("{name}: {fault}; the built-in template stands in"));
            }
        }
        (templates, faults)
    }

    fn take_up(&mut self, name: &str, text: String) -> Result<(), String> {
        let (kind, audience) = named(name).ok_or_else(|| {
            "is no name of a template (they are KIND.AUDIENCE.txt, such as page.engineering.txt)"
                .to_owned()
        })?;
        if text.len() > TEMPLATE_MAX_BYTES {
            return Err(format!("has more than {TEMPLATE_MAX_BYTES} bytes"));
        }
        self.own.add_template_owned(name.to_owned(), text).map_err(|error| one_line(&error))?;
        match rendered(&self.own, name, &example::message(kind, audience)) {
            Ok(_) => self.overridden.push(name.to_owned()),
            Err(fault) => {
                self.own.remove_template(name);
                return Err(fault);
            }
        }
        Ok(())
    }

    /// A notice in words.
    #[must_use]
    pub fn words(&self, notice: &Notice) -> Words {
        let mut words = self.of_message(&notice.first);
        let mut body = remarks(notice);
        if !notice.others.is_empty() {
            let count = notice.others.len();
            words.headline.push_str(&format!(" (and {count} more)"));
        }
        body.push_str(&words.body);
        for other in &notice.others {
            let line = self.of_message(other).headline;
            body.push_str(&format!("\nalso      {} {line}", other.incident));
        }
        words.headline = cut::to_chars(&words.headline, HEADLINE_MAX);
        words.body = cut::to_chars(body.trim_start_matches('\n'), BODY_MAX);
        words
    }

    fn of_message(&self, message: &Message) -> Words {
        let name = format!("{}.{}.txt", message.kind, message.audience);
        let mut fault = None;
        if self.overridden.contains(&name) {
            match rendered(&self.own, &name, message) {
                Ok((headline, body)) => return Words { headline, body, fault },
                Err(why) => fault = Some(format!("{name}: {why}; the built-in template stands in")),
            }
        }
        let (headline, mut body) = rendered(&self.built_in, &name, message)
            .unwrap_or_else(|_| (bare(message), String::new()));
        if let Some(fault) = &fault
            && message.audience == Audience::Engineering
        {
            body.push_str(&format!("\ntemplate  {fault}"));
        }
        Words { headline, body, fault }
    }
}

/// What is said of the telling itself, each in a line.
fn remarks(notice: &Notice) -> String {
    let mut lines = String::new();
    if let Some(late) = notice.late {
        lines.push_str(&format!("late      told {} after it was so\n", spoken(late)));
    }
    if notice.flapping {
        lines.push_str("flapping  it comes and goes: told again when it is calm, or worse\n");
    }
    if let (Some(why), Audience::Engineering) = (&notice.diverted, notice.first.audience) {
        lines.push_str(&format!("diverted  {}\n", cut::to_chars(why, 200)));
    }
    lines
}

/// What is always known, for a message that no template can word.
fn bare(message: &Message) -> String {
    match message.audience {
        Audience::Stakeholders => format!("{} {}", message.public.service, message.public.impact),
        _ => format!("{} {} {}", message.severity, message.incident, message.broken),
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
}

fn rendered(
    environment: &Environment<'_>,
    name: &str,
    message: &Message,
) -> Result<(String, String), String> {
    let template = environment.get_template(name).map_err(|error| one_line(&error))?;
    let text = template.render(facts::of(message)).map_err(|error| one_line(&error))?;
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let clean = |line: &str| line.trim_end().chars().map(plain).collect::<String>();
    let mut lines = text.lines().map(clean).filter(|line| !line.is_empty());
    let headline = lines.next().ok_or("gives no text; its first line is the headline")?;
    let headline = headline.trim_start().to_owned();
    Ok((headline, lines.collect::<Vec<_>>().join("\n")))
}

fn one_line(error: &minijinja::Error) -> String {
    let line = error.line().map_or(String::new(), |line| format!("line {line}: "));
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    format!("{line}{}", detail.lines().next().unwrap_or_default())
}

fn named(name: &str) -> Option<(Kind, Audience)> {
    let mut parts = name.strip_suffix(".txt")?.split('.');
    let (kind, audience) = (parts.next()?, parts.next()?);
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind)?;
    let audience = Audience::ALL.into_iter().find(|known| known.as_str() == audience)?;
    parts.next().is_none().then_some((kind, audience))
}

#[cfg(test)]
mod tests;
