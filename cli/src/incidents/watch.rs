//! Follows incidents live. A lost connection is said on stderr and made again; nothing is told
//! twice.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use gpuwarden_proto::incident::WatchUpdate;

use super::feed::{self, Feed};
use crate::args::Format;
use crate::client::{Aggregator, Client, ClientError};
use crate::clock;
use crate::quantity::time_of_day;
use crate::screen::{Screen, ScreenError};

const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(10);

/// Follows until interrupted, with `held` also what is held back. An aggregator that is not there at
/// first is an error, one that goes away later is waited for.
pub async fn run(aggregator: &Aggregator, held: bool, screen: &mut Screen) -> anyhow::Result<()> {
    let mut feed = Feed::new(held);
    tokio::select! {
        ended = follow(aggregator, |update| show(update, &mut feed, screen)) => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// Gives each update to `each` until that fails. What was told before a connection was lost is told
/// again after it: [`Feed`] knows it.
pub async fn follow(
    aggregator: &Aggregator,
    mut each: impl FnMut(&WatchUpdate) -> Result<(), ScreenError>,
) -> anyhow::Result<()> {
    let mut client = Client::connect(aggregator).await?;
    loop {
        match until_lost(&mut client, &mut each).await {
            Err(error) if may_pass(&error) => eprintln!("gpuwarden: {error}; trying again"),
            Err(error) => return Err(error),
            Ok(()) => eprintln!("gpuwarden: the aggregator ended the watch; trying again"),
        }
        client = reconnect(aggregator).await;
    }
}

async fn until_lost(
    client: &mut Client,
    each: &mut impl FnMut(&WatchUpdate) -> Result<(), ScreenError>,
) -> anyhow::Result<()> {
    let mut watch = client.watch().await?;
    while let Some(update) = watch.next().await? {
        each(&update)?;
    }
    Ok(())
}

fn may_pass(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(ClientError::may_pass)
}

async fn reconnect(aggregator: &Aggregator) -> Client {
    let backoff = ExponentialBuilder::default()
        .with_min_delay(FIRST_RETRY)
        .with_max_delay(LAST_RETRY)
        .with_jitter()
        .without_max_times();
    for delay in backoff.build() {
        tokio::time::sleep(delay).await;
        if let Ok(client) = Client::connect(aggregator).await {
            return client;
        }
    }
    unreachable!("the delays have no end")
}

fn show(update: &WatchUpdate, feed: &mut Feed, screen: &mut Screen) -> Result<(), ScreenError> {
    let Some(lines) = feed.take(update, clock::now()) else { return Ok(()) };
    match screen.format {
        Format::Json => screen.json(update)?,
        Format::Table => {
            for line in &lines {
                let time = time_of_day(line.at);
                screen.line(&feed::render(&time, &update.incident, line, screen.paint))?;
            }
        }
    }
    Ok(())
}
