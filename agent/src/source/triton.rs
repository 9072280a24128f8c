//! A Triton server: its metrics page and its repository.
//!
//! Two readers, one for each of the server's ports, so that a port that hangs does not hold up the
//! other. What they see passes through [`watch`] to the engine in the order in which it was seen. No
//! verdicts here, and nothing that changes the server.

pub mod health;
pub mod index;
mod metrics;
pub mod news;
pub mod pace;
pub mod page;
pub mod problems;
mod repository;

use std::sync::Arc;

use gpuwarden_proto::vocab::{ServerName, SourceName};
use tokio::sync::{Notify, mpsc, watch as latest};
use tokio_util::sync::CancellationToken;

use self::health::Health;
use self::metrics::SeenPage;
use self::news::News;
use self::repository::{OnPage, Repository};
use super::http::{Address, Endpoint, Patience};
use crate::config::TritonConfig;
use crate::sample::{Input, ModelShape, Moment, Outage, RepositoryReading, SourceReport};

/// Watches a server until `shutdown`, or until the engine has gone.
///
/// `now` is only used for intervals. Each `look` makes it look closer for two seconds. When `out` is
/// full it waits: what it has not read yet is fresher than what it could pile up.
pub async fn watch(
    config: TritonConfig,
    now: impl Fn() -> Moment + Copy,
    out: mpsc::Sender<Input>,
    look: Arc<Notify>,
    shutdown: CancellationToken,
) {
    let source = source_name(&config.name);
    let addresses = (Address::parse(&config.metrics), Address::parse(&config.http));
    let (metrics, http) = match addresses {
        (Ok(metrics), Ok(http)) => (metrics, http),
        (Err(words), _) | (_, Err(words)) => {
            let _ = out.send(Input::Source(source, SourceReport::Failing(words))).await;
            return;
        }
    };
    let timeout = config.timeout;
    let patience = Patience { connect: timeout, answer: timeout, kept: timeout };
    let patience_http = Patience { kept: timeout / 4, ..patience };
    let (seen_tx, seen) = mpsc::channel(1);
    let (on_page_tx, on_page) = latest::channel(OnPage::new());
    let (look_metrics, nudge) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let relay = Relay {
        server: config.name.clone(),
        source,
        out,
        health: Health::default(),
        news: News::default(),
        on_page: on_page_tx,
        nudge: Arc::clone(&nudge),
    };
    let repository = Repository::new(config.name, Endpoint::new(http, patience_http), on_page);
    let metrics = Endpoint::new(metrics, patience);
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = metrics::run(metrics, config.interval, now, Arc::clone(&look_metrics), seen_tx.clone()) => {}
        () = repository::run(repository, config.index_interval, now, Arc::clone(&nudge), seen_tx) => {}
        () = relay.run(seen) => {}
        () = pass_on(look, look_metrics, nudge) => {}
    }
}

fn source_name(server: &ServerName) -> SourceName {
    SourceName::new(&format!("triton/{server}"))
        .expect("a source's name may be longer than a server's by more than this prefix")
}

/// A closer look is for both readers.
async fn pass_on(look: Arc<Notify>, metrics: Arc<Notify>, repository: Arc<Notify>) {
    loop {
        look.notified().await;
        metrics.notify_one();
        repository.notify_one();
    }
}

/// What the readers saw.
#[derive(Debug)]
enum Seen {
    Page(SeenPage),
    Repository(Result<RepositoryReading, Outage>),
    Shape(ModelShape),
}

/// Passes on what the readers saw, and lets the one know of the other.
#[derive(Debug)]
struct Relay {
    server: ServerName,
    source: SourceName,
    out: mpsc::Sender<Input>,
    health: Health,
    news: News,
    on_page: latest::Sender<OnPage>,
    nudge: Arc<Notify>,
}

impl Relay {
    async fn run(mut self, mut seen: mpsc::Receiver<Seen>) {
        while let Some(seen) = seen.recv().await {
            for input in self.inputs(seen).into_iter().flatten() {
                if self.out.send(input).await.is_err() {
                    return;
                }
            }
        }
    }

    /// What the engine is told: the thing itself, then what it means for the source.
    fn inputs(&mut self, seen: Seen) -> [Option<Input>; 2] {
        let (input, report) = match seen {
            Seen::Page(seen) => {
                self.compare(&seen);
                let report = self.health.metrics(&seen.page);
                (Some(Input::Page(seen.into_reading(self.server.clone()))), report)
            }
            Seen::Repository(reading) => {
                let report = self.health.api(&reading);
                (reading.ok().map(Input::Repository), report)
            }
            Seen::Shape(shape) => (Some(Input::Shape(shape)), None),
        };
        [input, report.map(|report| Input::Source(self.source.clone(), report))]
    }

    fn compare(&mut self, seen: &SeenPage) {
        if self.news.in_page(&seen.page) {
            self.on_page.send_if_modified(|on_page| {
                let changed = on_page != self.news.models();
                if changed {
                    on_page.clear();
                    on_page.extend_from_slice(self.news.models());
                }
                changed
            });
            self.nudge.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
