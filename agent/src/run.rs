//! The agent at work: all tasks and channels, made in the order in which data flows through them,
//! and ended in the same order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use gpuwarden_proto::event::{Body, Event};
use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::vocab::{ServerName, SourceName};
use tokio::io::AsyncRead;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::engine::{Effect, Engine};
use crate::outbox::{OutboxHandle, OutboxThread};
use crate::sample::{Input, SourceReport};
use crate::source::{host, kmsg, nvml, triton};
use crate::status::{self, Status, StatusBoard};
use crate::uplink::{Identity, Patience, Uplink, UplinkStatus};

/// Inputs on their way to the engine. A source that finds no room waits.
const INPUTS_MAX: usize = 256;
/// How often the engine is told that time has passed.
const TICK: Duration = Duration::from_millis(200);
/// How often the picture of the node is drawn anew when nothing was told.
const PICTURE: Duration = Duration::from_secs(1);
/// This version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where readings of GPUs come from.
pub enum Driver {
    /// The driver of this machine, read by `EXE probe`.
    Probe {
        /// A program with the subcommand `probe`.
        exe: PathBuf,
    },
    /// Lines as a probe writes them.
    Feed(Box<dyn AsyncRead + Send + Unpin>),
}

/// Runs an agent until `shutdown`, then says what is left to say.
///
/// # Errors
///
/// The operating system refuses a thread or the status port.
pub async fn run(
    config: Config,
    driver: Driver,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let clock = Clock::start();
    let (thread, outbox) = OutboxThread::start(&config.state_dir, &config.outbox, clock)
        .context("starting the outbox's thread")?;
    let (inputs, received) = mpsc::channel(INPUTS_MAX);
    let mut sources = Sources::default();
    sources.start(&config, driver, clock, &inputs, &shutdown);
    drop(inputs);

    let (pictures, snapshots) = watch::channel(Arc::new(Snapshot::empty(clock.now().wall)));
    let stop_uplink = CancellationToken::new();
    let (uplink, uplink_status) = start_uplink(&config, &outbox, snapshots, clock, &stop_uplink);
    let status = Status::begun(config.node.clone(), clock.now());
    let (board, view) = StatusBoard::new(status.clone());
    let listener = TcpListener::bind(config.status_listen)
        .await
        .with_context(|| format!("listening on {} for status.listen", config.status_listen))?;
    let now = move || clock.now().moment;
    let server = tokio::spawn(status::serve(listener, view, now, shutdown.clone()));

    let servers: Vec<ServerName> = config.triton.iter().map(|one| one.name.clone()).collect();
    let watchman = Watchman {
        engine: Engine::new(config.thresholds.clone(), &servers).labelled(config.labels.clone()),
        clock,
        looks: std::mem::take(&mut sources.looks),
        server_pids: sources.server_pids.clone(),
        outbox: outbox.clone(),
        pictures,
        board,
        status,
        uplink_status,
        changed: true,
    };
    watchman.work(received, sources, shutdown).await;

    // What was said last must be in the outbox before the uplink is told to finish.
    let _ = outbox.settle().await;
    stop_uplink.cancel();
    let _ = tokio::join!(uplink, server);
    drop(outbox);
    tokio::task::spawn_blocking(move || thread.close()).await.context("closing the outbox")
}

fn start_uplink(
    config: &Config,
    outbox: &OutboxHandle,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    clock: Clock,
    stop: &CancellationToken,
) -> (tokio::task::JoinHandle<()>, watch::Receiver<UplinkStatus>) {
    let initial = Uplink::initial_status(&config.uplink, clock.now().wall);
    let (status, seen) = watch::channel(initial);
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let uplink = Uplink {
        config: config.uplink.clone(),
        identity: Identity {
            node: config.node.clone(),
            agent_version: VERSION.to_owned(),
            boot_id: boot_id.trim().to_owned(),
        },
        outbox: outbox.clone(),
        snapshots,
        clock,
        seed: clock.now().wall.unix_ns() ^ u64::from(std::process::id()),
        patience: Patience::default(),
    };
    (tokio::spawn(uplink.run(status, stop.clone())), seen)
}

/// The tasks that read the world.
#[derive(Default)]
struct Sources {
    tasks: JoinSet<()>,
    names: BTreeMap<Id, SourceName>,
    looks: BTreeMap<ServerName, Arc<Notify>>,
    /// Processes of the servers, whose CPU quota the host's source watches.
    server_pids: watch::Sender<Vec<u32>>,
}

impl Sources {
    fn start(
        &mut self,
        config: &Config,
        driver: Driver,
        clock: Clock,
        inputs: &mpsc::Sender<Input>,
        shutdown: &CancellationToken,
    ) {
        let (out, stop) = (inputs.clone(), shutdown.clone());
        let settings = config.nvml.clone();
        self.spawn("nvml", async move {
            match driver {
                Driver::Probe { exe } => nvml::watch(settings, exe, out, stop).await,
                Driver::Feed(reader) => {
                    nvml::read_probe(reader, settings.silence, out, stop).await;
                }
            }
        });
        for server in &config.triton {
            let look = Arc::new(Notify::new());
            self.looks.insert(server.name.clone(), Arc::clone(&look));
            let now = move || clock.now().moment;
            let task = triton::watch(server.clone(), now, inputs.clone(), look, shutdown.clone());
            self.spawn(&format!("triton/{}", server.name), task);
        }
        self.spawn("kmsg", kmsg::watch(config.kmsg.clone(), inputs.clone(), shutdown.clone()));
        let pids = self.server_pids.subscribe();
        let task = host::watch(host::Roots::default(), pids, inputs.clone(), shutdown.clone());
        self.spawn("host", task);
    }

    fn spawn(&mut self, name: &str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.names.extend(SourceName::new(name).ok().map(|name| (id, name)));
    }

    /// Waits for a source that has failed by a bug of ours, and says so in its name.
    async fn failed(&mut self) -> Input {
        loop {
            match self.tasks.join_next_with_id().await {
                Some(Err(error)) if error.is_panic() => {
                    if let Some(name) = self.names.get(&error.id()) {
                        let reason = "stopped by a bug of ours; restart the agent".to_owned();
                        return Input::Source(name.clone(), SourceReport::Failing(reason));
                    }
                }
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}

/// What wakes the watchman.
enum Wake {
    Input(Input),
    Tick,
    Picture,
    Shutdown,
}

/// The task that owns the engine.
struct Watchman {
    engine: Engine,
    clock: Clock,
    looks: BTreeMap<ServerName, Arc<Notify>>,
    server_pids: watch::Sender<Vec<u32>>,
    outbox: OutboxHandle,
    pictures: watch::Sender<Arc<Snapshot>>,
    board: StatusBoard,
    status: Status,
    uplink_status: watch::Receiver<UplinkStatus>,
    /// Something was told since the last picture.
    changed: bool,
}

impl Watchman {
    async fn work(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        mut sources: Sources,
        shutdown: CancellationToken,
    ) {
        let (mut tick, mut picture) = (every(TICK), every(PICTURE));
        self.tell(vec![self.engine.started(self.clock.now(), VERSION)]);
        loop {
            let wake = tokio::select! {
                biased;
                () = shutdown.cancelled() => Wake::Shutdown,
                Some(input) = inputs.recv() => Wake::Input(input),
                input = sources.failed() => Wake::Input(input),
                _ = tick.tick() => Wake::Tick,
                _ = picture.tick() => Wake::Picture,
            };
            match wake {
                Wake::Input(input) => self.take(input),
                Wake::Tick => self.take(Input::Tick),
                Wake::Picture => self.changed = true,
                Wake::Shutdown => break,
            }
            if std::mem::take(&mut self.changed) {
                self.draw();
            }
        }
        self.tell(vec![self.engine.stopped(self.clock.now())]);
    }

    fn take(&mut self, input: Input) {
        let began = self.clock.now();
        let effects = self.engine.apply(began, input);
        self.measure(self.clock.now().moment.since(began.moment));
        let mut events = Vec::new();
        for effect in effects {
            match effect {
                Effect::Emit(event) => events.push(event),
                Effect::LookAgain(server) => {
                    if let Some(look) = self.looks.get(&server) {
                        look.notify_one();
                    }
                }
            }
        }
        if !events.is_empty() {
            self.tell(events);
        }
    }

    /// How long the rules took, which only the owner of the clock can know.
    fn measure(&mut self, took: Duration) {
        let counters = &mut self.status.counters;
        counters.rule_rounds += 1;
        counters.rule_s_total += took.as_secs_f64();
        counters.rule_s_max = counters.rule_s_max.max(took.as_secs_f64());
    }

    fn tell(&mut self, events: Vec<Event>) {
        for event in &events {
            log(event);
        }
        self.outbox.append(events);
        self.changed = true;
    }

    /// Shows what is true now, to the aggregator and to those who ask here.
    fn draw(&mut self) {
        let now = self.clock.now();
        let snapshot = Arc::new(self.engine.snapshot(now));
        let status = &mut self.status;
        status.at = now.wall;
        status.moment = now.moment;
        status.snapshot = Snapshot::clone(&snapshot);
        let (rounds, total, max) =
            (status.counters.rule_rounds, status.counters.rule_s_total, status.counters.rule_s_max);
        status.counters = self.engine.counters().clone();
        status.counters.rule_rounds = rounds;
        status.counters.rule_s_total = total;
        status.counters.rule_s_max = max;
        status.outbox = (&*self.outbox.status().borrow()).into();
        status.uplink = (&*self.uplink_status.borrow()).into();
        self.board.publish(status.clone());
        self.pictures.send_replace(snapshot);
        let pids = self.engine.server_pids();
        self.server_pids.send_if_modified(|known| {
            let changed = *known != pids;
            *known = pids;
            changed
        });
    }
}

fn log(event: &Event) {
    match &event.body {
        Body::Finding(finding) => tracing::info!(
            rule = %finding.rule, subject = %finding.subject, phase = %finding.phase,
            "{}", finding.summary
        ),
        Body::Change(change) => {
            tracing::info!(change = %change.kind, subject = %change.subject, "{}", change.summary);
        }
        Body::Gap(gap) => tracing::warn!(count = gap.count, "events lost: {}", gap.reason),
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}
