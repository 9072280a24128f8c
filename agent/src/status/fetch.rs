//! Asks a running agent for its status.

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use crate::sample::Outage;
use crate::source::http::{Address, Endpoint, Patience};

/// In which form the status is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For programs.
    Json,
    /// For people.
    Text,
}

/// Why there is no status.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoStatus {
    /// Nobody listens there.
    #[error(
        "no agent listens on {0}: is gpuwarden-agent running, and is its `status.listen` that address?"
    )]
    Nobody(SocketAddr),
    /// It does not answer in time.
    #[error("the agent on {0} does not answer: {1}")]
    Silent(SocketAddr, String),
    /// Somebody else listens there.
    #[error("what listens on {0} is not a gpuwarden-agent: {1}")]
    Somebody(SocketAddr, String),
}

/// Fetches the status of the agent that listens on `agent`, as it should be printed.
pub async fn fetch(agent: SocketAddr, form: Form) -> Result<String, NoStatus> {
    let address = Address::parse(&format!("http://{agent}"))
        .map_err(|words| NoStatus::Somebody(agent, words))?;
    let answer = Duration::from_secs(5);
    let patience = Patience { connect: Duration::from_secs(2), answer, kept: answer };
    let path = match form {
        Form::Json => "/status",
        Form::Text => "/status.txt",
    };
    let mut endpoint = Endpoint::new(address, patience);
    let answer = endpoint.get(path).await.map_err(|outage| match outage {
        Outage::Refused(_) => NoStatus::Nobody(agent),
        Outage::TimedOut(words) => NoStatus::Silent(agent, words),
        Outage::Garbled(words) => NoStatus::Somebody(agent, words),
    })?;
    match (answer.status, str::from_utf8(answer.body)) {
        (200, Ok(text)) => Ok(text.to_owned()),
        (200, Err(_)) => Err(NoStatus::Somebody(agent, "it does not answer in text".to_owned())),
        (status, _) => Err(NoStatus::Somebody(agent, format!("it answers {status}"))),
    }
}
