//! CloudEvents 1.0 over HTTP: structured, binary, in batches.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use gpuwarden_proto::vocab::Sender;

use super::AppState;
use super::guard::Admitted;
use super::signal::{take, unreadable};
use crate::outside::cloudevents::{Mode, events};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/v1/signals/cloudevents", post(tell))
}

async fn tell(_: Admitted, State(app): State<AppState>, heads: HeaderMap, body: Bytes) -> Response {
    let attributes: Vec<(String, String)> = heads
        .iter()
        .filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("ce-")?.to_owned();
            Some((name, String::from_utf8_lossy(value.as_bytes()).into_owned()))
        })
        .collect();
    let kind = heads.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mode = Mode::of(kind, attributes.iter().any(|(name, _)| name == "specversion"));
    match events(mode, &attributes, &body, app.clock.now()) {
        Ok(heard) => match take(&app, Sender::CloudEvents, heard).await {
            Ok(answer) => answer.into_response(),
            Err(refusal) => refusal,
        },
        Err(fault) => unreadable(&app, Sender::CloudEvents, &fault),
    }
}
