//! What somebody who watches sees of a storm: which incidents there are, of what, and since when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use gpuwarden_proto::pb;
use serde_json::{Value, json};

use super::plan::Plan;
use crate::figures::{ms, round};
use crate::fleet::Fleet;

/// An open incident as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// Members from the rack's cause.
    caused: u64,
    /// Members that are troubles of other racks.
    noise: u64,
    kind: String,
    severity: String,
    /// The likeliest cause.
    root: String,
    title: String,
}

/// Incidents from the rack's cause that are listed, the largest first.
const LISTED_MAX: usize = 12;

/// What says that the rack's incident is as it will be: which there are, and what the largest is
/// called.
type Form = (BTreeSet<u64>, Option<(u64, String, String, String)>);

/// All that was seen.
#[derive(Debug)]
pub(super) struct Shape {
    began: Instant,
    noisy: BTreeSet<String>,
    rack: BTreeSet<String>,
    open: BTreeMap<u64, Seen>,
    opened: u64,
    lost_elsewhere: BTreeSet<String>,
    form: Form,
    first: Option<Duration>,
    first_page: Option<Duration>,
    last: Option<Duration>,
}

impl Shape {
    pub(super) fn new(fleet: &Fleet, plan: &Plan, began: Instant) -> Self {
        let names = |nodes: &BTreeSet<usize>| -> BTreeSet<String> {
            nodes.iter().map(|node| fleet.ids[*node].to_string()).collect()
        };
        Self {
            began,
            noisy: names(&plan.noisy),
            rack: names(&plan.rack),
            open: BTreeMap::new(),
            opened: 0,
            lost_elsewhere: BTreeSet::new(),
            form: Form::default(),
            first: None,
            first_page: None,
            last: None,
        }
    }

    /// Takes up one update.
    pub(super) fn note(&mut self, at: Instant, update: &pb::WatchIncidentsResponse) {
        let Some(incident) = &update.incident else { return };
        let after = at - self.began;
        self.opened += u64::from(update.change == "opened");
        let seen = self.seen(incident);
        let caused = seen.caused > 0;
        if incident.resolved_unix_ns == 0 {
            if caused {
                self.first.get_or_insert(after);
                if ["P1", "P2"].contains(&seen.severity.as_str()) {
                    self.first_page.get_or_insert(after);
                }
            }
            self.open.insert(incident.id, seen);
        } else {
            self.open.remove(&incident.id);
        }
        let form = self.form();
        if caused && form != self.form {
            self.form = form;
            self.last = Some(after);
        }
    }

    fn seen(&mut self, incident: &pb::Incident) -> Seen {
        let (mut caused, mut noise) = (incident.members_dropped, 0);
        for member in &incident.members {
            let own = self.noisy.contains(&member.node);
            noise += u64::from(own);
            caused += u64::from(!own);
            if member.rule == "node-lost" && !self.rack.contains(&member.node) {
                self.lost_elsewhere.insert(member.node.clone());
            }
        }
        let root = incident.roots.first().and_then(|root| root.entity.as_ref());
        Seen {
            caused,
            noise,
            kind: incident.r#type.clone(),
            severity: incident.severity.clone(),
            root: root.map_or_else(String::new, |root| format!("{} {}", root.kind, root.name)),
            title: incident.title.clone(),
        }
    }

    fn caused(&self) -> impl Iterator<Item = (&u64, &Seen)> {
        self.open.iter().filter(|(_, seen)| seen.caused > 0)
    }

    fn form(&self) -> Form {
        let ids = self.caused().map(|(id, _)| *id).collect();
        let largest = self.caused().max_by_key(|(_, seen)| seen.caused);
        let named = |(id, seen): (&u64, &Seen)| {
            (*id, seen.kind.clone(), seen.severity.clone(), seen.root.clone())
        };
        (ids, largest.map(named))
    }

    /// What it came to.
    pub(super) fn report(&self, plan: &Plan) -> Value {
        let from_cause = self.caused().count();
        let noise = self.open.len() - from_cause;
        let mixed = self.caused().filter(|(_, seen)| seen.noise > 0).count();
        let time = |after: Option<Duration>| after.map(|after| round(ms(after)));
        let largest = self.caused().max_by_key(|(_, seen)| seen.caused);
        eprintln!(
            "  {} incidents open of {} opened: {from_cause} from the rack's cause (wanted 1, {mixed} \
             of them with troubles of others), {noise} of {} other troubles",
            self.open.len(),
            self.opened,
            plan.noisy.len(),
        );
        let mut of_cause: Vec<(&u64, &Seen)> = self.caused().collect();
        of_cause.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.caused));
        for (id, seen) in of_cause.into_iter().take(LISTED_MAX) {
            eprintln!(
                "  from the cause: {id}: {} {}, {}, likely cause {}, {} members",
                seen.severity, seen.kind, seen.title, seen.root, seen.caused
            );
        }
        eprintln!(
            "  first incident after {:?} ms, first P1 or P2 after {:?} ms, final shape after {:?} ms",
            time(self.first),
            time(self.first_page),
            time(self.last)
        );
        json!({
            "bench": "storm",
            "node_loss": "missed heartbeats, streams left open",
            "incidents_open_count": self.open.len(),
            "incidents_opened_count": self.opened,
            "incidents_from_cause_count": from_cause,
            "incidents_from_cause_count_wanted": 1,
            "incidents_mixed_count": mixed,
            "incidents_mixed_count_wanted": 0,
            "incidents_of_noise_count": noise,
            "troubles_of_noise_count": plan.noisy.len(),
            "findings_from_cause_count": plan.caused,
            "members_of_largest_count": largest.map(|(_, seen)| seen.caused),
            "severity_of_largest": largest.map(|(_, seen)| &seen.severity),
            "likely_cause_of_largest": largest.map(|(_, seen)| &seen.root),
            "nodes_called_lost_wrongly_count": self.lost_elsewhere.len(),
            "first_incident_ms": time(self.first),
            "first_page_ms": time(self.first_page),
            "final_shape_ms": time(self.last),
        })
    }
}
