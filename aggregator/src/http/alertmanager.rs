//! Alertmanager's webhook, and as much of its API v2 as Prometheus and amtool ask for.

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::Sender;
use serde_json::{Value, json};

use super::AppState;
use super::guard::Admitted;
use super::signal::{not_now, take, unreadable};
use crate::outside::alertmanager;
use crate::outside::alertmanager::matcher::Matcher;
use crate::outside::register::Active;
use crate::outside::{Fault, Heard, RESOLVE_TIMEOUT};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/signals/alertmanager", post(webhook))
        .route("/api/v2/alerts", get(alerts).post(post_alerts))
        .route("/api/v2/status", get(status))
}

async fn webhook(_: Admitted, State(app): State<AppState>, body: Bytes) -> Response {
    let heard = alertmanager::webhook(&body, app.clock.now());
    told(&app, heard).await.unwrap_or_else(|refusal| refusal)
}

async fn post_alerts(_: Admitted, State(app): State<AppState>, body: Bytes) -> Response {
    let heard = alertmanager::api(&body, app.clock.now());
    told(&app, heard).await.unwrap_or_else(|refusal| refusal)
}

async fn told(app: &AppState, heard: Result<Heard, Fault>) -> Result<Response, Response> {
    let heard = heard.map_err(|fault| unreadable(app, Sender::Alertmanager, &fault))?;
    Ok(take(app, Sender::Alertmanager, heard).await?.into_response())
}

/// Alerts that are active, as amtool asks for them. Nothing is silenced or inhibited here, so that who
/// asks for others only gets none.
async fn alerts(
    State(app): State<AppState>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Response {
    let filters = asked.iter().filter(|(name, _)| name == "filter");
    let matchers = match Matcher::all(filters.map(|(_, text)| text.as_str())) {
        Ok(matchers) => matchers,
        Err(fault) => return (StatusCode::BAD_REQUEST, Json(fault.to_string())).into_response(),
    };
    let without_active = asked.iter().any(|(name, value)| name == "active" && value == "false");
    let known = match app.desk.alerts().await {
        Ok(_) if without_active => Vec::new(),
        Ok(known) => known,
        Err(error) => return not_now(&error),
    };
    let wanted = |active: &Active| matchers.iter().all(|each| each.matches(&active.card.labels));
    let shown = known.iter().filter(|(_, active)| wanted(active));
    let shown: Vec<Value> = shown.map(|(key, active)| gettable(key, active)).collect();
    Json(shown).into_response()
}

fn gettable(fingerprint: &str, active: &Active) -> Value {
    let Active { finding, until, told_at, card, .. } = active;
    let ends_at = until.unwrap_or_else(|| told_at.after(RESOLVE_TIMEOUT));
    let mut alert = json!({
        "fingerprint": fingerprint,
        "labels": card.labels,
        "annotations": card.annotations,
        "startsAt": finding.raised_at,
        "endsAt": ends_at,
        "updatedAt": told_at,
        "receivers": [{ "name": "gpuwarden" }],
        "status": { "state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": [] },
    });
    if !card.link.is_empty() {
        alert["generatorURL"] = Value::from(card.link.as_str());
    }
    alert
}

async fn status(State(app): State<AppState>) -> Json<Value> {
    Json(status_page(app.started_at))
}

fn status_page(started_at: Timestamp) -> Value {
    json!({
        "cluster": { "status": "disabled", "peers": [] },
        "config": { "original": "" },
        "uptime": started_at,
        "versionInfo": {
            "version": env!("CARGO_PKG_VERSION"),
            "revision": "", "branch": "gpuwarden", "buildUser": "", "buildDate": "", "goVersion": "",
        },
    })
}
