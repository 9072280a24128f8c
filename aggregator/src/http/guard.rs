//! Who may tell: a secret that all senders share, where one is set, and no page of another site.

use std::fmt;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::AppState;
use crate::status::Refused;

/// The shortest secret, in bytes.
const SECRET_MIN_BYTES: usize = 8;

/// A shared secret. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// The secret in the text of a file; blanks around it do not count.
    ///
    /// # Errors
    ///
    /// It is too short to be one, or has more than a line.
    pub fn of_file(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() < SECRET_MIN_BYTES || text.contains(char::is_whitespace) {
            return Err(format!(
                "should hold one word of {SECRET_MIN_BYTES} bytes at least, the token"
            ));
        }
        Ok(Self(text.into()))
    }

    /// Compares in a time that does not tell where they differ.
    fn is(&self, given: &str) -> bool {
        let (own, given) = (self.0.as_bytes(), given.as_bytes());
        let differ = own.iter().zip(given).fold(0, |differ, (a, b)| differ | (a ^ b));
        own.len() == given.len() && differ == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a handler takes as its first argument to be asked by none but those who may.
#[derive(Debug)]
pub struct Admitted;

impl FromRequestParts<AppState> for Admitted {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Response> {
        admit(app, &parts.headers, None).map_err(|refusal| *refusal)
    }
}

/// Whether a request may tell; `given` is what it offers elsewhere than in its heads. The answer for
/// who may not says why.
pub(super) fn admit(
    app: &AppState,
    heads: &HeaderMap,
    given: Option<&str>,
) -> Result<Admitted, Box<Response>> {
    if !is_of_this_site(heads) {
        app.metrics.refuse_http(Refused::Foreign);
        let told = "this comes from a page of another site; only our own form may post here\n";
        return Err(Box::new((StatusCode::FORBIDDEN, told).into_response()));
    }
    let Some(secret) = &app.secret else { return Ok(Admitted) };
    let offered = heads.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = offered.and_then(|value| value.split_once(' '));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let offered = bearer.map(|(_, token)| token.trim()).or(given);
    if offered.is_some_and(|offered| secret.is(offered)) {
        return Ok(Admitted);
    }
    app.metrics.refuse_http(Refused::Unauthorized);
    let what = if offered.is_some() { "the token is wrong" } else { "a token is missing" };
    let told = format!("{what}: send `Authorization: Bearer TOKEN`, the word in http.token_file\n");
    let heads = [(WWW_AUTHENTICATE, "Bearer")];
    Err(Box::new((StatusCode::UNAUTHORIZED, heads, told).into_response()))
}

/// A browser says which site a page is of; others say nothing.
fn is_of_this_site(heads: &HeaderMap) -> bool {
    let text = |name| heads.get(name).and_then(|value| value.to_str().ok());
    if let Some(origin) = heads.get(ORIGIN) {
        let site = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        let own = heads.get(HOST).and_then(|host| host.to_str().ok());
        return site.zip(own).is_some_and(|((_, site), own)| site.eq_ignore_ascii_case(own));
    }
    text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"))
}
