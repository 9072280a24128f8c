//! One of something for each severity.

use gpuwarden_proto::vocab::Severity;

/// One for each severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BySeverity<T> {
    /// For P1.
    pub p1: T,
    /// For P2.
    pub p2: T,
    /// For P3.
    pub p3: T,
    /// For P4.
    pub p4: T,
}

impl<T> BySeverity<T> {
    /// The one for a severity.
    pub const fn get(&self, severity: Severity) -> &T {
        match severity {
            Severity::P1 => &self.p1,
            Severity::P2 => &self.p2,
            Severity::P3 => &self.p3,
            Severity::P4 => &self.p4,
        }
    }
}
