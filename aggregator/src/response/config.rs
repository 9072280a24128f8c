//! What an operator may say about people and telling: all of `[calendar]`, `[response]`, `[oncall]`,
//! `[escalation]`, `[notify]`, `[[destination]]`, and here `[links]` and `[[communication]]`.

use std::collections::BTreeSet;
use std::time::Duration;

use gpuwarden_notify::config::from_disk;
use gpuwarden_notify::message::Audience;
use gpuwarden_proto::settings::Section;
use gpuwarden_proto::vocab::{DestinationName, Severity};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// Rules of what is told, at most.
const RULES_MAX: usize = 64;

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Who is asked to do something, and when.
    pub respond: gpuwarden_respond::config::Settings,
    /// Where things are told, and how.
    pub notify: gpuwarden_notify::config::Settings,
    /// What is told without anybody being asked to do something.
    pub rules: Vec<Rule>,
    /// Where people go.
    pub links: Bases,
}

/// Who is told of which incidents, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// For whom it is written.
    pub audience: Audience,
    /// Where it is told.
    pub destinations: Vec<DestinationName>,
    /// Of incidents of these severities.
    pub severities: BTreeSet<Severity>,
    /// Of what lasts for so long.
    pub after: Duration,
    /// Again so often while it lasts; `None` tells only what is new.
    pub every: Option<Duration>,
}

/// Addresses that messages lead to; what is not set is not shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bases {
    /// The console.
    pub console: Option<String>,
    /// The call where incidents are talked about.
    pub bridge: Option<String>,
    /// What everybody may see.
    pub status_page: Option<String>,
}

impl Settings {
    /// Reads its sections of a file that has others, too. Files that it names are read with it.
    pub fn read(root: &mut Section<'_>) -> Self {
        let respond = gpuwarden_respond::config::Settings::read(root);
        let notify = gpuwarden_notify::config::Settings::read(root, &from_disk);
        let links = links(&mut root.section("links"));
        let settings = Self { respond, notify, rules: Vec::new(), links };
        settings.check_contacts(&root.section("oncall"));
        let mut sections = root.sections("communication");
        if let Some(section) = sections.get(RULES_MAX) {
            section.problem("", &format!("is one more than the {RULES_MAX} there may be"));
        }
        let rules = sections.iter_mut().filter_map(|section| settings.rule(section)).collect();
        Self { rules, ..settings }
    }

    fn knows(&self, name: &DestinationName) -> bool {
        self.notify.destinations.iter().any(|it| it.name == *name)
    }

    /// Who is to be paged somewhere can be.
    fn check_contacts(&self, section: &Section<'_>) {
        for person in self.respond.roster.people.values() {
            for contact in person.contacts.iter().filter(|contact| !self.knows(contact)) {
                let fault = format!("{}: there is no destination `{contact}`", person.name);
                section.problem("person", &fault);
            }
        }
    }

    fn rule(&self, section: &mut Section<'_>) -> Option<Rule> {
        let audience = section.required("audience", |text| {
            let known = Audience::ALL.into_iter().find(|audience| audience.as_str() == text);
            known.ok_or_else(|| "should be engineering, stakeholders or management".to_owned())
        });
        let destinations = section.list("destinations", |text| {
            let name = DestinationName::new(text).map_err(|error| error.to_string())?;
            match self.knows(&name) {
                true => Ok(name),
                false => Err(format!("there is no destination `{name}`")),
            }
        });
        if destinations.is_empty() {
            section.problem("destinations", "is missing: where it is told, like [\"incidents\"]");
        }
        let severities = section.list("severities", |text| {
            text.parse::<Severity>().map_err(|_| "should be P1, P2, P3 or P4".to_owned())
        });
        let usual = usual(audience.unwrap_or(Audience::Engineering));
        let after = section.duration("after", usual.after, Duration::ZERO..=7 * DAY);
        let every = section.duration("every", usual.every, Duration::ZERO..=7 * DAY);
        if !every.is_zero() && every < MINUTE {
            section.problem("every", "should be 1m or more, or 0s for what is new alone");
        }
        let severities = if severities.is_empty() { usual.severities } else { severities };
        Some(Rule {
            audience: audience?,
            destinations,
            severities: severities.into_iter().collect(),
            after,
            every: (!every.is_zero()).then_some(every),
        })
    }
}

struct Usual {
    severities: Vec<Severity>,
    after: Duration,
    every: Duration,
}

/// The handbook: engineering hears of everything at once, stakeholders of what they notice, and
/// management of what is critical for long.
fn usual(audience: Audience) -> Usual {
    use Severity::{P1, P2, P3, P4};
    match audience {
        Audience::Engineering => {
            Usual { severities: vec![P1, P2, P3, P4], after: Duration::ZERO, every: Duration::ZERO }
        }
        Audience::Stakeholders => {
            Usual { severities: vec![P1, P2], after: Duration::ZERO, every: 30 * MINUTE }
        }
        Audience::Management => {
            Usual { severities: vec![P1], after: 120 * MINUTE, every: 60 * MINUTE }
        }
    }
}

fn links(section: &mut Section<'_>) -> Bases {
    let address = |text: &str| {
        let good = text.starts_with("https://") || text.starts_with("http://");
        match good && !text.contains(char::is_whitespace) {
            true => Ok(text.trim_end_matches('/').to_owned()),
            false => Err("should be an address like https://gpuwarden.example.org".to_owned()),
        }
    };
    Bases {
        console: section.parsed("console", address),
        bridge: section.parsed("bridge", address),
        status_page: section.parsed("status_page", address),
    }
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::settings::Document;

    use super::*;

    fn read(text: &str) -> (Settings, Vec<String>) {
        let mut document = Document::parse("aggregator.toml", text);
        let settings = Settings::read(&mut document.root());
        let problems = document.finish().err().unwrap_or_default();
        (settings, problems.iter().map(ToString::to_string).collect())
    }

    const HOOK: &str = "[[destination]]\nname = \"hook\"\nkind = \"webhook\"\n\
        url = \"https://hooks.example.org/g\"\n";

    #[test]
    fn a_rule_that_says_only_for_whom_and_where_goes_by_the_handbook() {
        let text = format!(
            "{HOOK}[[communication]]\naudience = \"management\"\ndestinations = [\"hook\"]\n"
        );
        let (settings, problems) = read(&text);
        assert_eq!(problems, [""; 0]);
        let Rule { severities, after, every, .. } = &settings.rules[0];
        assert_eq!(severities.iter().collect::<Vec<_>>(), [&Severity::P1]);
        assert_eq!((*after, *every), (120 * MINUTE, Some(60 * MINUTE)));
    }

    #[test]
    fn who_cannot_be_told_is_a_mistake_of_the_settings() {
        let text = format!(
            "{HOOK}[[oncall.person]]\nname = \"ann\"\ncontacts = [\"ann-phone\"]\n\
             [[communication]]\naudience = \"everybody\"\ndestinations = [\"hook\", \"radio\"]\n\
             every = \"5s\"\n[links]\nconsole = \"gpuwarden\"\n"
        );
        expect(&read(&text).1);
    }

    fn expect(problems: &[String]) {
        insta::assert_snapshot!(problems.join("\n"), @r#"
        aggregator.toml:1: oncall.person: ann: there is no destination `ann-phone`
        aggregator.toml:8: communication[0].every: should be 1m or more, or 0s for what is new alone
        aggregator.toml:9: communication[0].audience = "everybody": should be engineering, stakeholders or management
        aggregator.toml:10: communication[0].destinations = "radio": there is no destination `radio`
        aggregator.toml:13: links.console = "gpuwarden": should be an address like https://gpuwarden.example.org
        "#);
    }
}
