//! What is read of a Deployment, a StatefulSet or a DaemonSet. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::outside::fingerprint::digest;

/// Containers of one pod that are named.
const IMAGES_MAX: usize = 8;

/// What runs pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet];

    /// The path of the list, of one namespace or of all.
    #[must_use]
    pub fn path(self, namespace: Option<&str>) -> String {
        let within = namespace.map_or(String::new(), |name| format!("namespaces/{name}/"));
        format!("/apis/apps/v1/{within}{}s", self.as_str())
    }

    /// The word in summaries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
        }
    }
}

/// One workload, as far as rollouts go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workload {
    /// What tells it from one of the same name before it.
    pub uid: String,
    /// Where.
    pub namespace: String,
    /// How it is called.
    pub name: String,
    /// Its labels, and those of its pods where it has none of that name.
    pub labels: BTreeMap<String, String>,
    /// Why it was changed last, where somebody has written that down.
    pub cause: String,
    /// Grows with each change of what is wanted.
    pub generation: u64,
    /// A number for the pod template: another template has another.
    pub template: u64,
    /// The images of its containers.
    pub images: Vec<String>,
    /// What is wanted runs, and nothing else does.
    pub done: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    metadata: Meta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    uid: String,
    namespace: String,
    name: String,
    resource_version: String,
    generation: u64,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    replicas: Option<u64>,
    template: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: u64,
    replicas: u64,
    updated_replicas: u64,
    available_replicas: u64,
    ready_replicas: u64,
    current_revision: String,
    update_revision: String,
    desired_number_scheduled: u64,
    updated_number_scheduled: u64,
    number_available: u64,
}

impl Workload {
    /// Reads an object of the API, and its resource version.
    ///
    /// # Errors
    ///
    /// It is none, in words.
    pub fn read(value: Value) -> Result<(Self, String), String> {
        let object: Object = serde_json::from_value(value).map_err(|error| error.to_string())?;
        let Object { metadata, spec, status } = object;
        if metadata.name.is_empty() || metadata.uid.is_empty() {
            return Err("an object without a name or a uid".to_owned());
        }
        let done = status.done(&spec, metadata.generation);
        let mut labels = metadata.labels;
        for (name, value) in texts(&spec.template, "/metadata/labels") {
            labels.entry(name).or_insert(value);
        }
        let mut annotations = metadata.annotations;
        let workload = Self {
            uid: metadata.uid,
            namespace: metadata.namespace,
            name: metadata.name,
            labels,
            cause: annotations.remove("kubernetes.io/change-cause").unwrap_or_default(),
            generation: metadata.generation,
            template: digest([spec.template.to_string().as_str()]),
            images: images(&spec.template),
            done,
        };
        Ok((workload, metadata.resource_version))
    }
}

impl Status {
    /// Whether what is wanted runs. A field that a kind does not have is 0 in it, or empty.
    fn done(&self, spec: &Spec, generation: u64) -> bool {
        if self.observed_generation < generation {
            return false;
        }
        let Some(replicas) = spec.replicas else {
            return self.updated_number_scheduled >= self.desired_number_scheduled
                && self.number_available >= self.desired_number_scheduled;
        };
        let up = self.available_replicas.max(self.ready_replicas);
        let one_revision =
            self.update_revision.is_empty() || self.update_revision == self.current_revision;
        self.updated_replicas >= replicas
            && self.replicas <= self.updated_replicas
            && up >= replicas
            && one_revision
    }
}

fn images(template: &Value) -> Vec<String> {
    let containers = template.pointer("/spec/containers").and_then(Value::as_array);
    let image =
        |container: &Value| container.get("image").and_then(Value::as_str).map(str::to_owned);
    containers.into_iter().flatten().filter_map(image).take(IMAGES_MAX).collect()
}

fn texts(value: &Value, pointer: &str) -> Vec<(String, String)> {
    let map = value.pointer(pointer).and_then(Value::as_object);
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    map.into_iter().flatten().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_is_done_when_all_replicas_are_of_the_new_template_and_serve() {
        let done = |observed: u64, status: [u64; 3]| {
            let [replicas, updated, available] = status;
            let object = json!({
                "metadata": { "uid": "u", "name": "d", "generation": 2 },
                "spec": { "replicas": 3, "template": {} },
                "status": { "observedGeneration": observed, "replicas": replicas,
                    "updatedReplicas": updated, "availableReplicas": available },
            });
            Workload::read(object).unwrap().0.done
        };
        assert!(done(2, [3, 3, 3]));
        assert!(!done(1, [3, 3, 3]), "the controller has not seen it yet");
        assert!(!done(2, [4, 3, 3]), "an old one is left");
        assert!(!done(2, [3, 2, 3]));
        assert!(!done(2, [3, 3, 2]));
    }

    #[test]
    fn a_stateful_set_ends_with_one_revision_and_a_daemon_set_on_all_nodes() {
        let read = |spec: Value, status: Value| {
            let metadata = json!({ "uid": "u", "name": "s", "generation": 1 });
            let object = json!({ "metadata": metadata, "spec": spec, "status": status });
            Workload::read(object).unwrap().0.done
        };
        let set = |current: &str| {
            json!({ "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2,
                "readyReplicas": 2, "currentRevision": current, "updateRevision": "s-2" })
        };
        assert!(read(json!({ "replicas": 2 }), set("s-2")));
        assert!(!read(json!({ "replicas": 2 }), set("s-1")));
        let daemons = |updated: u64| {
            json!({ "observedGeneration": 1, "desiredNumberScheduled": 4,
                "updatedNumberScheduled": updated, "numberAvailable": 4 })
        };
        assert!(read(json!({}), daemons(4)));
        assert!(!read(json!({}), daemons(3)));
    }

    #[test]
    fn labels_of_the_pods_stand_in_for_its_own() {
        let object = json!({
            "metadata": { "uid": "u", "name": "d", "labels": { "a": "own" } },
            "spec": { "template": { "metadata": { "labels": { "a": "pod", "b": "pod" } },
                "spec": { "containers": [{ "image": "triton:1" }, { "name": "x" }] } } },
        });
        let (workload, _) = Workload::read(object).unwrap();
        assert_eq!((workload.labels["a"].as_str(), workload.labels["b"].as_str()), ("own", "pod"));
        assert_eq!(workload.images, ["triton:1"]);
    }

    proptest! {
        #[test]
        fn any_object_is_read_or_refused(text in ".{0,30}", n in any::<i64>()) {
            let _ = Workload::read(json!({ "metadata": { "name": text, "uid": text, "generation": n } }));
            let _ = Workload::read(json!({ "metadata": { "name": n }, "spec": [text] }));
            let _ = Workload::read(json!(n));
        }
    }
}
