//! What speaks for two findings having one cause, and how much all of it together does. Pure.

use std::fmt;

use gpuwarden_proto::incident::Tie;
/// The kinds of evidence. Of one kind only the strongest piece counts.
pub use gpuwarden_proto::vocab::TieKind as Kind;

/// From this score on a finding is attached to an incident.
pub const ATTACH: f64 = 0.6;
/// From this score on an incident is named as perhaps related.
pub const SUGGEST: f64 = 0.4;

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Of which kind.
    pub kind: Kind,
    /// How much it says, 0 to 1: how sure one could be with nothing else.
    pub weight: f64,
    /// In words.
    pub text: String,
}

/// All evidence for one finding and one incident.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reasons(Vec<Evidence>);

impl Reasons {
    /// Adds a piece; of its kind the strongest stays. In which order they come does not matter. The
    /// words are made only for what may stay.
    pub fn add(&mut self, kind: Kind, weight: f64, text: impl FnOnce() -> String) {
        match self.0.binary_search_by_key(&kind, |known| known.kind) {
            Ok(at) if weight < self.0[at].weight => {}
            Ok(at) => {
                let (known, piece) = (&mut self.0[at], Evidence { kind, weight, text: text() });
                if weight > known.weight || piece.text < known.text {
                    *known = piece;
                }
            }
            Err(at) => self.0.insert(at, Evidence { kind, weight, text: text() }),
        }
    }

    /// How sure all of it makes, 0 to 1: each piece takes its share of the doubt that is left.
    #[must_use]
    pub fn score(&self) -> f64 {
        1.0 - self.0.iter().map(|piece| 1.0 - piece.weight).product::<f64>()
    }

    /// The strongest piece's kind.
    #[must_use]
    pub fn strongest(&self) -> Option<&Evidence> {
        self.0.iter().max_by(|a, b| a.weight.total_cmp(&b.weight).then(b.kind.cmp(&a.kind)))
    }

    /// What an incident keeps of it, beside the words.
    #[must_use]
    pub fn ties(&self) -> Vec<Tie> {
        let tie = |piece: &Evidence| Tie { kind: piece.kind, weight: rounded(piece.weight) };
        self.0.iter().map(tie).collect()
    }

    /// Whether there is a piece of this kind.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        self.0.iter().any(|piece| piece.kind == kind)
    }
}

impl fmt::Display for Reasons {
    /// The strongest piece first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.strongest() else { return Ok(()) };
        f.write_str(&first.text)?;
        let mut others: Vec<&Evidence> = self.0.iter().filter(|piece| *piece != first).collect();
        others.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.kind.cmp(&b.kind)));
        others.iter().try_for_each(|piece| write!(f, "; {}", piece.text))
    }
}

/// A thousandth is finer than anything that is known.
fn rounded(weight: f64) -> f64 {
    (weight * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(reasons: &mut Reasons, kind: Kind, weight: f64) {
        reasons.add(kind, weight, || format!("{kind:?}"));
    }

    #[test]
    fn evidence_of_different_kinds_adds_up_and_of_one_kind_does_not() {
        let mut case = Reasons::default();
        add(&mut case, Kind::Kin, 0.5);
        add(&mut case, Kind::Kin, 0.4);
        assert!((case.score() - 0.5).abs() < 1e-9);
        add(&mut case, Kind::Change, 0.6);
        assert!((case.score() - 0.8).abs() < 1e-9);
        assert_eq!(case.to_string(), "Change; Kin");
    }

    #[test]
    fn without_evidence_there_is_no_score() {
        assert!(Reasons::default().score().abs() < 1e-9);
    }
}
