//! A fleet that does not exist: racks of 16 nodes in zones, nodes of 8 GPUs, models with many
//! replicas each, and services that ask each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use gpuwarden_proto::event::{Evidence, Finding, Subject, Suspect, Unit};
use gpuwarden_proto::inventory::{Gpu, Model, Server, Snapshot, Source};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{
    Availability, GpuUuid, Grade, ModelName, ModelVersion, NodeId, Phase, RuleId, ServerName,
    SourceName, SourceState,
};

/// Nodes of a rack.
pub(crate) const RACK: usize = 16;
/// Models that each node serves.
pub(crate) const NODE_MODELS: usize = 4;
/// GPUs of a node.
pub(crate) const NODE_GPUS: usize = 8;
/// Models that a rack serves.
const RACK_MODELS: usize = 8;
/// Racks of a zone.
const ZONE: usize = 125;
/// Nodes for each model that there is.
const NODES_PER_MODEL: usize = 25;
/// Models of a service.
const SERVICE_MODELS: usize = 2;

const NAMED: &str = "names of the bench are short and not empty";

/// The fleet by number: nodes, models and services are counted from 0.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) ids: Vec<NodeId>,
    pub(crate) models: Vec<ModelName>,
    server: ServerName,
    version: ModelVersion,
}

/// What is wrong somewhere.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub(crate) node: usize,
    pub(crate) rule: RuleId,
    pub(crate) subject: Subject,
    gpus: Vec<GpuUuid>,
    suspects: Vec<Suspect>,
    grade: Grade,
}

impl Fleet {
    /// So many nodes.
    pub(crate) fn new(nodes: usize) -> Self {
        let id = |nth| NodeId::new(&format!("node-{nth:05}")).expect(NAMED);
        let model = |nth| ModelName::new(&format!("model-{nth:03}")).expect(NAMED);
        Self {
            ids: (0..nodes).map(id).collect(),
            models: (0..(nodes / NODES_PER_MODEL).max(RACK_MODELS)).map(model).collect(),
            server: ServerName::new("default").expect(NAMED),
            version: ModelVersion::new("1").expect(NAMED),
        }
    }

    /// How many nodes there are.
    pub(crate) fn nodes(&self) -> usize {
        self.ids.len()
    }

    /// How many services there are.
    pub(crate) fn services(&self) -> usize {
        self.models.len() / SERVICE_MODELS
    }

    /// The models that a node serves.
    pub(crate) fn models_of(&self, node: usize) -> impl Iterator<Item = usize> {
        let first = (node / RACK) * RACK_MODELS + (node % 2) * NODE_MODELS;
        let all = self.models.len();
        (first..first + NODE_MODELS).map(move |model| model % all)
    }

    /// The nodes that serve a model.
    pub(crate) fn replicas(&self, model: usize) -> impl Iterator<Item = usize> + use<'_> {
        (0..self.nodes()).filter(move |node| self.models_of(*node).any(|each| each == model))
    }

    /// The service that a model is part of.
    pub(crate) fn service_of(&self, model: usize) -> usize {
        model / SERVICE_MODELS
    }

    /// The models of a service.
    pub(crate) fn models_of_service(&self, service: usize) -> std::ops::Range<usize> {
        service * SERVICE_MODELS..(service + 1) * SERVICE_MODELS
    }

    /// The service that a service asks: half are what users know, the next three tenths stand
    /// behind those, and the rest behind these.
    pub(crate) fn asks(&self, service: usize) -> Option<usize> {
        let all = self.services();
        let (middle, base) = (all / 2, all * 4 / 5);
        match service {
            front if front < middle => Some(middle + front % (base - middle)),
            between if between < base => Some(base + (between - middle) % (all - base)),
            _ => None,
        }
    }

    /// A service of the middle, which asks and is asked.
    pub(crate) fn middle(&self) -> usize {
        self.services() * 3 / 5
    }

    /// Services that ask one of these, over any number of steps.
    pub(crate) fn askers(&self, of: &BTreeSet<usize>) -> BTreeSet<usize> {
        let upstream = |service: &usize| std::iter::successors(Some(*service), |s| self.asks(*s));
        let asks = |service: &usize| upstream(service).skip(1).any(|each| of.contains(&each));
        (0..self.services()).filter(asks).collect()
    }

    /// The topology file: the services. Racks and zones are labels of the nodes.
    pub(crate) fn topology(&self) -> String {
        let mut text = "cluster = \"bench\"\n".to_owned();
        for service in 0..self.services() {
            let models: Vec<&str> =
                self.models_of_service(service).map(|model| self.models[model].as_str()).collect();
            let asks: Vec<String> =
                self.asks(service).iter().map(|asked| format!("service-{asked:03}")).collect();
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "[[service]]\nname = \"service-{service:03}\"\nmodels = {models:?}\n\
                 depends_on = {asks:?}"
            );
        }
        text
    }

    /// What a node says of itself when all is well.
    pub(crate) fn snapshot(&self, node: usize, observed_at: Timestamp) -> Snapshot {
        let source = |name: &str| Source {
            name: SourceName::new(name).expect(NAMED),
            state: SourceState::Seeing,
            reason: String::new(),
        };
        let (rack, zone) = (node / RACK, node / RACK / ZONE);
        Snapshot {
            observed_at,
            hostname: self.ids[node].to_string(),
            driver_version: "570.124.06".to_owned(),
            active: Vec::new(),
            gpus: (0..NODE_GPUS).map(|index| gpu(node, index)).collect(),
            servers: vec![Server {
                name: self.server.clone(),
                version: "2.51.0".to_owned(),
                availability: Availability::Ready,
                models: self.models_of(node).enumerate().map(|m| self.model(node, m)).collect(),
            }],
            sources: ["nvml", "triton/default", "kmsg", "host"].map(source).into(),
            labels: BTreeMap::from([
                ("rack".to_owned(), format!("rack-{rack:03}")),
                ("zone".to_owned(), format!("zone-{zone}")),
            ]),
        }
    }

    fn model(&self, node: usize, (slot, model): (usize, usize)) -> Model {
        Model {
            name: self.models[model].clone(),
            version: self.version.clone(),
            availability: Availability::Ready,
            reason: String::new(),
            requests_per_s: Some(40.0),
            pending: Some(2.0),
            gpus: gpus_of_slot(node, slot).collect(),
            served: None,
        }
    }

    /// Trouble of the model in a slot of a node.
    pub(crate) fn with_model(&self, node: usize, slot: usize, rule: RuleId) -> Trouble {
        let model = self.models_of(node).nth(slot % NODE_MODELS).unwrap_or(0);
        self.with(node, self.models[model].clone(), slot % NODE_MODELS, rule)
    }

    /// Trouble of a model, whether or not the node is known to serve it.
    pub(crate) fn with(&self, node: usize, model: ModelName, slot: usize, rule: RuleId) -> Trouble {
        let (server, version) = (self.server.clone(), self.version.clone());
        let subject = Subject::Model { server, model, version };
        let gpus = gpus_of_slot(node, slot).collect();
        Trouble { gpus, ..trouble(node, rule, subject) }
    }

    /// Trouble of a whole server.
    pub(crate) fn with_server(&self, node: usize, rule: RuleId) -> Trouble {
        trouble(node, rule, Subject::Server { server: self.server.clone() })
    }

    /// Trouble of a GPU.
    pub(crate) fn with_gpu(&self, node: usize, index: usize, rule: RuleId) -> Trouble {
        let (uuid, index) = (uuid(node, index), u32::try_from(index).ok());
        trouble(node, rule, Subject::Gpu { uuid, index })
    }
}

impl Trouble {
    /// What the node tells of it.
    pub(crate) fn finding(&self, phase: Phase, raised_at: Timestamp, summary: String) -> Finding {
        let seconds = raised_at.unix_ns() % 1_000_000_000;
        let of = |value| match self.rule {
            RuleId::ErrorRateHigh => Evidence::new("share of failures", 0.15 * value, Unit::Ratio),
            _ => Evidence::new("predicted wait", 4.0 + value, Unit::Seconds),
        };
        Finding {
            rule: self.rule,
            subject: self.subject.clone(),
            phase,
            grade: self.grade,
            summary,
            evidence: vec![
                of(seconds as f64 * 1e-9).against(3.0),
                Evidence::new("nv_inference_pending_request_count", 40.0, Unit::Count).against(8.0),
                Evidence::new("requests worked off", 10.0, Unit::PerSecond).over(5.0),
            ],
            suspects: self.suspects.clone(),
            raised_at,
            gpus: self.gpus.clone(),
            about: Vec::new(),
        }
    }
}

fn trouble(node: usize, rule: RuleId, subject: Subject) -> Trouble {
    let grade = match rule {
        RuleId::ModelUnavailable | RuleId::ServerUnavailable | RuleId::GpuLost => Grade::Down,
        RuleId::GpuMemoryExhausting | RuleId::ThermalThrottle => Grade::Warning,
        _ => Grade::Degraded,
    };
    let neighbour = Suspect {
        subject: Subject::Process {
            gpu: uuid(node, 0),
            pid: 4711,
            start_ticks: node as u64,
            name: "trainer".to_owned(),
        },
        owner: "batch".to_owned(),
        confidence: 0.8,
    };
    let suspects = if rule == RuleId::NoisyNeighbour { vec![neighbour] } else { Vec::new() };
    Trouble { node, rule, subject, gpus: Vec::new(), suspects, grade }
}

fn gpus_of_slot(node: usize, slot: usize) -> impl Iterator<Item = GpuUuid> {
    let each = NODE_GPUS / NODE_MODELS;
    (slot * each..(slot + 1) * each).map(move |index| uuid(node, index))
}

fn uuid(node: usize, index: usize) -> GpuUuid {
    GpuUuid::new(&format!("GPU-{node:08x}-0000-4000-8000-{index:012x}")).expect(NAMED)
}

fn gpu(node: usize, index: usize) -> Gpu {
    Gpu {
        uuid: uuid(node, index),
        index: u32::try_from(index).unwrap_or(0),
        name: "NVIDIA H100 80GB HBM3".to_owned(),
        pci_bus_id: format!("00000000:{:02X}:00.0", 16 + index),
        memory_total_bytes: 80 << 30,
        memory_used_bytes: Some(61 << 30),
        utilization_ratio: Some(0.7),
        lost: false,
        parent: None,
        profile: String::new(),
    }
}
