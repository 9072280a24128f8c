//! PagerDuty's Events API v2 at its own path, so that only the host is changed at the sender.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use gpuwarden_proto::vocab::Sender;
use serde_json::json;

use super::AppState;
use super::guard::admit;
use super::signal::{not_now, take};
use crate::outside::pagerduty::{Action, Enqueued, event};
use crate::outside::{Fault, Heard};
use crate::status;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/v2/enqueue", post(enqueue))
}

async fn enqueue(State(app): State<AppState>, heads: HeaderMap, body: Bytes) -> Response {
    tell(&app, &heads, &body).await.unwrap_or_else(|refusal| refusal)
}

async fn tell(app: &AppState, heads: &HeaderMap, body: &[u8]) -> Result<Response, Response> {
    let read = event(body, app.clock.now());
    // Senders of this format can set no head; their routing key is the secret.
    let given = read.as_ref().ok().map(|event| event.routing_key.as_str());
    admit(app, heads, given).map_err(|refusal| *refusal)?;
    let Enqueued { dedup_key, action, .. } = read.map_err(|faults| invalid(app, &faults))?;
    let message = match action {
        Action::Tell(signal) => {
            let heard = Heard { signals: vec![*signal], ..Heard::default() };
            let answer = take(app, Sender::Pagerduty, heard).await?;
            if answer.status() != StatusCode::OK {
                return Ok(answer.into_response());
            }
            "Event processed"
        }
        Action::Acknowledge { subject, by } => {
            let taken = app.desk.acknowledge_alert(subject, by).await;
            match taken.map_err(|error| not_now(&error))? {
                Some(_) => "Event processed",
                None => "Event processed: no incident holds this alert",
            }
        }
    };
    let answer = json!({ "status": "success", "message": message, "dedup_key": dedup_key });
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

fn invalid(app: &AppState, faults: &[Fault]) -> Response {
    app.metrics.heard_many(Sender::Pagerduty, status::Heard::Refused, 1);
    let errors: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let answer = json!({
        "status": "invalid event", "message": "Event object is invalid", "errors": errors,
    });
    (StatusCode::BAD_REQUEST, Json(answer)).into_response()
}
