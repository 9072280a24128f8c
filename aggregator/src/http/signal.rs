//! What those who tell of something are answered, whatever their format.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use gpuwarden_proto::vocab::Sender;
use serde::Serialize;

use super::AppState;
use crate::core::Receipt;
use crate::outside::register::Outcome;
use crate::outside::{Fault, Heard};
use crate::query::AskError;
use crate::status;

/// What became of a request, for who sent it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Answer {
    /// Signals that were news.
    pub(super) taken: usize,
    /// Signals that were known.
    pub(super) duplicates: usize,
    /// Signals that tell of no trouble, or end what was not known.
    pub(super) ignored: usize,
    /// Signals that could not be taken.
    pub(super) refused: usize,
    /// What was wrong with those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// Incidents that hold what was told.
    pub(super) incidents: Vec<u64>,
    #[serde(skip)]
    full: bool,
}

/// Takes up what was read, and answers when it is on disk.
pub(super) async fn take(app: &AppState, sender: Sender, heard: Heard) -> Result<Answer, Response> {
    let (refused, error) = (heard.faults.len(), heard.complaint());
    app.metrics.heard_many(sender, status::Heard::Refused, refused);
    app.metrics.heard_many(sender, status::Heard::Ignored, heard.ignored);
    app.metrics.alerts_truncated.inc_by(heard.truncated);
    if heard.truncated > 0 {
        tracing::warn!(%sender, count = heard.truncated, "alerts were left out by their sender");
    }
    let mut answer = Answer { refused, error, ignored: heard.ignored, ..Answer::default() };
    if !heard.signals.is_empty() {
        let receipts = app.desk.tell(heard.signals).await.map_err(|error| not_now(&error))?;
        receipts.iter().for_each(|receipt| answer.add(receipt));
        answer.incidents.sort_unstable();
        answer.incidents.dedup();
    }
    Ok(answer)
}

impl Answer {
    fn add(&mut self, receipt: &Receipt) {
        match receipt.outcome {
            Outcome::Taken => self.taken += 1,
            Outcome::Duplicate => self.duplicates += 1,
            Outcome::Early => self.ignored += 1,
            Outcome::Full => {
                self.refused += 1;
                self.full = true;
                self.error = Some("as much is active as may be; tell it again later".to_owned());
            }
        }
        self.incidents.extend(receipt.incident.map(|id| id.0));
    }

    /// 200 where all was read; 400 where something was not; 503 where there is no room.
    pub(super) fn status(&self) -> StatusCode {
        match (self.full, self.refused) {
            (true, _) => StatusCode::SERVICE_UNAVAILABLE,
            (false, 0) => StatusCode::OK,
            (false, _) => StatusCode::BAD_REQUEST,
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (self.status(), Json(self)).into_response()
    }
}

/// The answer to a request that cannot be read at all.
pub(super) fn unreadable(app: &AppState, sender: Sender, fault: &Fault) -> Response {
    app.metrics.heard_many(sender, status::Heard::Refused, 1);
    let answer = Answer { refused: 1, error: Some(fault.to_string()), ..Answer::default() };
    answer.into_response()
}

/// The answer where nothing reaches the core or the disk: it is worth telling again.
pub(super) fn not_now(error: &AskError) -> Response {
    let heads = [(RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, heads, format!("{error}\n")).into_response()
}
