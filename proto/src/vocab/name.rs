//! Names that come from outside: neither empty nor endless nor escape sequences.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

/// Declares a newtype over text that cannot be empty or longer than `MAX_BYTES`.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident, $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The longest accepted, in bytes.
            pub const MAX_BYTES: usize = $max;

            /// The text, if it is neither empty nor too long and has no control characters.
            pub fn new(text: &str) -> Result<Self, BadName> {
                let fault = if text.is_empty() {
                    Some("is empty")
                } else if text.len() > Self::MAX_BYTES {
                    Some("is too long")
                } else if text.chars().any(char::is_control) {
                    Some("has control characters")
                } else {
                    None
                };
                match fault {
                    Some(fault) => Err(BadName { what: stringify!($name), fault }),
                    None => Ok(Self(text.into())),
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// A name that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{what} {fault}")]
pub struct BadName {
    /// Which kind of name.
    pub what: &'static str,
    /// What is wrong with it.
    pub fault: &'static str,
}

names! {
    /// A node of the fleet.
    NodeId, 253
}
names! {
    /// A GPU or MIG instance by NVIDIA's UUID.
    GpuUuid, 96
}

impl GpuUuid {
    /// Whether it is that of a MIG instance, as NVIDIA writes it.
    #[must_use]
    pub fn is_mig(&self) -> bool {
        self.0.starts_with("MIG-")
    }
}
names! {
    /// A Triton server by the name its agent's config gives it.
    ServerName, 128
}
names! {
    /// A model as its server names it.
    ModelName, 256
}
names! {
    /// A version of a model as its server names it.
    ModelVersion, 64
}
names! {
    /// A service as the topology names it.
    ServiceName, 128
}
names! {
    /// What tells one change from all others, whoever tells of it how often.
    ChangeKey, 256
}
names! {
    /// A source, e.g. `nvml` or `triton/default`.
    SourceName, 160
}
names! {
    /// A person who may be on call, as the settings name them.
    PersonName, 128
}
names! {
    /// A schedule of people on call.
    ScheduleName, 128
}
names! {
    /// Where somebody or something is told, as the settings name it.
    DestinationName, 128
}
