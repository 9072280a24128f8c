//! What is told by rule: to whom, from when on, and how often. Pure.

use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::config::Rule;
use super::work::Work;

/// How far one rule has told of one incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Talk {
    /// When it is told, or told again.
    pub(super) next_at: Option<Timestamp>,
    /// It was told.
    pub(super) begun: bool,
}

/// What a rule has to say now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// That there is an incident.
    First,
    /// That it lasts.
    Again,
}

impl Work {
    /// Looks at the rules anew: which of them are about this incident as it is. Says whether there
    /// are more of them than before.
    pub(super) fn follow(&mut self, rules: &[Rule], incident: &Incident) -> bool {
        let before = self.talks.len();
        if incident.resolved_at.is_some() || incident.held_since.is_some() {
            return false;
        }
        for (place, rule) in rules.iter().enumerate() {
            if rule.severities.contains(&incident.severity) && !self.talks.contains_key(&place) {
                let next_at = Some(self.life.detected_at().after(rule.after));
                self.talks.insert(place, Talk { next_at, begun: false });
            }
        }
        self.talks.len() > before
    }

    /// The rules that have something to say, and what.
    pub(super) fn talks_due(
        &mut self,
        rules: &[Rule],
        incident: &Incident,
        now: Timestamp,
    ) -> Vec<(usize, Due)> {
        let mut due = Vec::new();
        let quiet = incident.resolved_at.is_some() || incident.held_since.is_some();
        for (place, talk) in &mut self.talks {
            if talk.next_at.is_none_or(|at| at > now) {
                continue;
            }
            let rule = rules.get(*place).filter(|_| !quiet);
            talk.next_at = rule.and_then(|rule| Some(now.after(rule.every?)));
            if rule.is_some() {
                due.push((*place, if talk.begun { Due::Again } else { Due::First }));
                talk.begun = true;
            }
        }
        due
    }

    /// When more is told by rule.
    pub(super) fn next_telling(&self) -> Option<Timestamp> {
        self.talks.values().filter(|talk| talk.begun).filter_map(|talk| talk.next_at).min()
    }
}
