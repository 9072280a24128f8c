//! The form by which people report trouble: one page, no script, nothing from elsewhere.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Form, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::AppState;
use super::guard::admit;
use super::reports::{Unfiled, file};
use crate::outside::report::Report;

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'";
const STYLE: &str = "body{font:16px/1.4 system-ui,sans-serif;max-width:34rem;margin:1rem auto;\
    padding:0 1rem}label{display:block;margin:.8rem 0 .2rem}input,select,textarea,button{\
    font:inherit;width:100%;box-sizing:border-box;padding:.5rem}button{margin-top:1rem}\
    .told{border-left:.3rem solid;padding:.3rem .8rem}";
/// Fields of one line: name, what it asks for, the longest text.
const LINES: [(&str, &str, usize); 4] = [
    ("summary", "What is wrong?", 500),
    ("service", "Which service? (if you know)", 128),
    ("model", "Which model? (if you know)", 256),
    ("reporter", "Your name", 128),
];
const SEVERITIES: [(&str, &str); 4] = [
    ("error", "It works badly, or for some"),
    ("critical", "It does not work at all"),
    ("warning", "It is a nuisance"),
    ("info", "I only want to tell"),
];

type Entries = HashMap<String, String>;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/report", get(blank).post(send))
}

async fn blank(State(app): State<AppState>) -> Response {
    page(StatusCode::OK, None, Some((&Entries::new(), app.secret.is_some())))
}

async fn send(
    State(app): State<AppState>,
    heads: HeaderMap,
    Form(entries): Form<Entries>,
) -> Response {
    let asks_token = app.secret.is_some();
    if let Err(refusal) = admit(&app, &heads, entries.get("token").map(String::as_str)) {
        let told = "The token is missing or wrong, or this form is of another site.";
        return page(refusal.status(), Some(told), Some((&entries, asks_token)));
    }
    match file(&app, &report(&entries)).await {
        Ok((answer, _)) if answer.status() == StatusCode::OK => {
            let told = match answer.incidents.first() {
                Some(id) => format!("Thank you. Your report is part of incident #{id}."),
                None => "Thank you. Your report has been taken.".to_owned(),
            };
            page(StatusCode::OK, Some(&told), None)
        }
        Ok((answer, _)) => {
            let told = answer.error.as_deref().unwrap_or("It could not be taken; try again later.");
            page(answer.status(), Some(told), Some((&entries, asks_token)))
        }
        Err(Unfiled::Fault(fault)) => {
            page(StatusCode::BAD_REQUEST, Some(&fault.to_string()), Some((&entries, asks_token)))
        }
        Err(Unfiled::Response(response)) => {
            let told = "It could not be stored; try again in a moment.";
            page(response.status(), Some(told), Some((&entries, asks_token)))
        }
    }
}

fn report(entries: &Entries) -> Report {
    let text = |name: &str| entries.get(name).cloned().unwrap_or_default();
    Report {
        summary: text("summary"),
        description: text("description"),
        service: text("service"),
        model: text("model"),
        severity: text("severity"),
        reporter: text("reporter"),
        ..Report::default()
    }
}

/// A page with what is to be told, and the form with what had been entered, unless it is done with.
fn page(status: StatusCode, told: Option<&str>, form: Option<(&Entries, bool)>) -> Response {
    let told = told.map(|told| format!("<p class=told role=status>{}</p>", escaped(told)));
    let form = form.map(|(entries, asks_token)| form_of(entries, asks_token));
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport \
         content=\"width=device-width,initial-scale=1\"><title>Report trouble</title>\
         <style>{STYLE}</style><h1>Report trouble</h1>{}{}</html>\n",
        told.unwrap_or_default(),
        form.unwrap_or_else(|| "<p><a href=\"/report\">Report something else</a></p>".to_owned()),
    );
    let heads = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, heads, html).into_response()
}

fn form_of(entries: &Entries, asks_token: bool) -> String {
    let value = |name: &str| escaped(entries.get(name).map_or("", String::as_str));
    let line = |(name, label, most): (&str, &str, usize)| {
        let needed = if ["summary", "reporter"].contains(&name) { " required" } else { "" };
        format!(
            "<label for={name}>{label}</label><input id={name} name={name} maxlength={most} \
             value=\"{}\"{needed}>",
            value(name)
        )
    };
    let chosen = entries.get("severity").map_or("", String::as_str);
    let option = |(word, label): (&str, &str)| {
        let mark = if word == chosen { " selected" } else { "" };
        format!("<option value={word}{mark}>{label}</option>")
    };
    let token = "<label for=token>Token</label><input id=token name=token type=password required \
        autocomplete=off>";
    format!(
        "<form method=post action=\"/report\">{}<label for=severity>How bad is it?</label>\
         <select id=severity name=severity>{}</select><label for=description>More, if it helps: when, \
         where, the text of the error</label><textarea id=description name=description rows=5 \
         maxlength=8000>{}</textarea>{}<button>Send</button></form>",
        LINES.map(line).concat(),
        SEVERITIES.map(option).concat(),
        value("description"),
        if asks_token { token } else { "" },
    )
}

/// Text as it may stand in a page, within quotes too.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}
