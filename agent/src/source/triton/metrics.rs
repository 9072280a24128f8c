//! Reads the metrics page again and again.

use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::vocab::ServerName;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

use super::Seen;
use super::pace::{Pace, Tried};
use super::page::{self, Page};
use crate::sample::{Moment, Outage, PageReading};
use crate::source::http::Endpoint;

/// How often the page is read when somebody takes a closer look.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long a closer look lasts.
const LOOK_LASTS: Duration = Duration::from_secs(2);

/// A metrics page on its way to the engine.
#[derive(Debug)]
pub(super) struct SeenPage {
    /// The page.
    pub(super) page: Result<Page, Outage>,
    /// A sentence when the interval had to be changed.
    pub(super) pace: Option<String>,
}

impl SeenPage {
    /// As the engine wants it.
    pub(super) fn into_reading(self, server: ServerName) -> PageReading {
        let (models, mut problems) = match self.page {
            Ok(page) => (Ok(page.models), page.problems),
            Err(outage) => (Err(outage), Default::default()),
        };
        if let Some(pace) = self.pace {
            problems.add(|| pace);
        }
        PageReading { server, models, problems: problems.count, first_problem: problems.first }
    }
}

/// Reads the page at its pace, and faster for a while after each `look`, until nobody listens.
pub(super) async fn run(
    mut endpoint: Endpoint,
    interval: Duration,
    now: impl Fn() -> Moment,
    look: Arc<Notify>,
    seen: mpsc::Sender<Seen>,
) {
    let mut pace = Pace::new(interval, LOOK_INTERVAL);
    loop {
        tokio::select! {
            () = sleep(pace.due().since(now())) => {}
            () = look.notified() => pace.hurry_until(now().after(LOOK_LASTS)),
        }
        let began = now();
        let (page, bytes) = scrape(&mut endpoint).await;
        let ended = now();
        let outcome = match &page {
            Ok(_) => Tried::Read { cost: ended.since(began), bytes },
            Err(Outage::Refused(_)) => Tried::Refused,
            Err(Outage::TimedOut(_) | Outage::Garbled(_)) => Tried::Failed,
        };
        let pace = pace.tried(began, ended, outcome);
        if seen.send(Seen::Page(SeenPage { page, pace })).await.is_err() {
            return;
        }
    }
}

async fn scrape(endpoint: &mut Endpoint) -> (Result<Page, Outage>, usize) {
    let answer = match endpoint.get("").await {
        Ok(answer) => answer,
        Err(outage) => return (Err(outage), 0),
    };
    let page = match (answer.status, page::check(answer.body)) {
        (200, Ok(())) => Ok(page::parse(answer.body)),
        (200, Err(words)) => Err(Outage::Garbled(words.to_owned())),
        (status, _) => Err(Outage::Garbled(format!("answered {status} to the metrics page"))),
    };
    (page, answer.body.len())
}
