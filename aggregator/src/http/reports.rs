//! Reports of people, by the API.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use gpuwarden_proto::vocab::Sender;
use serde_json::json;

use super::AppState;
use super::guard::Admitted;
use super::signal::{Answer, take, unreadable};
use crate::outside::report::Report;
use crate::outside::{Fault, Heard};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/v1/reports", post(report))
}

async fn report(_: Admitted, State(app): State<AppState>, body: Bytes) -> Response {
    let filed = async {
        let report = Report::parse(&body).map_err(Unfiled::Fault)?;
        file(&app, &report).await
    };
    match filed.await {
        Ok((answer, key)) => {
            let told = json!({
                "key": key,
                "duplicate": answer.duplicates > 0,
                "incident": answer.incidents.first(),
            });
            (answer.status(), Json(told)).into_response()
        }
        Err(Unfiled::Fault(fault)) => unreadable(&app, Sender::Person, &fault),
        Err(Unfiled::Response(response)) => response,
    }
}

/// Why a report was not taken.
pub(super) enum Unfiled {
    /// It is wrong.
    Fault(Fault),
    /// It could not be.
    Response(Response),
}

/// Takes a report up; its key comes back.
pub(super) async fn file(app: &AppState, report: &Report) -> Result<(Answer, String), Unfiled> {
    let (signal, key) = report.outside(app.clock.now()).map_err(Unfiled::Fault)?;
    let heard = Heard { signals: vec![signal], ..Heard::default() };
    let answer = take(app, Sender::Person, heard).await.map_err(Unfiled::Response)?;
    Ok((answer, key))
}
