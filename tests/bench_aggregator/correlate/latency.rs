//! From the sending of an event that raises a finding to the incident on a watching client.
//!
//! Events that only renew numbers are not counted: those are shown once a second, as is intended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gpuwarden_proto::pb;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::Phase;
use serde_json::{Value, json};

use crate::Failure;
use crate::figures::{Scale, quantile_ms, round};
use crate::fleet::Fleet;
use crate::live::{Live, keep_time};
use crate::server::aggregator;
use crate::session::wall;
use crate::story::{Pace, Stories, Told};
use crate::watching::{Watching, watch};

/// The rate of which a figure is wanted, in events per second.
const RATE: f64 = 10_000.0;
/// Troubles that begin in a second, of some three findings each.
const EPISODES_PER_S: f64 = 300.0;
/// How long a finding lasts at least.
const SHORTEST: Duration = Duration::from_secs(2);
/// Until about as many end as begin.
const RUN_IN: Duration = Duration::from_secs(6);
/// A rate is held when all is acknowledged so soon after the last event.
const HELD_WITHIN: Duration = Duration::from_millis(500);
/// Rates tried after the first, each so many times the last.
const STEP: f64 = 1.5;
/// The wanted p99, in milliseconds.
const WANTED_MS: f64 = 50.0;
/// The words before the number of an event in its summary.
const MARK: &str = "#";

/// When each finding was raised and when its incident was shown. All events of a finding carry its
/// number, since newer ones replace what is shown of it.
#[derive(Debug, Default)]
struct Marks(Vec<(Instant, Option<Instant>)>);

type Shared = Arc<Mutex<Marks>>;

/// What one rate came to.
#[derive(Debug)]
struct Course {
    rate: f64,
    events: usize,
    batches: usize,
    shown: Vec<Duration>,
    missing: usize,
    acks: Vec<Duration>,
    /// From the last event to the last acknowledgement.
    late: Duration,
    /// By how much the sender itself was late.
    sender_late: Duration,
    dropped: usize,
}

impl Course {
    fn held(&self) -> bool {
        self.late <= HELD_WITHIN && self.sender_late <= HELD_WITHIN && self.missing == 0
    }

    fn report(&self) -> Value {
        json!({
            "sent_events_per_s": self.rate.round(),
            "events_count": self.events,
            "events_per_batch": round(self.events as f64 / self.batches.max(1) as f64),
            "event_to_incident_ms_p50": round(quantile_ms(&self.shown, 0.5)),
            "event_to_incident_ms_p99": round(quantile_ms(&self.shown, 0.99)),
            "raised_events_count": self.shown.len() + self.missing,
            "never_shown_count": self.missing,
            "ack_ms_p50": round(quantile_ms(&self.acks, 0.5)),
            "ack_ms_p99": round(quantile_ms(&self.acks, 0.99)),
            "watch_dropped_count": self.dropped,
            "held": self.held(),
        })
    }
}

pub(super) async fn run(scale: Scale) -> Result<Value, Failure> {
    let fleet = Fleet::new(scale.nodes());
    let folder = tempfile::tempdir()?;
    let topology = folder.path().join("topology.toml");
    std::fs::write(&topology, fleet.topology())?;
    let settings = format!(
        "[incidents]\nquiet_period = \"5s\"\n[topology]\nfile = \"{}\"\n",
        topology.display()
    );
    let (server, address) = aggregator(folder.path(), &settings)?;
    eprintln!("event to incident: {} nodes connect", fleet.nodes());
    let mut live = Live::connect(&fleet, address).await?;
    let marks = Shared::default();
    let seen = Arc::clone(&marks);
    let watching = watch(address, move |at, update| note(&seen, at, update)).await?;
    let (mut rate, mut first, mut best) = (scale.pick(RATE, RATE / 10.0), None, None);
    loop {
        let course = play(scale, &mut live, &marks, &watching, rate).await?;
        let held = course.held();
        rate *= STEP;
        first.get_or_insert_with(|| course.report());
        if held {
            best = Some(course.report());
        }
        if !held || rate > scale.pick(1e6, 4e3) {
            break;
        }
    }
    drop(server);
    Ok(json!({
        "at_wanted_rate": first,
        "event_to_incident_ms_p99_wanted_max": WANTED_MS,
        "at_highest_rate_held": best,
    }))
}

/// Members of an incident carry the numbers of the events that raised them.
fn note(marks: &Shared, at: Instant, update: &pb::WatchIncidentsResponse) {
    let mut marks = marks.lock().unwrap_or_else(PoisonError::into_inner);
    for member in update.incident.iter().flat_map(|incident| &incident.members) {
        let number = member.summary.strip_prefix(MARK).and_then(|text| text.split(' ').next());
        let number = number.and_then(|text| text.parse::<usize>().ok());
        if let Some((_, shown)) = number.and_then(|number| marks.0.get_mut(number)) {
            shown.get_or_insert(at);
        }
    }
}

async fn play(
    scale: Scale,
    live: &mut Live<'_>,
    marks: &Shared,
    watching: &Watching,
    rate: f64,
) -> Result<Course, Failure> {
    let share = live.fleet().nodes() as f64 / 10_000.0;
    let pace = Pace::of(rate, EPISODES_PER_S * share, SHORTEST);
    let lasting = RUN_IN + Duration::from_secs(scale.pick(10, 2));
    let dropped = watching.dropped();
    let mut stories = Stories::new(live.fleet(), pace, rate.to_bits());
    let (start, began) = (wall(), Instant::now());
    let (mut events, mut numbers, mut sender_late) = (0, Vec::new(), Duration::ZERO);
    let mut first = None;
    while let Some(told) = stories.next().filter(|told| told.after < lasting) {
        if told.after >= RUN_IN && first.is_none() {
            first = Some(marks.lock().unwrap_or_else(PoisonError::into_inner).0.len());
            live.take_acks();
        }
        keep_time(began, told.after).await;
        sender_late = sender_late.max(began.elapsed().saturating_sub(told.after));
        events += usize::from(first.is_some());
        say(live, marks, &mut numbers, &told, start);
    }
    let over = Instant::now();
    let acks = all_acks(live, events).await;
    let late = acks.iter().map(|acked| acked.at).max().map_or(Duration::MAX, |at| at - over);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (shown, missing) = shown_since(marks, first.unwrap_or_default());
    for told in stories.finish(began.elapsed()) {
        say(live, marks, &mut numbers, &told, start);
    }
    let (batches, acks) = (acks.len(), acks.iter().map(|acked| acked.took).collect());
    let rate = events as f64 / (lasting - RUN_IN).as_secs_f64();
    let dropped = watching.dropped() - dropped;
    let course = Course { rate, events, batches, shown, missing, acks, late, sender_late, dropped };
    tell(&course, live);
    // Long enough for what is over to resolve.
    tokio::time::sleep(Duration::from_secs(7)).await;
    Ok(course)
}

/// `numbers` has the mark of each finding of the story that was raised.
fn say(live: &Live<'_>, marks: &Shared, numbers: &mut Vec<usize>, told: &Told, start: Timestamp) {
    if told.phase == Phase::Raised {
        let mut marks = marks.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.resize(numbers.len().max(told.number + 1), 0);
        numbers[told.number] = marks.0.len();
        marks.0.push((Instant::now(), None));
    }
    // The story may end just as something is raised.
    let Some(number) = numbers.get(told.number) else { return };
    live.say(told, start, &format!("{MARK}{number}"));
}

/// Waits until as many events are acknowledged as were sent, or nothing more comes.
async fn all_acks(live: &Live<'_>, events: usize) -> Vec<crate::live::Acked> {
    let mut acks = Vec::new();
    for _ in 0..100 {
        acks.extend(live.take_acks());
        if acks.iter().map(|acked| acked.events).sum::<usize>() >= events {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    acks
}

fn shown_since(marks: &Shared, first: usize) -> (Vec<Duration>, usize) {
    let marks = marks.lock().unwrap_or_else(PoisonError::into_inner);
    let since = marks.0.get(first..).unwrap_or_default();
    let took = |(sent, at): &(Instant, Option<Instant>)| Some(at.as_ref()?.duration_since(*sent));
    let shown: Vec<Duration> = since.iter().filter_map(took).collect();
    let missing = since.len() - shown.len();
    (shown, missing)
}

fn tell(course: &Course, live: &mut Live<'_>) {
    eprintln!(
        "  {:.0} events/s: event to incident p50 {:.1} ms, p99 {:.1} ms, {} never shown; ack p99 \
         {:.1} ms; last ack {:.0} ms after the last event{}",
        course.rate,
        quantile_ms(&course.shown, 0.5),
        quantile_ms(&course.shown, 0.99),
        course.missing,
        quantile_ms(&course.acks, 0.99),
        course.late.as_secs_f64() * 1e3,
        if course.held() { "" } else { "; not held" },
    );
    if let (failed @ 1.., why) = live.failed() {
        eprintln!("  {failed} streams ended: {}", why.unwrap_or_default());
    }
}
