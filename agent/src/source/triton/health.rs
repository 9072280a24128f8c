//! What the source says of itself: whether a Triton was ever there, and whether it still answers.

use crate::sample::{Outage, SourceReport};

/// The last answer of one of the server's two ports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Port {
    #[default]
    Unasked,
    Answering,
    Failing(Outage),
}

impl Port {
    /// When a port that was refused answers, the server has just come, and a refusal of the other
    /// port from before says nothing any more.
    fn answered<T>(&mut self, outcome: &Result<T, Outage>, other: &mut Self) {
        let refused = |port: &Self| matches!(port, Self::Failing(Outage::Refused(_)));
        if outcome.is_ok() && refused(self) && refused(other) {
            *other = Self::Unasked;
        }
        *self = match outcome {
            Ok(_) => Self::Answering,
            Err(outage) => Self::Failing(outage.clone()),
        };
    }
}

/// Both ports together.
#[derive(Debug, Default)]
pub struct Health {
    metrics: Port,
    api: Port,
    ever_answered: bool,
    told: Option<SourceReport>,
}

impl Health {
    /// Takes note of a try to read the metrics page; gives a report when it is a new one.
    pub fn metrics<T>(&mut self, outcome: &Result<T, Outage>) -> Option<SourceReport> {
        self.ever_answered |= outcome.is_ok();
        self.metrics.answered(outcome, &mut self.api);
        self.news()
    }

    /// Takes note of a try to read the repository; gives a report when it is a new one.
    pub fn api<T>(&mut self, outcome: &Result<T, Outage>) -> Option<SourceReport> {
        self.ever_answered |= outcome.is_ok();
        self.api.answered(outcome, &mut self.metrics);
        self.news()
    }

    fn news(&mut self) -> Option<SourceReport> {
        let report = self.report();
        if self.told.as_ref() == Some(&report) {
            return None;
        }
        self.told = Some(report.clone());
        Some(report)
    }

    /// Nobody listening is absence only as long as nobody ever answered.
    fn report(&self) -> SourceReport {
        match (&self.metrics, &self.api) {
            (Port::Failing(Outage::Refused(words)), Port::Failing(Outage::Refused(_)))
            | (Port::Failing(Outage::Refused(words)), Port::Unasked)
            | (Port::Unasked, Port::Failing(Outage::Refused(words)))
                if !self.ever_answered =>
            {
                SourceReport::Absent(words.clone())
            }
            (Port::Failing(outage), _) => failing("metrics page", outage),
            (_, Port::Failing(outage)) => failing("repository", outage),
            _ => SourceReport::Seeing,
        }
    }
}

fn failing(what: &str, outage: &Outage) -> SourceReport {
    let (Outage::Refused(words) | Outage::TimedOut(words) | Outage::Garbled(words)) = outage;
    SourceReport::Failing(format!("{what}: {words}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Result<(), Outage> = Ok(());

    fn refused() -> Result<(), Outage> {
        Err(Outage::Refused("nobody listens on a:1".to_owned()))
    }

    #[test]
    fn a_server_that_never_was_is_absent_and_told_once() {
        let mut health = Health::default();
        let absent = SourceReport::Absent("nobody listens on a:1".to_owned());
        assert_eq!(health.metrics(&refused()), Some(absent));
        assert_eq!(health.api(&refused()), None);
        assert_eq!(health.metrics(&refused()), None);
    }

    #[test]
    fn a_server_that_went_away_is_failing_and_never_absent_again() {
        let mut health = Health::default();
        assert_eq!(health.metrics(&UP), Some(SourceReport::Seeing));
        assert_eq!(health.api(&UP), None);
        let words = "metrics page: nobody listens on a:1".to_owned();
        assert_eq!(health.metrics(&refused()), Some(SourceReport::Failing(words)));
        assert_eq!(health.api(&refused()), None);
        assert_eq!(health.metrics(&UP), Some(SourceReport::Seeing));
        assert_eq!(health.api(&UP), None);
    }

    #[test]
    fn a_port_that_stays_refused_is_told_even_when_the_other_came_back() {
        let mut health = Health::default();
        health.metrics(&refused());
        health.api(&refused());
        assert_eq!(health.metrics(&UP), Some(SourceReport::Seeing));
        let words = "repository: nobody listens on a:1".to_owned();
        assert_eq!(health.api(&refused()), Some(SourceReport::Failing(words.clone())));
        assert_eq!(health.metrics(&UP), None);
    }

    #[test]
    fn something_else_on_the_port_is_failing() {
        let mut health = Health::default();
        let garbled: Result<(), Outage> = Err(Outage::Garbled("not HTTP".to_owned()));
        let words = "repository: not HTTP".to_owned();
        assert_eq!(health.api(&garbled), Some(SourceReport::Failing(words)));
    }

    #[test]
    fn one_port_alone_is_no_health() {
        let mut health = Health::default();
        health.api(&UP);
        let words = "metrics page: nobody listens on a:1".to_owned();
        assert_eq!(health.metrics(&refused()), Some(SourceReport::Failing(words)));
    }
}
