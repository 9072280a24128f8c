//! What can be set: `[notify]`, and a `[[destination]]` for each place where things are told.
//!
//! Secrets stand in files of their own, which the settings name; they are read with them, so that a
//! file that is missing is a mistake of its line.

mod channel;
mod rules;
mod templates;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gpuwarden_proto::settings::{Document, Problem, Section};

use crate::delivery::{DestinationName, Policy};
use crate::destination::Channel;
use crate::message::Audience;
use crate::message::template::Templates;

/// Destinations at most.
const DESTINATIONS_MAX: usize = 200;

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name of this installation, by which others tell it from another.
    pub installation: String,
    /// Certificates that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Where the user's own templates are.
    pub templates: Option<PathBuf>,
    /// Where things are told.
    pub destinations: Vec<Destination>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            installation: "gpuwarden".to_owned(),
            ca_file: None,
            templates: None,
            destinations: Vec::new(),
        }
    }
}

/// A place where things are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Its name.
    pub name: DestinationName,
    /// Who reads it.
    pub audience: Audience,
    /// How it is told.
    pub channel: Channel,
    /// How much, how often and when.
    pub policy: Policy,
}

/// What reads a file that the settings name.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> Result<String, String>;

impl Settings {
    /// Reads a file, and the secrets that it names.
    ///
    /// # Errors
    ///
    /// All its mistakes by line, or that it cannot be read.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        let file = path.display().to_string();
        let text = from_disk(path).map_err(|fault| {
            vec![Problem { file: file.clone(), line: 1, key: String::new(), fault }]
        })?;
        Self::parse(&file, &text, &from_disk)
    }

    /// Reads the text of a file that holds nothing else.
    ///
    /// # Errors
    ///
    /// All its mistakes, by line.
    pub fn parse(file: &str, text: &str, read: ReadFile<'_>) -> Result<Self, Vec<Problem>> {
        let mut document = Document::parse(file, text);
        let settings = Self::read(&mut document.root(), read);
        document.finish()?;
        Ok(settings)
    }

    /// Takes what concerns telling out of a file that holds more.
    pub fn read(root: &mut Section<'_>, read: ReadFile<'_>) -> Self {
        let mut notify = root.section("notify");
        let installation = notify.parsed("installation", rules::word);
        let usual = Self::default();
        let mut settings = Self {
            installation: installation.unwrap_or_else(|| usual.installation.clone()),
            ca_file: notify.parsed("ca_file", rules::path),
            templates: notify.parsed("templates", rules::path),
            destinations: Vec::new(),
        };
        let mut sections = root.sections("destination");
        let each = sections.iter_mut();
        let drafts: Vec<Draft> =
            each.map(|section| Draft::read(section, &settings.installation, read)).collect();
        if let Some(section) = sections.get(DESTINATIONS_MAX) {
            section.problem("", &format!("is one more than the {DESTINATIONS_MAX} there may be"));
        }
        check(&sections, &drafts);
        settings.destinations = drafts.into_iter().filter_map(Draft::finish).collect();
        settings
    }

    /// The templates, and what is wrong with those of the user.
    #[must_use]
    pub fn templates(&self) -> (Templates, Vec<String>) {
        templates::load(self.templates.as_deref())
    }
}

/// The text of a file.
///
/// # Errors
///
/// It cannot be read; why.
pub fn from_disk(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
}

/// A section, as far as it could be understood.
struct Draft {
    name: Option<DestinationName>,
    audience: Audience,
    channel: Option<Channel>,
    policy: Policy,
}

impl Draft {
    fn read(section: &mut Section<'_>, installation: &str, files: ReadFile<'_>) -> Self {
        let name = section.required("name", rules::destination);
        let audience = section.parsed("audience", rules::audience);
        let channel = channel::read(section, installation, files);
        let policy = rules::policy(section, channel.as_ref());
        Self { name, audience: audience.unwrap_or(Audience::Engineering), channel, policy }
    }

    fn finish(self) -> Option<Destination> {
        let Self { name, audience, channel, policy } = self;
        Some(Destination { name: name?, audience, channel: channel?, policy })
    }
}

/// What only shows when all are read.
fn check(sections: &[Section<'_>], drafts: &[Draft]) {
    let mut names = BTreeSet::new();
    let find = |name: &DestinationName| drafts.iter().find(|it| it.name.as_ref() == Some(name));
    for (section, draft) in sections.iter().zip(drafts) {
        if draft.name.as_ref().is_some_and(|name| !names.insert(name)) {
            section.problem("name", "is the name of another destination, too");
        }
        let Some(fall_back) = &draft.policy.fall_back else { continue };
        if find(fall_back).is_none() {
            section.problem("fall_back", &format!("there is no destination `{fall_back}`"));
        }
        let mut seen: BTreeSet<_> = draft.name.iter().collect();
        let mut next = Some(fall_back);
        while let Some(it) = next.and_then(find) {
            if it.name.as_ref().is_some_and(|name| !seen.insert(name)) {
                section.problem("fall_back", "leads back to itself");
                break;
            }
            next = it.policy.fall_back.as_ref();
        }
    }
}

#[cfg(test)]
mod tests;
