//! Signatures of requests: Slack's of what it sends us, ours of what we send to webhooks. Pure.
//!
//! Both are HMAC-SHA256 over the time and the body, so that a request that was listened to cannot be
//! sent again later. They are compared in a time that does not tell where they differ.

use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use ring::hmac;

use crate::secret::Secret;

/// How far the time of a request may be from ours.
pub const WINDOW: Duration = Duration::from_secs(300);

/// Why a request is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unbelievable {
    /// No time, or none that can be read.
    #[error("the time of the request is missing or no number")]
    NoTime,
    /// Sent too long ago, or ahead of time: it may have been listened to.
    #[error("the request is more than five minutes away from our time; are the clocks right?")]
    Stale,
    /// The signature is missing or wrong.
    #[error("the signature is wrong; is the signing secret the right one?")]
    Forged,
}

/// Checks a request of Slack by its headers `X-Slack-Request-Timestamp` and `X-Slack-Signature`.
///
/// # Errors
///
/// It is not to be believed.
pub fn check_slack(
    secret: &Secret,
    timestamp: &str,
    signature: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Unbelievable> {
    let digits = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let at: u64 = timestamp.parse().ok().filter(|_| digits).ok_or(Unbelievable::NoTime)?;
    if at.abs_diff(now.unix_ns() / 1_000_000_000) > WINDOW.as_secs() {
        return Err(Unbelievable::Stale);
    }
    let given = signature.strip_prefix("v0=").and_then(unhex).ok_or(Unbelievable::Forged)?;
    let signed = [b"v0:", timestamp.as_bytes(), b":", body].concat();
    hmac::verify(&key(secret), &signed, &given).map_err(|_| Unbelievable::Forged)
}

/// The signature that Slack gives a request: for a stand-in of Slack.
#[must_use]
pub fn as_slack(secret: &Secret, timestamp: &str, body: &[u8]) -> String {
    let signed = [b"v0:", timestamp.as_bytes(), b":", body].concat();
    format!("v0={}", hex(hmac::sign(&key(secret), &signed).as_ref()))
}

/// The header of what we send: `t=SECONDS,v1=HEX`, over `SECONDS.BODY`.
#[must_use]
pub fn own(secret: &Secret, now: Timestamp, body: &[u8]) -> String {
    let at = (now.unix_ns() / 1_000_000_000).to_string();
    let signed = [at.as_bytes(), b".", body].concat();
    format!("t={at},v1={}", hex(hmac::sign(&key(secret), &signed).as_ref()))
}

/// The first bytes of the SHA-256 of a text, in hexadecimal: an id that is the same for the same text.
#[must_use]
pub fn digest(text: &str) -> String {
    hex(&ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref()[..16])
}

fn key(secret: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AT: u64 = 1_531_420_618;

    fn secret(text: &str) -> Secret {
        Secret::of_file(text).unwrap()
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_s(seconds)
    }

    /// The example of Slack's own documentation.
    #[test]
    fn the_documented_example_is_believed() {
        let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&\
            channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&\
            command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands\
            %2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.\
            803a0bc887a14d10d2c447fce8b6703c";
        let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
        let secret = secret("8f742231b10e8888abcd99yyyzzz85a5");
        assert_eq!(check_slack(&secret, "1531420618", signature, body, at(AT)), Ok(()));
    }

    #[test]
    fn a_request_is_believed_for_five_minutes() {
        let secret = secret("s");
        let signature = as_slack(&secret, &AT.to_string(), b"body");
        let check = |now| check_slack(&secret, &AT.to_string(), &signature, b"body", at(now));
        assert_eq!(check(AT + 300), Ok(()));
        assert_eq!(check(AT - 300), Ok(()));
        assert_eq!(check(AT + 301), Err(Unbelievable::Stale));
        assert_eq!(check(AT - 301), Err(Unbelievable::Stale));
    }

    #[test]
    fn our_own_signature_is_over_time_and_body() {
        let told = own(&secret("key"), at(7), b"{}");
        assert_eq!(told, "t=7,v1=77bc83bd1f40422311e47918b203449aecf84b02c1568bb1b570ac2a474cc2d8");
    }

    proptest! {
        #[test]
        fn nothing_but_the_right_signature_is_believed(
            body: Vec<u8>, other: Vec<u8>, timestamp in ".{0,12}", signature in "(v0=)?.{0,70}",
        ) {
            let secret = secret("s");
            prop_assert!(check_slack(&secret, &timestamp, &signature, &body, at(AT)).is_err());
            let right = as_slack(&secret, &AT.to_string(), &body);
            let check = |body: &[u8]| check_slack(&secret, &AT.to_string(), &right, body, at(AT));
            prop_assert_eq!(check(&body), Ok(()));
            prop_assert_eq!(check(&other).is_ok(), body == other);
        }

        #[test]
        fn one_flipped_bit_is_one_too_many(at_byte in 0_usize..64, bit in 0_u32..4) {
            let secret = secret("s");
            let mut signature = as_slack(&secret, &AT.to_string(), b"x").into_bytes();
            let digit = char::from(signature[3 + at_byte]).to_digit(16).unwrap();
            signature[3 + at_byte] = b"0123456789abcdef"[(digit ^ (1 << bit)) as usize];
            let signature = String::from_utf8(signature).unwrap();
            let checked = check_slack(&secret, &AT.to_string(), &signature, b"x", at(AT));
            prop_assert_eq!(checked, Err(Unbelievable::Forged));
        }
    }
}
