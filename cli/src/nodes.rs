//! `gpuwarden nodes`: the fleet, and what cannot be seen of it.

use gpuwarden_proto::event::Unit;
use gpuwarden_proto::fleet::Node;
use gpuwarden_proto::inventory::{Gpu, Snapshot};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{Availability, NodeState, SourceState};
use serde::Serialize;

use crate::args::Format;
use crate::client::{Aggregator, Client};
use crate::clock;
use crate::quantity::{age, value};
use crate::screen::Screen;
use crate::table::{self, Cell, fixed, flexible};
use crate::text::Paint;

/// The JSON document.
#[derive(Debug, Serialize)]
struct Nodes {
    nodes: Vec<Node>,
}

/// Shows the nodes.
pub async fn run(aggregator: &Aggregator, mut screen: Screen) -> anyhow::Result<()> {
    let mut nodes = Client::connect(aggregator).await?.nodes().await?;
    nodes.sort_by(|a, b| a.id.cmp(&b.id));
    match screen.format {
        Format::Json => screen.json(&Nodes { nodes })?,
        Format::Table => screen.text(&render(&nodes, clock::now(), screen.paint))?,
    }
    Ok(())
}

/// The table.
pub fn render(nodes: &[Node], now: Timestamp, paint: Paint) -> String {
    if nodes.is_empty() {
        return "No node has been heard of yet.\n".to_owned();
    }
    let columns = [
        flexible("NODE"),
        fixed("STATE"),
        fixed("SEEN"),
        fixed("GPUS"),
        fixed("MODELS"),
        fixed("OPEN"),
        fixed("HELD"),
        flexible("CANNOT SEE"),
        fixed("AGENT"),
    ];
    let rows: Vec<_> = nodes.iter().map(|node| row(node, now)).collect();
    table::render(columns, &rows, paint) + &instances(nodes, paint)
}

fn row(node: &Node, now: Timestamp) -> [Cell; 9] {
    let seen = match node.state {
        NodeState::Connected => "now".to_owned(),
        NodeState::Disconnected | NodeState::Lost | NodeState::Stopped => {
            age(now, node.last_seen_at)
        }
    };
    let told = |of: fn(&Snapshot) -> String| node.snapshot.as_ref().map_or("?".to_owned(), of);
    [
        node.id.as_str().into(),
        node.state.as_str().into(),
        seen.into(),
        told(gpus).into(),
        told(models).into(),
        node.open_incidents.to_string().into(),
        node.outbox_rows.to_string().into(),
        told(blind).into(),
        node.agent_version.as_str().into(),
    ]
}

fn gpus(snapshot: &Snapshot) -> String {
    let whole = || snapshot.gpus.iter().filter(|gpu| !gpu.uuid.is_mig());
    let lost = whole().filter(|gpu| gpu.lost).count();
    match lost {
        0 => whole().count().to_string(),
        _ => format!("{} ({lost} lost)", whole().count()),
    }
}

/// The MIG instances under their GPUs; empty where there are none.
fn instances(nodes: &[Node], paint: Paint) -> String {
    let row = |node: &Node, instance: &Gpu| -> [Cell; 5] {
        let of = instance.parent.as_ref().map(|_| instance.index.to_string());
        let known = |text: &str| if text.is_empty() { "?".to_owned() } else { text.to_owned() };
        let used = instance.memory_used_bytes.map_or("?".to_owned(), bytes);
        let total = match instance.memory_total_bytes {
            0 => "?".to_owned(),
            total => bytes(total),
        };
        [
            node.id.as_str().into(),
            of.unwrap_or_else(|| "?".to_owned()).into(),
            known(&instance.profile).into(),
            format!("{used} of {total}").into(),
            instance.uuid.as_str().into(),
        ]
    };
    let of_node = |node: &Node| -> Vec<[Cell; 5]> {
        let gpus = node.snapshot.iter().flat_map(|snapshot| &snapshot.gpus);
        gpus.filter(|gpu| gpu.uuid.is_mig()).map(|gpu| row(node, gpu)).collect()
    };
    let rows: Vec<_> = nodes.iter().flat_map(of_node).collect();
    if rows.is_empty() {
        return String::new();
    }
    let columns = [flexible("NODE"), fixed("GPU"), fixed("MIG"), fixed("MEMORY"), flexible("UUID")];
    format!("\n{}", table::render(columns, &rows, paint))
}

fn bytes(bytes: u64) -> String {
    value(bytes as f64, Unit::Bytes)
}

fn models(snapshot: &Snapshot) -> String {
    let models = || snapshot.servers.iter().flat_map(|server| &server.models);
    let ready = models().filter(|model| model.availability == Availability::Ready).count();
    match (ready, models().count()) {
        (_, 0) => "-".to_owned(),
        (ready, all) => format!("{ready}/{all} ready"),
    }
}

fn blind(snapshot: &Snapshot) -> String {
    let blind = snapshot.sources.iter().filter(|source| source.state == SourceState::Blind);
    let names: Vec<&str> = blind.map(|source| source.name.as_str()).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::inventory::{Model, Server, Source};
    use gpuwarden_proto::vocab::{
        GpuUuid, ModelName, ModelVersion, NodeId, ServerName, SourceName,
    };

    use super::*;

    fn gpu(index: u32, lost: bool) -> Gpu {
        Gpu {
            uuid: GpuUuid::new(&format!("GPU-{index}")).expect("a good uuid"),
            index,
            name: "NVIDIA L4".to_owned(),
            pci_bus_id: String::new(),
            memory_total_bytes: 0,
            memory_used_bytes: None,
            utilization_ratio: None,
            lost,
            parent: None,
            profile: String::new(),
        }
    }

    fn model(name: &str, availability: Availability) -> Model {
        Model {
            name: ModelName::new(name).expect("a good name"),
            version: ModelVersion::new("1").expect("a good version"),
            availability,
            reason: String::new(),
            requests_per_s: None,
            pending: None,
            gpus: Vec::new(),
            served: None,
        }
    }

    fn node(name: &str, state: NodeState, snapshot: Option<Snapshot>) -> Node {
        Node {
            id: NodeId::new(name).expect("a good name"),
            state,
            last_seen_at: Timestamp::from_unix_s(1_000),
            agent_version: "0.1.0".to_owned(),
            snapshot,
            outbox_rows: 3,
            open_incidents: 1,
        }
    }

    #[test]
    fn a_node_says_what_it_has_and_what_it_cannot_see() {
        let mut snapshot = Snapshot::empty(Timestamp::from_unix_s(1_000));
        snapshot.gpus = vec![gpu(0, false), gpu(1, true)];
        snapshot.servers.push(Server {
            name: ServerName::new("default").expect("a good name"),
            version: String::new(),
            availability: Availability::Ready,
            models: vec![model("a", Availability::Ready), model("b", Availability::Failed)],
        });
        snapshot.sources.push(Source {
            name: SourceName::new("nvml").expect("a good name"),
            state: SourceState::Blind,
            reason: "no answer".to_owned(),
        });
        let nodes = [
            node("node-a", NodeState::Connected, Some(snapshot)),
            node("node-b", NodeState::Lost, None),
        ];
        let table = render(&nodes, Timestamp::from_unix_s(1_190), Paint::Plain);
        insta::assert_snapshot!(table, @r#"
        NODE    STATE      SEEN   GPUS        MODELS     OPEN  HELD  CANNOT SEE  AGENT
        node-a  connected  now    2 (1 lost)  1/2 ready  1     3     nvml        0.1.0
        node-b  lost       3 min  ?           ?          1     3     ?           0.1.0
        "#);
    }

    #[test]
    fn instances_stand_under_their_gpu_and_are_no_gpus() {
        let instance = |uuid: &str, profile: &str, used| Gpu {
            uuid: GpuUuid::new(uuid).expect("a good uuid"),
            memory_total_bytes: 10 << 30,
            memory_used_bytes: used,
            parent: GpuUuid::new("GPU-1").ok(),
            profile: profile.to_owned(),
            ..gpu(1, false)
        };
        let mut snapshot = Snapshot::empty(Timestamp::from_unix_s(1_000));
        snapshot.gpus = vec![
            gpu(0, false),
            gpu(1, false),
            instance("MIG-1", "1g.10gb", Some(5 << 30)),
            Gpu { parent: None, ..instance("MIG-2", "", None) },
        ];
        let nodes = [node("node-a", NodeState::Connected, Some(snapshot))];
        let table = render(&nodes, Timestamp::from_unix_s(1_190), Paint::Plain);
        insta::assert_snapshot!(table, @r"
        NODE    STATE      SEEN  GPUS  MODELS  OPEN  HELD  CANNOT SEE  AGENT
        node-a  connected  now   2     -       1     3     -           0.1.0

        NODE    GPU  MIG      MEMORY           UUID
        node-a  1    1g.10gb  5 GiB of 10 GiB  MIG-1
        node-a  ?    ?        ? of 10 GiB      MIG-2
        ");
    }
}
