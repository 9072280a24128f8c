//! What a person tells the aggregator.

use gpuwarden_proto::pb;
use gpuwarden_proto::vocab::IncidentId;

use super::{Client, ClientError, failure, timed};

/// A person's report of trouble. What is not known is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserReport {
    /// What is wrong.
    pub summary: String,
    /// More of it.
    pub description: String,
    /// The service.
    pub service: String,
    /// The model.
    pub model: String,
    /// The node.
    pub node: String,
    /// critical, error, warning or info.
    pub severity: String,
    /// Who reports.
    pub reporter: String,
    /// Which report it is.
    pub key: String,
    /// It is taken back.
    pub resolved: bool,
}

/// What became of a report.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Filed {
    /// By this it can be told again, or taken back.
    pub key: String,
    /// It was known.
    pub duplicate: bool,
    /// The incident that it is part of.
    pub incident: Option<IncidentId>,
}

impl Client {
    /// Reports trouble.
    pub async fn report(&mut self, report: UserReport) -> Result<Filed, ClientError> {
        let UserReport {
            summary,
            description,
            service,
            model,
            node,
            severity,
            reporter,
            key,
            resolved,
        } = report;
        let request = timed(pb::ReportRequest {
            summary,
            description,
            service,
            model,
            node,
            severity,
            reporter,
            occurred_unix_ns: 0,
            key,
            resolved,
        });
        let answer = self.signals.report(request).await;
        let answer = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        let pb::ReportResponse { key, duplicate, incident } = answer;
        let incident = (incident != 0).then_some(IncidentId(incident));
        Ok(Filed { key, duplicate, incident })
    }
}
