//! From workloads as they are seen to rollouts as changes. Pure.
//!
//! What is seen for the first time is no change, unless it is on its way: then it is told, and its key
//! makes that harmless where it was told before a restart.

use std::collections::HashMap;

use gpuwarden_proto::change::{ChangeKind, ChangeOrigin, Told};
use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::time::Timestamp;

use super::workload::{Kind, Workload};

/// Workloads that are remembered; more are passed over.
const WORKLOADS_MAX: usize = 50_000;

/// The workloads of one kind as they were seen last.
#[derive(Debug)]
pub struct Rollouts {
    kind: Kind,
    label: String,
    known: HashMap<(String, String), Known>,
}

/// A workload, and its rollout while that goes on.
#[derive(Debug)]
struct Known {
    workload: Workload,
    open: Option<Told>,
}

impl Rollouts {
    /// Nothing has been seen. `label` names the service of a workload.
    #[must_use]
    pub fn new(kind: Kind, label: String) -> Self {
        Self { kind, label, known: HashMap::new() }
    }

    /// Takes up a list of all that there is.
    pub fn list(&mut self, workloads: Vec<Workload>, now: Timestamp) -> Vec<Told> {
        let there: std::collections::HashSet<_> = workloads.iter().map(key).collect();
        self.known.retain(|known, _| there.contains(known));
        workloads.into_iter().filter_map(|workload| self.see(workload, now)).collect()
    }

    /// Takes up one as it is now: a rollout that began or ended, if one has.
    pub fn see(&mut self, workload: Workload, now: Timestamp) -> Option<Told> {
        let before = self.known.remove(&key(&workload));
        let same = before.filter(|known| known.workload.uid == workload.uid);
        let (told, open) = match same {
            Some(known) if known.workload.template != workload.template => {
                let begun = self.begun(&workload, Some(&known.workload), now);
                (Some(begun.clone()), Some(begun))
            }
            Some(known) => (None, known.open),
            None if workload.done => (None, None),
            None => {
                let begun = self.begun(&workload, None, now);
                (Some(begun.clone()), Some(begun))
            }
        };
        // What began and ended between two looks is told as one.
        let (told, open) = match open {
            Some(open) if workload.done => (Some(Told { finished_at: Some(now), ..open }), None),
            open => (told, open),
        };
        if self.known.len() < WORKLOADS_MAX {
            self.known.insert(key(&workload), Known { workload, open });
        }
        told
    }

    /// It is there no more.
    pub fn forget(&mut self, workload: &Workload) {
        self.known.remove(&key(workload));
    }

    fn begun(&self, workload: &Workload, before: Option<&Workload>, now: Timestamp) -> Told {
        let Workload { namespace, name, uid, generation, .. } = workload;
        let service = workload.labels.get(&self.label).filter(|label| !label.is_empty());
        let images = |workload: &Workload| workload.images.join(", ");
        let (old, new) = (before.map_or(String::new(), images), images(workload));
        let what = match before {
            None => format!("runs {new}, on its way when it was first seen"),
            Some(_) if old == new => "has another pod template with the same images".to_owned(),
            Some(_) => format!("goes from {old} to {new}"),
        };
        let fresh = before.is_none_or(|before| before.cause != workload.cause);
        let cause = match workload.cause.as_str() {
            "" => String::new(),
            cause if fresh => format!(" ({cause})"),
            _ => String::new(),
        };
        let summary = format!("{} {namespace}/{name} {what}{cause}", self.kind.as_str());
        Told {
            key: Some(format!("kubernetes/{namespace}/{name}/{uid}/{generation}")),
            about: vec![Entity::fleet(EntityKind::Service, service.unwrap_or(name))],
            started_at: Some(now),
            before: old,
            after: new,
            ..Told::new(ChangeKind::Rollout, ChangeOrigin::Kubernetes, &summary)
        }
    }
}

fn key(workload: &Workload) -> (String, String) {
    (workload.namespace.clone(), workload.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    fn rollouts() -> Rollouts {
        Rollouts::new(Kind::Deployment, "gpuwarden.io/service".to_owned())
    }

    /// Template and image of that number, done or not.
    fn seen(number: u64, done: bool) -> Workload {
        let label = ("gpuwarden.io/service".to_owned(), "search".to_owned());
        Workload {
            uid: "u1".to_owned(),
            namespace: "prod".to_owned(),
            name: "triton-search".to_owned(),
            labels: [label].into(),
            cause: String::new(),
            generation: number,
            template: number,
            images: vec![format!("triton:{number}")],
            done,
        }
    }

    fn told(told: Option<Told>) -> String {
        let Some(told) = told else { return "-".to_owned() };
        let Told { key, about, summary, started_at, finished_at, .. } = told;
        let after = |at: Timestamp| at.since(crate::testing::START).as_secs();
        let (from, to) = (started_at.map(after), finished_at.map(after));
        format!("{} {}: {summary} {from:?} {to:?}", key.unwrap(), about[0])
    }

    #[test]
    fn a_changed_template_is_a_rollout_that_ends_when_the_status_says_so() {
        let mut rollouts = rollouts();
        let lines = [
            told(rollouts.see(seen(1, true), at(0))),
            told(rollouts.see(seen(2, false), at(10))),
            told(rollouts.see(seen(2, false), at(20))),
            told(rollouts.see(seen(2, true), at(30))),
            told(rollouts.see(seen(2, true), at(40))),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        -
        kubernetes/prod/triton-search/u1/2 service search: deployment prod/triton-search goes from triton:1 to triton:2 Some(10) None
        -
        kubernetes/prod/triton-search/u1/2 service search: deployment prod/triton-search goes from triton:1 to triton:2 Some(10) Some(30)
        -
        ");
    }

    #[test]
    fn what_is_on_its_way_when_it_is_first_seen_is_told_and_what_is_not_is_no_change() {
        assert_eq!(rollouts().see(seen(1, true), at(0)), None);
        insta::assert_snapshot!(told(rollouts().see(seen(1, false), at(0))), @"kubernetes/prod/triton-search/u1/1 service search: deployment prod/triton-search runs triton:1, on its way when it was first seen Some(0) None");
    }

    #[test]
    fn a_scale_is_no_rollout_and_a_roll_back_is_one_of_its_own() {
        let mut rollouts = rollouts();
        rollouts.see(seen(1, true), at(0));
        let scaled = Workload { generation: 2, done: false, ..seen(1, true) };
        assert_eq!(rollouts.see(scaled, at(10)), None);
        let one = rollouts.see(Workload { generation: 3, ..seen(2, true) }, at(20)).unwrap();
        let back = rollouts.see(Workload { generation: 4, ..seen(1, true) }, at(30)).unwrap();
        assert_ne!(one.key, back.key);
        assert_eq!((back.before.as_str(), back.after.as_str()), ("triton:2", "triton:1"));
        assert_eq!(back.finished_at, Some(at(30)), "it ended between two looks");
    }

    #[test]
    fn a_list_after_a_gap_tells_what_changed_meanwhile_and_forgets_what_is_gone() {
        let mut rollouts = rollouts();
        let other = Workload { name: "other".to_owned(), ..seen(1, true) };
        rollouts.list(vec![seen(1, true), other.clone()], at(0));
        assert_eq!(rollouts.list(vec![seen(2, true)], at(60)).len(), 1);
        assert_eq!(rollouts.known.len(), 1);
        let anew = Workload { uid: "u2".to_owned(), ..seen(3, true) };
        assert_eq!(rollouts.see(anew, at(70)), None, "one of the same name is another");
    }

    #[test]
    fn without_the_label_the_name_is_the_service_and_a_cause_is_told_once() {
        let mut rollouts = rollouts();
        let plain = |number, cause: &str| Workload {
            labels: std::collections::BTreeMap::new(),
            cause: cause.to_owned(),
            ..seen(number, true)
        };
        rollouts.see(plain(1, ""), at(0));
        let first = rollouts.see(plain(2, "new weights"), at(10)).unwrap();
        assert_eq!(first.about[0].to_string(), "service triton-search");
        assert!(first.summary.ends_with("(new weights)"), "{}", first.summary);
        let second = rollouts.see(plain(3, "new weights"), at(20)).unwrap();
        assert!(!second.summary.contains("weights"), "{}", second.summary);
    }
}
