//! How bad something is, from the words that senders have for it. Pure.

use gpuwarden_proto::vocab::Grade;

/// Words of Prometheus's customs, PagerDuty, Grafana, syslog and people. `None` is no trouble: alerts that
/// always fire, to show that alerting works.
const WORDS: &[(Option<Grade>, &[&str])] = &[
    (
        Some(Grade::Down),
        &[
            "critical",
            "crit",
            "page",
            "emergency",
            "emerg",
            "alert",
            "fatal",
            "disaster",
            "p1",
            "sev1",
            "sev-1",
        ],
    ),
    (
        Some(Grade::Degraded),
        &["error", "err", "high", "major", "severe", "p2", "sev2", "sev-2", "p3", "sev3", "sev-3"],
    ),
    (
        Some(Grade::Warning),
        &[
            "warning",
            "warn",
            "medium",
            "minor",
            "low",
            "info",
            "informational",
            "notice",
            "ticket",
            "p4",
            "sev4",
            "sev-4",
            "p5",
            "sev5",
        ],
    ),
    (None, &["none"]),
];

/// The grade of a word, whatever its case; `None` for what is no trouble. Where nothing is said, or a
/// word that is not known, service is taken to be degraded.
#[must_use]
pub fn of(word: Option<&str>) -> Option<Grade> {
    let word = word.map(str::to_ascii_lowercase).unwrap_or_default();
    let known = WORDS.iter().find(|(_, words)| words.contains(&word.as_str()));
    known.map_or(Some(Grade::Degraded), |(grade, _)| *grade)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_grades_and_what_is_not_known_is_trouble() {
        assert_eq!(of(Some("Critical")), Some(Grade::Down));
        assert_eq!(of(Some("error")), Some(Grade::Degraded));
        assert_eq!(of(Some("warning")), Some(Grade::Warning));
        assert_eq!(of(Some("none")), None);
        assert_eq!((of(None), of(Some("purple"))), (Some(Grade::Degraded), Some(Grade::Degraded)));
    }
}
