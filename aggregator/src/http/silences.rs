//! Silences and maintenance as Alertmanager's API lists them. They are made by `gpuwarden silence`.

use std::collections::BTreeMap;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use gpuwarden_proto::silence::{Listed, Matcher};
use gpuwarden_proto::vocab::SilenceState;
use serde_json::{Value, json};

use super::AppState;
use super::signal::not_now;
use crate::outside::Labels;
use crate::outside::alertmanager::matcher;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/v2/silences", get(silences))
}

async fn silences(
    State(app): State<AppState>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Response {
    let filters = asked.iter().filter(|(name, _)| name == "filter");
    let matchers = match matcher::Matcher::all(filters.map(|(_, text)| text.as_str())) {
        Ok(matchers) => matchers,
        Err(fault) => return (StatusCode::BAD_REQUEST, Json(fault.to_string())).into_response(),
    };
    let known = match app.desk.silences(true).await {
        Ok(known) => known,
        Err(error) => return not_now(&error),
    };
    // A condition is held against what a silence wants of that name.
    let wanted = |each: &&Listed| matchers.iter().all(|asked| asked.matches(&wants(each)));
    Json(known.iter().filter(wanted).map(gettable).collect::<Vec<Value>>()).into_response()
}

/// What a silence wants, by the names of what it looks at.
fn wants(listed: &Listed) -> Labels {
    let matchers = listed.silence.matchers.iter();
    let wanted = matchers.map(|Matcher { key, value, .. }| (key.to_string(), value.clone()));
    wanted.chain(on(listed)).collect()
}

/// What it is on, as a matcher of several would say it.
fn on(listed: &Listed) -> Option<(String, String)> {
    let entities: Vec<String> =
        listed.silence.entities.iter().map(|each| regex::escape(&each.to_string())).collect();
    (!entities.is_empty()).then(|| ("on".to_owned(), entities.join("|")))
}

fn gettable(listed: &Listed) -> Value {
    let silence = &listed.silence;
    let matcher = |Matcher { key, op, value }: &Matcher| {
        let (regex, equal) = (op.is_expression(), !op.is_negative());
        json!({ "name": key.to_string(), "value": value, "isRegex": regex, "isEqual": equal })
    };
    let mut matchers: Vec<Value> = silence.matchers.iter().map(matcher).collect();
    let on = on(listed).map(
        |(name, value)| json!({ "name": name, "value": value, "isRegex": true, "isEqual": true }),
    );
    matchers.extend(on);
    let state = match listed.state {
        SilenceState::Planned => "pending",
        SilenceState::Active => "active",
        SilenceState::Over => "expired",
    };
    let updated_at = silence.ended.as_ref().map_or(silence.created_at, |ended| ended.at);
    json!({
        "id": silence.id.to_string(),
        "matchers": matchers,
        "startsAt": silence.starts_at,
        "endsAt": silence.over_at(),
        "updatedAt": updated_at,
        "createdBy": silence.author,
        "comment": silence.reason,
        "annotations": BTreeMap::<String, String>::new(),
        "status": { "state": state },
    })
}
