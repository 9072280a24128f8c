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
        self.metrics = self.port(outcome);
        self.news()
    }

    /// Takes note of a try to read the repository; gives a report when it is a new one.
    pub fn api<T>(&mut self, outcome: &Result<T, Outage>) -> Option<SourceReport> {
        self.api = self.port(outcome);
        self.news()
    }

    fn port<T>(&mut self, outcome: &Result<T, Outage>) -> Port {
        self.ever_answered |= outcome.is_ok();
        match outcome {
            Ok(_) => Port::Answering,
            Err(outage) => Port::Failing(outage.clone()),
        }
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
        assert!(health.metrics(&UP).is_some());
        assert_eq!(health.api(&UP), Some(SourceReport::Seeing));
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
