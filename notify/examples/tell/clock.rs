//! The only reader of the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use gpuwarden_proto::time::Timestamp;

/// What time it is.
#[expect(clippy::disallowed_methods, reason = "the only reader of the clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::default().after(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
