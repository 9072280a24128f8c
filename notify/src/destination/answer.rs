//! What came back, and what that can mean. Pure.

use std::time::Duration;

use bytes::Bytes;
use gpuwarden_proto::time::Timestamp;
use jiff::fmt::rfc2822;

use super::External;
use crate::message::cut;

/// The longest wait that a destination may ask for.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// The longest reason that is kept, in characters.
const WHY_MAX: usize = 300;

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// An HTTP answer.
    Http {
        /// Its status.
        status: u16,
        /// `Retry-After`, as it was.
        retry_after: Option<String>,
        /// Its body, as far as it was read.
        body: Bytes,
    },
    /// What a mail server said last.
    Mail {
        /// Its code.
        code: u16,
        /// Its text.
        text: String,
    },
    /// None came.
    Nothing(Broken),
}

/// Why no answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// There is no such host.
    #[error("no such host: {0}")]
    Unresolved(String),
    /// Nobody listens there, or the connection broke.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// It cannot prove who it is.
    #[error("TLS: {0}")]
    Tls(String),
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    /// What it says cannot be understood.
    #[error("not understood: {0}")]
    Garbled(String),
    /// It cannot be sent at all.
    #[error("cannot be sent: {0}")]
    Unsendable(String),
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken; known there as this from now on.
    Delivered(Option<External>),
    /// Not now.
    Retry {
        /// Not before so long, where that was said. It holds for all that goes there.
        after: Option<Duration>,
        /// What was said.
        why: String,
    },
    /// What was told before is gone there: tell it anew, not as more of the same.
    Anew(String),
    /// This will never be taken there.
    Refused(String),
    /// Nothing will be taken there until somebody mends it.
    FallBack(String),
}

impl Verdict {
    /// What no answer means: worth another try, unless it could not be sent at all.
    #[must_use]
    pub fn of_broken(broken: &Broken) -> Self {
        match broken {
            Broken::Unsendable(_) => Self::Refused(broken.to_string()),
            Broken::Unresolved(_)
            | Broken::Unreachable(_)
            | Broken::Tls(_)
            | Broken::Late(_)
            | Broken::Garbled(_) => Self::Retry { after: None, why: broken.to_string() },
        }
    }

    /// What a status means that is neither success nor one that the destination documents.
    #[must_use]
    pub fn of_status(status: u16, retry_after: Option<&str>, body: &[u8], now: Timestamp) -> Self {
        let why = why(status, body);
        match status {
            408 | 425 | 429 | 500.. => {
                Self::Retry { after: retry_after.and_then(|text| wait(text, now)), why }
            }
            401 | 403 | 404 | 410 => Self::FallBack(why),
            _ => Self::Refused(why),
        }
    }
}

/// Status and the beginning of what was said, on one line.
pub(super) fn why(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * WHY_MAX)]);
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut::to_chars(format!("{status} {}", clean.trim()).trim_end(), WHY_MAX)
}

/// `Retry-After`: seconds, or an instant; an hour at most.
fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            let ns = u64::try_from(at.as_nanosecond()).ok()?;
            Timestamp::from_unix_ns(ns).since(now)
        }
    };
    Some(wait.min(WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_s(1_445_412_420);

    #[test]
    fn a_wait_is_said_in_seconds_or_as_an_instant() {
        assert_eq!(wait("30", NOW), Some(Duration::from_secs(30)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT", NOW), Some(Duration::from_secs(60)));
        assert_eq!(wait("Wed, 21 Oct 2015 06:28:00 GMT", NOW), Some(Duration::ZERO));
        assert_eq!(wait("99999999", NOW), Some(WAIT_MAX));
        assert_eq!(wait("soon", NOW), None);
    }

    #[test]
    fn a_server_in_trouble_is_asked_again_and_one_that_says_no_is_not() {
        let of = |status| Verdict::of_status(status, Some("7"), b"no\nway", NOW);
        let after = Some(Duration::from_secs(7));
        assert_eq!(of(503), Verdict::Retry { after, why: "503 no way".to_owned() });
        assert_eq!(of(429), Verdict::Retry { after, why: "429 no way".to_owned() });
        assert_eq!(of(400), Verdict::Refused("400 no way".to_owned()));
        assert_eq!(of(404), Verdict::FallBack("404 no way".to_owned()));
        assert_eq!(of(302), Verdict::Refused("302 no way".to_owned()));
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_judged(status: u16, after in ".*", body: Vec<u8>) {
            let verdict = Verdict::of_status(status, Some(&after), &body, NOW);
            if let Verdict::Retry { after: Some(after), .. } = verdict {
                prop_assert!(after <= WAIT_MAX);
            }
        }
    }
}
