//! The topology file: what no agent can know. TOML, with all mistakes at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use gpuwarden_proto::settings::{Document, Problem, Section};
use gpuwarden_proto::vocab::{ModelName, NodeId, ServiceName};

use crate::slo::objective::{self, Objective};

/// Sections of one kind that a file may have.
const SECTIONS_MAX: usize = 100_000;
/// Services that may promise something: each promise takes memory for thirty days of counts.
const PROMISING_MAX: usize = 2_000;
/// The longest name of a rack, zone, service or tenant, in bytes.
const NAME_MAX_BYTES: usize = 253;

/// What a topology file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// The cluster of all that does not say another.
    pub cluster: Option<Arc<str>>,
    /// The cluster of each zone that has one of its own.
    pub zones: BTreeMap<Arc<str>, Arc<str>>,
    /// The rack of each node.
    pub nodes: BTreeMap<NodeId, Arc<str>>,
    /// The zone of each rack.
    pub racks: BTreeMap<Arc<str>, Arc<str>>,
    /// What users know.
    pub services: BTreeMap<Arc<str>, Service>,
}

/// Some models that together do what a user asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Whose it is; `None` when it is nobody's in particular.
    pub tenant: Option<Arc<str>>,
    /// The models it is made of.
    pub models: Vec<ModelName>,
    /// Services it asks.
    pub depends_on: Vec<Arc<str>>,
    /// It is on management's list: its complete outage is always P1.
    pub critical: bool,
    /// What is promised of it.
    pub objectives: Vec<Objective>,
}

impl Topology {
    /// Reads `text`, which came from `file`.
    ///
    /// # Errors
    ///
    /// All mistakes, in the order of the file.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let mut document = Document::parse(file, text);
        let topology = read(&mut document.root());
        document.finish().map(|()| topology)
    }
}

fn read(root: &mut Section<'_>) -> Topology {
    let mut topology = Topology { cluster: root.parsed("cluster", name), ..Topology::default() };
    // Zones need no section of their own, but where they are of another cluster.
    for mut section in sections(root, "zone") {
        let zone = section.required("name", name);
        if let (Some(zone), Some(cluster)) = (zone, section.parsed("cluster", name)) {
            topology.zones.insert(zone, cluster);
        }
    }
    for mut section in sections(root, "rack") {
        rack(&mut section, &mut topology);
    }
    for mut section in sections(root, "service") {
        service(&mut section, &mut topology);
    }
    let promising = topology.services.values().filter(|each| !each.objectives.is_empty()).count();
    if promising > PROMISING_MAX {
        root.problem("service", &format!("at most {PROMISING_MAX} may have objectives"));
    }
    topology
}

fn sections<'t>(root: &mut Section<'t>, key: &str) -> Vec<Section<'t>> {
    let sections = root.sections(key);
    if sections.len() > SECTIONS_MAX {
        root.problem(key, &format!("at most {SECTIONS_MAX} can be given"));
    }
    sections
}

fn rack(section: &mut Section<'_>, topology: &mut Topology) {
    let Some(rack) = section.required("name", name) else { return };
    if let Some(zone) = section.parsed("zone", name) {
        topology.racks.insert(Arc::clone(&rack), zone);
    }
    for node in section.list("nodes", |text| NodeId::new(text).map_err(|e| e.to_string())) {
        let before = topology.nodes.insert(node.clone(), Arc::clone(&rack));
        if let Some(before) = before.filter(|before| *before != rack) {
            section.problem("nodes", &format!("{node} stands in {before} already"));
        }
    }
}

fn service(section: &mut Section<'_>, topology: &mut Topology) {
    let Some(called) = section.required("name", name) else { return };
    let service = Service {
        tenant: section.parsed("tenant", name),
        models: section.list("models", |text| ModelName::new(text).map_err(|e| e.to_string())),
        depends_on: section.list("depends_on", name),
        critical: section.flag("critical", false),
        objectives: objective::read(section),
    };
    if !service.objectives.is_empty() && service.models.is_empty() {
        section.problem("models", "is empty, so nothing of what is promised could be counted");
    }
    if let (false, Err(error)) = (service.objectives.is_empty(), ServiceName::new(&called)) {
        section.problem("name", &format!("{}, which one with objectives may not", error.fault));
    }
    if topology.services.insert(Arc::clone(&called), service).is_some() {
        section.problem("name", &format!("\"{called}\" is given to two services"));
    }
}

fn name(text: &str) -> Result<Arc<str>, String> {
    match text.len() {
        1..=NAME_MAX_BYTES if !text.chars().any(char::is_control) => Ok(text.into()),
        _ => Err(format!("should be a name of 1 to {NAME_MAX_BYTES} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topology_is_read() {
        let text = "cluster = \"c1\"\n[[zone]]\nname = \"a\"\ncluster = \"c2\"\n\
                    [[rack]]\nname = \"r1\"\nzone = \"a\"\nnodes = [\"n1\", \"n2\"]\n\
                    [[service]]\nname = \"search\"\ntenant = \"shop\"\nmodels = [\"bert\"]\n\
                    depends_on = [\"features\"]\ncritical = true\navailability = 0.999\n";
        let topology = Topology::parse("t.toml", text).unwrap();
        assert_eq!(topology.nodes.len(), 2);
        assert_eq!(topology.racks["r1"].as_ref(), "a");
        assert_eq!(topology.cluster.as_deref(), Some("c1"));
        assert_eq!(topology.zones["a"].as_ref(), "c2");
        assert_eq!(topology.services["search"].tenant.as_deref(), Some("shop"));
        assert!(topology.services["search"].critical);
        assert_eq!(topology.services["search"].objectives.len(), 1);
    }

    #[test]
    fn the_sample_is_good() {
        let sample = include_str!("../../../packaging/topology.toml");
        let topology = Topology::parse("topology.toml", sample).unwrap();
        assert_eq!((topology.nodes.len(), topology.services.len()), (8, 2));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = "[[rack]]\nnodes = [\"n1\"]\n[[rack]]\nname = \"r1\"\nnodes = [\"n1\"]\n\
                    [[rack]]\nname = \"r2\"\nnodes = [\"n1\", 7]\n[[service]]\nname = \"\"\n";
        let problems = Topology::parse("t.toml", text).unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        t.toml:1: rack[0].name: is missing
        t.toml:2: rack[0].nodes: is not a key of this section
        t.toml:6: rack[2].nodes: n1 stands in r1 already
        t.toml:8: rack[2].nodes = 7: should be a text in quotes
        t.toml:10: service[0].name = "": should be a name of 1 to 253 bytes
        "#);
    }
}
