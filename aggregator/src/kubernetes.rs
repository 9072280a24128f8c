//! Rollouts of Kubernetes as changes: Deployments, StatefulSets and DaemonSets are listed and watched,
//! and a changed pod template is a change of the service that the workload serves.
//!
//! ```text
//! client ─► list, then watch ─► rollout (pure) ─► told ─► the ledger
//!              ▲       │
//!              └───────┘  the stream ends: watch on; 410 Gone: list again; else wait, list again
//! ```
//!
//! - [`workload`]: what is read of an object; pure
//! - [`rollout`]: from objects to changes; pure
//! - [`feed`]: the lines of a watch; pure
//! - [`client`]: the only I/O

pub mod client;
pub mod feed;
pub mod rollout;
pub mod workload;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gpuwarden_proto::change::Told;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::client::{Api, Broken};
use self::feed::Event;
use self::rollout::Rollouts;
use self::workload::Kind;
use crate::clock::Clock;
use crate::query::Desk;

/// The word that stands for the API server of the cluster that we run in.
pub const IN_CLUSTER: &str = "in-cluster";
/// Where a pod finds its own account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Namespaces that may be named; each costs three connections.
pub const NAMESPACES_MAX: usize = 32;
/// Lists of changes between the watches and the ledger.
const TOLD_MAX: usize = 64;
/// How long is waited before telling again what did not reach the disk.
const TELL_AGAIN: Duration = Duration::from_secs(1);
/// A watch that lasted so long ended in its own time.
const WATCH_LASTS: Duration = Duration::from_secs(30);
/// Waits after a failure: the first, and the longest; each is twice the one before.
const PACE: Pace = Pace { first: Duration::from_secs(1), most: Duration::from_secs(60) };

/// What to watch, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The API server, `https://…`, or [`IN_CLUSTER`]; `http://` only on this machine.
    pub api: String,
    /// The file with the token; read anew for each request, since tokens are replaced.
    pub token_file: Option<PathBuf>,
    /// The file with the certificates that the server's is signed by.
    pub ca_file: Option<PathBuf>,
    /// Only these; empty means all.
    pub namespaces: Vec<String>,
    /// The label that names the service; without it the workload's name does.
    pub label: String,
}

/// How long is waited after failures.
#[derive(Debug, Clone, Copy)]
struct Pace {
    first: Duration,
    most: Duration,
}

impl Settings {
    /// With what a pod finds in its cluster, where that is asked for.
    ///
    /// # Errors
    ///
    /// This is no pod, in words.
    pub fn resolved(self, host: Option<&str>, port: Option<&str>) -> Result<Self, String> {
        if self.api != IN_CLUSTER {
            return Ok(self);
        }
        let (Some(host), Some(port)) = (host, port) else {
            return Err(format!(
                "kubernetes.api is {IN_CLUSTER}, but KUBERNETES_SERVICE_HOST and _PORT are not set: \
                 give the address of the API server"
            ));
        };
        let host = match host.parse() {
            Ok(IpAddr::V6(_)) => format!("[{host}]"),
            _ => host.to_owned(),
        };
        let own = |file| Some(Path::new(ACCOUNT).join(file));
        Ok(Self {
            api: format!("https://{host}:{port}"),
            token_file: self.token_file.or_else(|| own("token")),
            ca_file: self.ca_file.or_else(|| own("ca.crt")),
            ..self
        })
    }
}

/// Watches until it is told to stop, and records what it sees. What cannot be watched is told in the
/// log, again and again; the aggregator goes on without it.
pub async fn run(settings: Settings, desk: Desk, clock: Clock, stop: CancellationToken) {
    let var = |name| std::env::var(name).ok();
    let (host, port) = (var("KUBERNETES_SERVICE_HOST"), var("KUBERNETES_SERVICE_PORT"));
    let resolved = settings.resolved(host.as_deref(), port.as_deref());
    let api = resolved.and_then(|settings| Ok((Api::new(&settings)?, settings)));
    let (api, settings) = match api {
        Ok(ready) => ready,
        Err(error) => return tracing::error!(error, "rollouts are not watched"),
    };
    let (told, heard) = mpsc::channel(TOLD_MAX);
    let watching = watch(api, settings, clock, told, PACE);
    let both = async { tokio::join!(watching, record(desk, heard)) };
    tokio::select! {
        () = stop.cancelled() => {}
        _ = both => {}
    }
}

/// Records what is told, and tells it again until it is on disk.
async fn record(desk: Desk, mut heard: mpsc::Receiver<Vec<Told>>) {
    while let Some(changes) = heard.recv().await {
        while let Err(error) = desk.record(changes.clone()).await {
            tracing::warn!(%error, "rollouts are not recorded yet");
            tokio::time::sleep(TELL_AGAIN).await;
        }
    }
}

async fn watch(
    api: Api,
    settings: Settings,
    clock: Clock,
    told: mpsc::Sender<Vec<Told>>,
    pace: Pace,
) {
    let scopes: Vec<Option<String>> = match settings.namespaces.as_slice() {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    };
    let each = |kind: Kind, namespace: Option<&String>| {
        let path = kind.path(namespace.map(String::as_str));
        let rollouts = Rollouts::new(kind, settings.label.clone());
        Follower { api: api.clone(), path, rollouts, clock: clock.clone(), told: told.clone() }
    };
    let followers = scopes
        .iter()
        .flat_map(|scope| Kind::ALL.map(|kind| each(kind, scope.as_ref())))
        .map(|follower| follower.run(pace));
    futures_util::future::join_all(followers).await;
}

/// Follows one kind of workload in one namespace or in all.
struct Follower {
    api: Api,
    path: String,
    rollouts: Rollouts,
    clock: Clock,
    told: mpsc::Sender<Vec<Told>>,
}

impl Follower {
    async fn run(mut self, pace: Pace) {
        let mut wait = pace.first;
        // Where the watch goes on; nothing while the list must be read first.
        let mut from: Option<String> = None;
        while !self.told.is_closed() {
            let before = from.clone();
            match self.step(&mut from).await {
                Ok(()) => wait = pace.first,
                Err(Broken::Gone) => {
                    tracing::info!(path = self.path, "the watch is too old: listing again");
                    from = None;
                }
                Err(error) => {
                    tracing::warn!(path = self.path, %error, "rollouts cannot be watched");
                    // What was heard meanwhile was heard: who got further need not wait long.
                    wait = if from == before { wait } else { pace.first };
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(pace.most);
                }
            }
        }
    }

    /// Reads the list, or follows the watch to its end.
    async fn step(&mut self, from: &mut Option<String>) -> Result<(), Broken> {
        let Some(version) = from.clone() else {
            let list = self.api.list(&self.path).await?;
            let now = self.clock.now();
            let changes = self.rollouts.list(list.workloads, now);
            self.tell(changes).await;
            *from = Some(list.version);
            return Ok(());
        };
        let mut lines = self.api.watch(&self.path, &version).await?;
        let (mut heard, begun) = (false, self.clock.now());
        while let Some(line) = lines.next().await? {
            let event = feed::event(&line).map_err(Broken::Garbled)?;
            let version = match event {
                Event::Seen(workload, version) => {
                    let changes = self.rollouts.see(*workload, self.clock.now());
                    self.tell(changes.into_iter().collect()).await;
                    version
                }
                Event::Deleted(workload, version) => {
                    self.rollouts.forget(&workload);
                    version
                }
                Event::Bookmark(version) => version,
                Event::Gone => return Err(Broken::Gone),
                Event::Failed(fault) => {
                    // Where a watch cannot go on, a list can.
                    *from = None;
                    return Err(Broken::Refused(fault));
                }
            };
            *from = Some(version);
            heard = true;
        }
        // A server that ends each watch at once is not asked again at once.
        let lasted = self.clock.now().since(begun) >= WATCH_LASTS;
        if heard || lasted { Ok(()) } else { Err(Broken::Ended) }
    }

    async fn tell(&self, changes: Vec<Told>) {
        if !changes.is_empty() {
            // Who listened may have gone, which ends this, too.
            drop(self.told.send(changes).await);
        }
    }
}

#[cfg(test)]
mod tests;
