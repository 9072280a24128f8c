//! Wire to words and back. What cannot be put into words is refused with a reason that names the
//! field; nothing is guessed.

mod change;
mod event;
mod fleet;
mod incident;
mod inventory;
mod oncall;
mod record;
mod shadow;
mod silence;
mod slo;
mod topology;
mod trace;
mod uplink;
mod work;

pub use event::{PARTS_MAX, decode_event, encode_event};
pub use inventory::{LABEL_MAX_BYTES, LABELS_MAX};
pub use record::{
    decode_change, decode_entries, decode_incident, decode_snapshot, encode_change, encode_entries,
    encode_incident, encode_snapshot,
};
pub use silence::{decode_silence, encode_silence};
use thiserror::Error;
pub use work::{Asked, order};

use crate::time::Timestamp;

/// A wire message that says nothing we can use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {fault}")]
pub struct Refused {
    /// The field, e.g. `finding.rule`.
    pub field: &'static str,
    /// What is wrong with it.
    pub fault: String,
}

impl Refused {
    fn missing(field: &'static str) -> Self {
        Self { field, fault: "is missing".to_owned() }
    }

    fn because(field: &'static str) -> impl Fn(String) -> Self {
        move |fault| Self { field, fault }
    }
}

/// Parses a word or a name of `field`.
fn parse<T>(field: &'static str, text: &str) -> Result<T, Refused>
where
    T: std::str::FromStr<Err = crate::vocab::UnknownWord>,
{
    text.parse().map_err(|error: T::Err| Refused::because(field)(error.to_string()))
}

/// An optional instant: 0 on the wire is none.
fn optional_time(ns: u64) -> Option<Timestamp> {
    (ns != 0).then(|| Timestamp::from_unix_ns(ns))
}

/// Converts each of a list, stopping at the first that cannot be.
fn each<W, T>(wire: Vec<W>, convert: fn(W) -> Result<T, Refused>) -> Result<Vec<T>, Refused> {
    wire.into_iter().map(convert).collect()
}
