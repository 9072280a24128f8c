use std::fmt::Write as _;

use gpuwarden_proto::time::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::correlate::Policy;
use crate::testing::{Stage, at, node};

fn graph(text: &str) -> Graph {
    Graph::new(Topology::parse("t.toml", text).unwrap())
}

fn labelled(pairs: &[(&str, &str)]) -> Snapshot {
    let mut snapshot = Snapshot::empty(at(0));
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    snapshot.labels = pairs.iter().map(own).collect();
    snapshot
}

fn model(name: &str) -> ModelName {
    ModelName::new(name).unwrap()
}

#[test]
fn the_file_wins_over_labels_and_silence_stays_unknown() {
    let text = "[[rack]]\nname = \"r1\"\nzone = \"a\"\nnodes = [\"n1\"]";
    let mut graph = graph(text);
    graph.place(&node("n1"), &labelled(&[("rack", "r9"), ("zone", "b")]));
    graph.place(&node("n2"), &labelled(&[("rack", "r1")]));
    graph.place(&node("n3"), &Snapshot::empty(Timestamp::default()));
    let told = |name, kind| graph.group_of(&node(name), kind).map(|group| group.to_string());
    assert_eq!(told("n1", EntityKind::Rack).as_deref(), Some("rack r1"));
    assert_eq!(told("n1", EntityKind::Zone).as_deref(), Some("zone a"));
    assert_eq!(told("n2", EntityKind::Zone).as_deref(), Some("zone a"), "its rack is known");
    assert_eq!(told("n3", EntityKind::Rack), None);
    assert_eq!(graph.size(&Entity::fleet(EntityKind::Rack, "r1")), 2);
}

#[test]
fn a_node_that_moves_is_counted_once() {
    let mut graph = Graph::default();
    graph.place(&node("n1"), &labelled(&[("rack", "r1")]));
    graph.place(&node("n1"), &labelled(&[("rack", "r2")]));
    let size = |name| graph.size(&Entity::fleet(EntityKind::Rack, name));
    assert_eq!((size("r1"), size("r2")), (0, 1));
}

#[test]
fn what_is_upstream_is_found_over_several_steps_and_circles_end() {
    let graph = graph(
        "[[service]]\nname = \"web\"\nmodels = [\"m1\"]\ndepends_on = [\"rank\"]\n\
         [[service]]\nname = \"rank\"\nmodels = [\"m2\"]\ndepends_on = [\"embed\"]\n\
         [[service]]\nname = \"embed\"\nmodels = [\"m3\"]\ndepends_on = [\"web\"]",
    );
    assert_eq!(graph.hops(&model("m3"), &model("m1")), Some(2));
    assert_eq!(graph.hops(&model("m2"), &model("m1")), Some(1));
    assert_eq!(graph.hops(&model("m1"), &model("m1")), Some(0));
    assert_eq!(graph.hops(&model("m9"), &model("m1")), None);
    assert_eq!(graph.neighbourhood(&model("m1")).len(), 3);
}

const FILE: &str = "cluster = \"prod\"\n\
    [[zone]]\nname = \"b\"\ncluster = \"other\"\n\
    [[rack]]\nname = \"r1\"\nzone = \"a\"\nnodes = [\"n1\", \"n9\"]\n\
    [[service]]\nname = \"web\"\ntenant = \"shop\"\nmodels = [\"bert\"]\ndepends_on = [\"rank\"]\n\
    [[service]]\nname = \"rank\"\nmodels = [\"resnet\"]\ndepends_on = [\"web\", \"ghost\"]\n";

fn stage(file: &str, script: &str) -> Stage {
    let topology = Topology::parse("t.toml", file).unwrap();
    let mut stage = Stage::new(Policy { topology, ..Policy::default() });
    stage.play(script);
    stage
}

/// Everything that a view lists.
fn everything(view: &View<'_>) -> BTreeSet<Entity> {
    let groups = view.graph.groups.keys().cloned();
    let nodes = view.nodes.keys().chain(view.graph.sites.keys());
    let on = nodes.flat_map(|id| view.everything_on(id).into_iter().chain([Entity::node(id)]));
    let services = view.graph.topology.services.keys();
    let services = services.chain(view.graph.askers.keys());
    let services = services.map(|name| group(EntityKind::Service, name));
    let models = ["bert", "resnet"].map(|name| Entity::fleet(EntityKind::Model, name));
    let all: BTreeSet<Entity> = groups.chain(on).chain(services).chain(models).collect();
    let parts = all.iter().flat_map(|entity| view.holds(entity)).collect::<Vec<_>>();
    all.into_iter().chain(parts).collect()
}

#[test]
fn a_thing_knows_what_it_is_in_what_it_holds_and_what_it_needs() {
    let stage = stage(
        FILE,
        "1 n1 snapshot labels=tenant:lab driver=580.1 \
           gpus=GPU-0,MIG-1<GPU-0,GPU-1 models=bert@MIG-1,resnet@GPU-1,clip@GPU-1
         2 n1 change model-deployed bert
         3 n2 snapshot labels=rack:r2,zone:b models=bert
         4 n3 snapshot labels=zone:b",
    );
    let view = stage.state.view();
    let mut text = String::new();
    for name in ["n1", "MIG-1", "n1/default/bert:1", "n1/default/resnet:1", "model:bert", "bert:1"]
    {
        let entity = view.find(name).unwrap();
        let ancestors: Vec<String> =
            view.ancestors(&entity).iter().map(ToString::to_string).collect();
        writeln!(text, "{entity} in [{}]", ancestors.join(", ")).unwrap();
        for edge in view.edges(&entity) {
            writeln!(text, "  {edge}").unwrap();
        }
    }
    insta::assert_snapshot!(text, @r"
    node n1 in [rack r1, tenant lab, zone a, cluster prod]
      rack r1 contains node n1
      node n1 contains gpu GPU-0 of n1
      node n1 contains gpu GPU-1 of n1
      node n1 contains server default of n1
      tenant lab contains node n1
      node n1 depends-on driver 580.1
    mig-instance MIG-1 of n1 in [gpu GPU-0 of n1, node n1, rack r1, tenant lab, zone a, cluster prod]
      gpu GPU-0 of n1 contains mig-instance MIG-1 of n1
      replica default/bert:1 of n1 depends-on mig-instance MIG-1 of n1
    replica default/bert:1 of n1 in [server default of n1, node n1, rack r1, tenant lab, zone a, cluster prod]
      server default of n1 contains replica default/bert:1 of n1
      replica default/bert:1 of n1 serves version bert:1
      replica default/bert:1 of n1 depends-on mig-instance MIG-1 of n1
      replica default/bert:1 of n1 changed-by version bert:1
    replica default/resnet:1 of n1 in [server default of n1, node n1, rack r1, tenant lab, zone a, cluster prod]
      server default of n1 contains replica default/resnet:1 of n1
      replica default/resnet:1 of n1 serves version resnet:1
      replica default/resnet:1 of n1 depends-on gpu GPU-1 of n1
      replica default/clip:1 of n1 co-located replica default/resnet:1 of n1
      replica default/resnet:1 of n1 co-located replica default/clip:1 of n1
    model bert in []
      model bert contains version bert:1
      model bert serves service web
    version bert:1 in [model bert]
      model bert contains version bert:1
      replica default/bert:1 of n1 serves version bert:1
      replica default/bert:1 of n2 serves version bert:1
      replica default/bert:1 of n1 changed-by version bert:1
    ");
    let edges = |name| {
        let edges = view.edges(&view.find(name).unwrap());
        edges.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(["web", "zone:b", "shop", "driver:580.1"].map(edges).join("\n\n"), @r"
    tenant shop contains service web
    model bert serves service web
    service rank depends-on service web
    service web depends-on service rank

    cluster other contains zone b
    zone b contains rack r2
    zone b contains node n3

    tenant shop contains service web

    node n1 depends-on driver 580.1
    ");
}

#[test]
fn what_is_unknown_is_said_with_the_reason() {
    let stage = stage(
        FILE,
        "1 n2 snapshot models=resnet gpus=MIG-7
         2 n3 snapshot labels=rack:r5",
    );
    let view = stage.state.view();
    let mut text = String::new();
    for name in ["n1", "n2", "n2/MIG-7", "n2/default/resnet:1", "r5", "rank"] {
        let entity = view.find(name).unwrap();
        writeln!(text, "{entity}: {}", view.unknown(&entity).join("; ")).unwrap();
    }
    insta::assert_snapshot!(text, @r"
    node n1: what is on it is unknown: it has never been heard of
    node n2: rack unknown: the topology file names no rack of n2, and it has no label `rack`; zone unknown: the topology file names no zone of n2, and it has no label `zone`; driver unknown: its agent does not tell a version
    mig-instance MIG-7 of n2: GPU unknown: the agent does not tell of which it is a part
    replica default/resnet:1 of n2: GPU unknown: its server does not tell on which it runs
    rack r5: zone unknown: the topology file does not say in which zone it is, and none of its nodes has a label `zone`
    service rank: tenant unknown: the topology file gives rank none
    ");
    let error = |name| view.find(name).unwrap_err().to_string();
    insta::assert_snapshot!(error("default/bert:1"), @"nothing that is known is called `default/bert:1`; `gpuwarden topology --depth node` lists the nodes, and what is on a node is called NODE/NAME, e.g. node-a/default or node-a/default/bert:1");
    let both =
        self::stage("", "1 n1 snapshot models=bert\n2 n2 snapshot models=bert labels=rack:bert");
    let view = both.state.view();
    let error = |name| view.find(name).unwrap_err().to_string();
    insta::assert_snapshot!(error("default"), @"`default` may be server default of n1, server default of n2; say which, with its kind (KIND:NAME) or its node (NODE/NAME)");
    insta::assert_snapshot!(error("bert"), @"`bert` may be rack bert, model bert; say which, with its kind (KIND:NAME) or its node (NODE/NAME)");
    insta::assert_snapshot!(error("zone:bert"), @"nothing that is known is called `zone:bert`; `gpuwarden topology --depth node` lists the nodes, and what is on a node is called NODE/NAME, e.g. node-a/default or node-a/default/bert:1");
}

#[test]
fn the_tree_counts_each_node_and_each_incident_once_and_names_the_unknown() {
    let stage = stage(
        FILE,
        "1 n1 snapshot gpus=GPU-0,MIG-1<GPU-0 models=bert
         2 n2 snapshot labels=rack:r2,zone:b gpus=GPU-0
         3 n3 snapshot models=bert,resnet
         4 n1 raise gpu-lost gpu0 down
         5 n1 raise error-rate-high bert 0.9
         6 n2 lost",
    );
    let mut text = String::new();
    for branch in stage.state.tree(EntityKind::Node) {
        let indent = branch.depth as usize * 2;
        let name = branch.name.as_deref().unwrap_or("unknown");
        let t = branch.totals;
        write!(text, "{:indent$}{} {name}: {} nodes", "", branch.kind, t.nodes).unwrap();
        write!(text, " ({} lost, {} unheard)", t.lost, t.unheard).unwrap();
        write!(text, ", {}+{} GPUs", t.gpus, t.mig_instances).unwrap();
        writeln!(text, ", {} models, {} open", t.replicas, t.open_incidents).unwrap();
    }
    insta::assert_snapshot!(text, @r"
    cluster other: 1 nodes (0 lost, 0 unheard), 1+0 GPUs, 0 models, 1 open
      zone b: 1 nodes (0 lost, 0 unheard), 1+0 GPUs, 0 models, 1 open
        rack r2: 1 nodes (0 lost, 0 unheard), 1+0 GPUs, 0 models, 1 open
          node n2: 1 nodes (0 lost, 0 unheard), 1+0 GPUs, 0 models, 1 open
    cluster prod: 3 nodes (0 lost, 1 unheard), 1+1 GPUs, 3 models, 1 open
      zone a: 2 nodes (0 lost, 1 unheard), 1+1 GPUs, 1 models, 1 open
        rack r1: 2 nodes (0 lost, 1 unheard), 1+1 GPUs, 1 models, 1 open
          node n1: 1 nodes (0 lost, 0 unheard), 1+1 GPUs, 1 models, 1 open
          node n9: 1 nodes (0 lost, 1 unheard), 0+0 GPUs, 0 models, 0 open
      zone unknown: 1 nodes (0 lost, 0 unheard), 0+0 GPUs, 2 models, 0 open
        rack unknown: 1 nodes (0 lost, 0 unheard), 0+0 GPUs, 2 models, 0 open
          node n3: 1 nodes (0 lost, 0 unheard), 0+0 GPUs, 2 models, 0 open
    ");
    let portrait = stage.state.portrait("GPU-0").unwrap_err().to_string();
    insta::assert_snapshot!(portrait, @"`GPU-0` may be gpu GPU-0 of n1, gpu GPU-0 of n2; say which, with its kind (KIND:NAME) or its node (NODE/NAME)");
    let open = |name| stage.state.portrait(name).unwrap().open_total;
    assert_eq!(
        ["n1/GPU-0", "n1/MIG-1", "r1", "prod", "shop", "web", "n3"].map(open),
        [1, 0, 1, 1, 1, 1, 0]
    );
}

fn node_line() -> impl Strategy<Value = String> {
    let label = |key: &'static str, values: &'static [&'static str]| {
        prop::option::of(prop::sample::select(values))
            .prop_map(move |value| value.map(|value| format!("{key}:{value}")))
    };
    let labels = (
        label("rack", &["r1", "r2", "r3"]),
        label("zone", &["a", "b"]),
        label("cluster", &["prod", "other"]),
        label("tenant", &["lab", "shop"]),
    );
    let labels = labels
        .prop_map(|(a, b, c, d)| [a, b, c, d].into_iter().flatten().collect::<Vec<_>>().join(","));
    let gpus = prop::sample::select(vec![
        "",
        "GPU-0",
        "GPU-0,MIG-1<GPU-0,MIG-2<GPU-0,GPU-1",
        "MIG-1<MIG-2,MIG-2<MIG-1",
        "MIG-1<GPU-9,GPU-0<GPU-1,GPU-1",
        "MIG-1<MIG-1,GPU-0,GPU-0",
    ]);
    let models = prop::sample::select(vec![
        "",
        "bert",
        "bert@GPU-0,resnet@GPU-0",
        "bert@MIG-1,resnet@MIG-2",
        "bert@MIG-1,bert@MIG-1",
    ]);
    let driver = prop::sample::select(vec!["", "570.1", "580.1"]);
    (prop::sample::select(vec!["n1", "n2", "n3", "n4"]), labels, gpus, models, driver).prop_map(
        |(node, labels, gpus, models, driver)| {
            format!("{node} snapshot labels={labels} gpus={gpus} models={models} driver={driver}")
        },
    )
}

fn line() -> impl Strategy<Value = String> {
    let change = prop::sample::select(vec![
        "n1 change model-deployed bert",
        "n2 change model-unloaded resnet",
        "n1 change driver-changed node to=590.1",
    ]);
    prop_oneof![4 => node_line(), 1 => change.prop_map(str::to_owned)]
}

proptest! {
    #[test]
    fn ancestors_never_loop_and_edges_are_told_alike_at_both_ends(
        file in prop::sample::select(vec!["", FILE]),
        lines in prop::collection::vec(line(), 1..12),
    ) {
        let lines = lines.iter().enumerate().map(|(nth, line)| format!("{nth} {line}\n"));
        let stage = stage(file, &lines.collect::<String>());
        let view = stage.state.view();
        for entity in everything(&view) {
            let ancestors = view.ancestors(&entity);
            prop_assert!(!ancestors.contains(&entity), "{entity} is in itself");
            let once: BTreeSet<&Entity> = ancestors.iter().collect();
            prop_assert_eq!(once.len(), ancestors.len());
            for part in view.holds(&entity) {
                prop_assert!(view.within(&part).contains(&entity), "{entity} holds {part}");
            }
            for whole in view.within(&entity) {
                prop_assert!(view.holds(&whole).contains(&entity), "{entity} is in {whole}");
            }
            for edge in view.edges(&entity) {
                let other = if edge.from == entity { &edge.to } else { &edge.from };
                prop_assert!(view.edges(other).contains(&edge), "{other} does not tell {edge}");
            }
        }
    }

    #[test]
    fn each_node_is_counted_once_at_each_depth(lines in prop::collection::vec(node_line(), 1..8)) {
        let lines = lines.iter().enumerate().map(|(nth, line)| format!("{nth} {line}\n"));
        let stage = stage(FILE, &lines.collect::<String>());
        let all = stage.state.tree(EntityKind::Node);
        let at = |depth| all.iter().filter(move |branch| branch.depth == depth);
        let nodes = |depth| at(depth).map(|branch| branch.totals.nodes).sum::<u64>();
        let counted = [0, 1, 2, 3].map(nodes);
        prop_assert_eq!(counted, [at(3).count() as u64; 4]);
    }
}
