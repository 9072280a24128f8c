//! Reads the repository index again and again, or asks model by model where the index is not
//! allowed; and reads each model's config when it becomes ready, and now and then to see whether it is
//! another by now: a load of what is loaded changes it without the model ever being away.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::vocab::{ModelName, ModelVersion, ServerName};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep;

use super::Seen;
use super::index;
use super::pace::{Pace, Tried};
use crate::sample::{
    ModelShape, Moment, Outage, RepositoryEntry, RepositoryReading, RepositoryState,
};
use crate::source::http::Endpoint;

/// How often the index is read while a model comes or goes.
const BUSY_INTERVAL: Duration = Duration::from_millis(200);
/// How long a model may come or go before that is the usual thing.
const BUSY_MAX: Duration = Duration::from_secs(60);
/// The least time between two readings that were asked for out of turn.
const NUDGE_INTERVAL: Duration = Duration::from_millis(200);
/// The least time between two configs.
const SHAPE_INTERVAL: Duration = Duration::from_millis(250);
/// The time between two looks at configs that were read before, model after model.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Configs that are waited for; models beyond are asked for their config when they next come up.
const SHAPES_MAX: usize = index::ENTRIES_MAX;
/// The least time between two attempts to learn the server's version.
const VERSION_INTERVAL: Duration = Duration::from_secs(10);
/// How long a refused index is not asked for.
const DENIED_LASTS: Duration = Duration::from_secs(60);
/// Models that are asked one by one.
const ASKED_MAX: usize = 256;

/// Models on the metrics page.
pub(super) type OnPage = Vec<(ModelName, ModelVersion)>;

/// Reads the repository at its pace, sooner after each `nudge`, until nobody listens.
pub(super) async fn run(
    mut repository: Repository,
    interval: Duration,
    now: impl Fn() -> Moment,
    nudge: Arc<Notify>,
    seen: mpsc::Sender<Seen>,
) {
    let mut pace = Pace::new(interval, BUSY_INTERVAL);
    let mut last = None::<Moment>;
    loop {
        let shape_due = repository.shape_due();
        let due = shape_due.map_or(pace.due(), |shape_due| shape_due.min(pace.due()));
        tokio::select! {
            () = sleep(due.since(now())) => {}
            () = nudge.notified() => {
                let earliest = last.map(|last| last.after(NUDGE_INTERVAL)).unwrap_or_default();
                pace.no_later_than(earliest.max(now()));
                continue;
            }
        }
        let began = now();
        let news = if pace.due() <= began {
            last = Some(began);
            let reading = repository.read(began).await;
            pace.hurry_until(repository.hurry_until(began));
            let outcome = outcome(&reading, now().since(began));
            if let Some(words) = pace.tried(began, now(), outcome) {
                tracing::warn!(server = %repository.server, "repository index: {words}");
            }
            Seen::Repository(reading)
        } else if let Some(shape) = repository.read_shape(began).await {
            Seen::Shape(shape)
        } else {
            continue;
        };
        if seen.send(news).await.is_err() {
            return;
        }
    }
}

fn outcome(reading: &Result<RepositoryReading, Outage>, cost: Duration) -> Tried {
    match reading {
        // The size hardly matters beside the time here: an index is small.
        Ok(_) => Tried::Read { cost, bytes: 0 },
        Err(Outage::Refused(_)) => Tried::Refused,
        Err(Outage::TimedOut(_) | Outage::Garbled(_)) => Tried::Failed,
    }
}

/// The repository of one server, as far as it is known.
#[derive(Debug)]
pub(super) struct Repository {
    server: ServerName,
    endpoint: Endpoint,
    on_page: watch::Receiver<OnPage>,
    server_version: String,
    /// The connection over which the version was read, and when it may be asked for again.
    version_of: u64,
    version_due: Moment,
    denied_until: Option<Moment>,
    /// Models that were ever on the page, with their latest version.
    known: BTreeMap<ModelName, ModelVersion>,
    busy_since: Option<Moment>,
    ready: BTreeSet<ModelName>,
    shapes_wanted: VecDeque<ModelName>,
    shape_due: Moment,
    /// The model whose config was last looked at again, and when the next one is.
    looked_at: Option<ModelName>,
    look_due: Moment,
}

impl Repository {
    pub(super) fn new(
        server: ServerName,
        endpoint: Endpoint,
        on_page: watch::Receiver<OnPage>,
    ) -> Self {
        Self {
            server,
            endpoint,
            on_page,
            server_version: String::new(),
            version_of: 0,
            version_due: Moment::default(),
            denied_until: None,
            known: BTreeMap::new(),
            busy_since: None,
            ready: BTreeSet::new(),
            shapes_wanted: VecDeque::new(),
            shape_due: Moment::default(),
            looked_at: None,
            look_due: Moment::default(),
        }
    }

    async fn read(&mut self, now: Moment) -> Result<RepositoryReading, Outage> {
        let denied = self.denied_until.is_some_and(|until| now < until);
        let entries = match if denied { None } else { self.read_index(now).await? } {
            Some(entries) => entries,
            None => self.ask_each().await?,
        };
        self.read_version(now).await;
        self.note(&entries, now);
        let (server, server_version) = (self.server.clone(), self.server_version.clone());
        Ok(RepositoryReading { server, server_version, entries })
    }

    /// `None` when the server does not allow it.
    async fn read_index(&mut self, now: Moment) -> Result<Option<Vec<RepositoryEntry>>, Outage> {
        let answer = self.endpoint.post("/v2/repository/index", "{}").await?;
        match answer.status {
            200 => {
                let (entries, problems) = index::parse(answer.body).map_err(Outage::Garbled)?;
                if let Some(first) = problems.first {
                    tracing::debug!(server = %self.server, "{} problems: {first}", problems.count);
                }
                self.denied_until = None;
                Ok(Some(entries))
            }
            status @ (401 | 403 | 404 | 405 | 501) => {
                if self.denied_until.is_none() {
                    tracing::info!(server = %self.server, status, "no repository index; asking model by model");
                }
                self.denied_until = Some(now.after(DENIED_LASTS));
                Ok(None)
            }
            status => Err(Outage::Garbled(format!("answered {status} to the repository index"))),
        }
    }

    /// Asks each model that is or was on the page whether it is ready.
    async fn ask_each(&mut self) -> Result<Vec<RepositoryEntry>, Outage> {
        let on_page = self.on_page.borrow_and_update().clone();
        for (model, version) in on_page {
            if self.known.len() < ASKED_MAX || self.known.contains_key(&model) {
                self.known.insert(model, version);
            }
        }
        let mut entries = Vec::with_capacity(self.known.len());
        for (model, version) in &self.known {
            let answer = self.endpoint.get(&model_path(model, "ready")).await?;
            if matches!(answer.status, 401 | 403) {
                let words = "neither the repository index nor the models' readiness may be read";
                return Err(Outage::Garbled(words.to_owned()));
            }
            let (state, reason) = index::readiness(answer.status, answer.body);
            let (model, version) = (model.clone(), Some(version.clone()));
            entries.push(RepositoryEntry { model, version, state, reason });
        }
        Ok(entries)
    }

    /// Learns the version over each new connection, since another server may be behind it. That it
    /// cannot be read is no trouble.
    async fn read_version(&mut self, now: Moment) {
        if self.version_of == self.endpoint.connections() || now < self.version_due {
            return;
        }
        self.version_due = now.after(VERSION_INTERVAL);
        if let Ok(answer) = self.endpoint.get("/v2").await {
            self.server_version = index::parse_version(answer.body).unwrap_or_default();
            self.version_of = self.endpoint.connections();
        }
    }

    /// Takes note of who is on the way and who has become ready.
    fn note(&mut self, entries: &[RepositoryEntry], now: Moment) {
        let busy = entries.iter().any(|entry| {
            matches!(entry.state, RepositoryState::Loading | RepositoryState::Unloading)
        });
        self.busy_since = busy.then(|| self.busy_since.unwrap_or(now));
        let ready: BTreeSet<_> = entries
            .iter()
            .filter(|entry| entry.state == RepositoryState::Ready)
            .map(|entry| entry.model.clone())
            .collect();
        for model in ready.difference(&self.ready) {
            if self.shapes_wanted.len() < SHAPES_MAX && !self.shapes_wanted.contains(model) {
                self.shapes_wanted.push_back(model.clone());
            }
        }
        self.ready = ready;
    }

    fn hurry_until(&self, now: Moment) -> Moment {
        self.busy_since.map_or(now, |since| since.after(BUSY_MAX))
    }

    /// When the next config may be read; `None` when none is wanted. While models come or go the
    /// server has enough to do.
    fn shape_due(&self) -> Option<Moment> {
        if !self.shapes_wanted.is_empty() {
            return Some(self.shape_due);
        }
        (!self.ready.is_empty() && self.busy_since.is_none()).then_some(self.look_due)
    }

    /// The model after the one that was last looked at again.
    fn next_to_look_at(&mut self) -> Option<ModelName> {
        let after = self.looked_at.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.ready.range((after, Bound::Unbounded)).next();
        self.looked_at = next.or_else(|| self.ready.first()).cloned();
        self.looked_at.clone()
    }

    /// Reads one config. Where it cannot be read the model goes without until it next comes up:
    /// rules that need it say so.
    async fn read_shape(&mut self, now: Moment) -> Option<ModelShape> {
        self.shape_due = now.after(SHAPE_INTERVAL);
        self.look_due = now.after(LOOK_INTERVAL);
        let model = self.shapes_wanted.pop_front().or_else(|| self.next_to_look_at())?;
        let shape = match self.endpoint.get(&model_path(&model, "config")).await {
            Ok(answer) if answer.status == 200 => {
                index::parse_shape(&self.server, &model, answer.body)
            }
            Ok(answer) => Err(format!("answered {} to the config of `{model}`", answer.status)),
            Err(outage) => {
                // Asked again once the model is next seen ready.
                self.ready.remove(&model);
                Err(format!("no config of `{model}`: {outage:?}"))
            }
        };
        shape.inspect_err(|words| tracing::debug!(server = %self.server, "{words}")).ok()
    }
}

/// `/v2/models/MODEL/WHAT`, with whatever a path cannot hold encoded.
fn model_path(model: &ModelName, what: &str) -> String {
    let mut path = String::from("/v2/models/");
    for byte in model.as_str().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(char::from(byte));
            }
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path.push('/');
    path.push_str(what);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configs_are_looked_at_again_one_after_the_other() {
        let address = crate::source::http::Address::parse("http://127.0.0.1:1").unwrap();
        let second = Duration::from_secs(1);
        let patience =
            crate::source::http::Patience { connect: second, answer: second, kept: second };
        let (_on_page, seen) = watch::channel(OnPage::new());
        let server = ServerName::new("s").unwrap();
        let mut repository = Repository::new(server, Endpoint::new(address, patience), seen);
        assert_eq!(repository.shape_due(), None);
        repository.ready = ["a", "b"].map(|name| ModelName::new(name).unwrap()).into();
        let mut next = || repository.next_to_look_at().unwrap().to_string();
        assert_eq!([next(), next(), next()], ["a", "b", "a"]);
        repository.busy_since = Some(Moment::default());
        assert_eq!(repository.shape_due(), None, "the server is busy");
    }

    #[test]
    fn names_are_encoded_in_paths() {
        let model = ModelName::new("a/../b c%é").unwrap();
        assert_eq!(model_path(&model, "ready"), "/v2/models/a%2F..%2Fb%20c%25%C3%A9/ready");
    }
}
