//! The HTTP edge: health and metrics, and what other systems and people tell and ask by HTTP. One file
//! a subject, each with a `routes()`; what a request may cost is bounded here, for all of them. A
//! handler that takes something has [`guard::Admitted`] as its first argument.

mod alertmanager;
mod changes;
mod cloudevents;
mod connection;
mod form;
pub mod guard;
mod health;
mod pagerduty;
mod reports;
mod signal;
mod silences;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

pub use connection::serve;

use gpuwarden_proto::time::Timestamp;

use self::guard::Secret;
use crate::clock::Clock;
use crate::query::Desk;
use crate::status::{Metrics, Refused};

/// The longest body of a request.
pub const BODY_MAX_BYTES: usize = 4 * 1024 * 1024;
/// How long one request may take, its body and the answer of the core included.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// What every request can reach.
#[derive(Debug, Clone)]
pub struct AppState {
    /// Our own numbers.
    pub metrics: Arc<Metrics>,
    /// Where the core is asked.
    pub desk: Desk,
    /// What time it is.
    pub clock: Clock,
    /// Since when this serves.
    pub started_at: Timestamp,
    /// What those who tell of something must know; `None` where everybody may.
    pub secret: Option<Secret>,
}

/// All that is served over HTTP, within bounds.
pub fn router(state: AppState) -> Router {
    Router::new()
        .merge(health::routes())
        .merge(alertmanager::routes())
        .merge(silences::routes())
        .merge(pagerduty::routes())
        .merge(cloudevents::routes())
        .merge(reports::routes())
        .merge(changes::routes())
        .merge(form::routes())
        .fallback(nowhere)
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .layer(middleware::from_fn_with_state(state.clone(), bounded))
        .with_state(state)
}

/// Ends what takes too long, and counts what was refused for its size.
async fn bounded(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let Ok(response) = tokio::time::timeout(REQUEST_WITHIN, next.run(request)).await else {
        state.metrics.refuse_http(Refused::Late);
        let told = format!("not done within {} s; send it again\n", REQUEST_WITHIN.as_secs());
        return (StatusCode::SERVICE_UNAVAILABLE, told).into_response();
    };
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        state.metrics.refuse_http(Refused::TooLarge);
    }
    response
}

async fn nowhere(uri: Uri) -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, format!("nothing is at {}; /healthz and /metrics are\n", uri.path()))
}

#[cfg(test)]
mod tests;
