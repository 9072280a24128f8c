//! What a whole has, its parts have: a GPU and its MIG instances, a cluster and its zones.

use super::*;

#[test]
fn what_the_whole_gpu_has_explains_its_instances_and_one_instance_does_not_explain_another() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "1 node-a snapshot gpus=GPU-0,MIG-1<GPU-0,MIG-2<GPU-0,GPU-1 \
         models=bert@MIG-1,resnet@MIG-2,clip@GPU-1
         10 node-a raise gpu-memory-exhausted mig1 degraded
         11 node-a raise error-rate-high bert 0.2
         12 node-a raise error-rate-high resnet 0.2",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P3 gpu-oom open: gpu-memory-exhausted: service is degraded
      node-a MIG-1 of GPU 0 gpu-memory-exhausted: first seen
      node-a model bert error-rate-high: memory ran out: gpu-memory-exhausted 1 s earlier, same GPU
    #2 P3 high-error-rate open: model resnet fails 20 % of requests
      node-a model resnet error-rate-high: first seen
    ");

    let mut stage = Stage::new(Policy::default());
    stage.play(
        "1 node-a snapshot gpus=GPU-0,MIG-1<GPU-0,MIG-2<GPU-0,GPU-1 \
         models=bert@MIG-1,resnet@MIG-2,clip@GPU-1
         10 node-a raise xid gpu0 down
         11 node-a raise error-rate-high bert 0.2
         12 node-a raise model-unavailable resnet down
         13 node-a raise error-rate-high clip 0.2",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P2 gpu-hardware open: 1 of 1 replica of resnet down, but no traffic has been seen on it
      node-a GPU 0 xid: first seen
      node-a model bert error-rate-high: a GPU of the node is sick: xid 1 s earlier, same GPU
      node-a model resnet model-unavailable: a GPU of the node is sick: xid 2 s earlier, same GPU
    #2 P3 high-error-rate open: model clip fails 20 % of requests
      node-a model clip error-rate-high: first seen
    ");
}

#[test]
fn a_cluster_whose_zones_go_together_is_one_incident() {
    let policy = || {
        let rack = |rack: &str, zone: &str| {
            let nodes = ["x", "y", "z"].map(|each| format!("\"{rack}{each}\"")).join(", ");
            format!("[[rack]]\nname = \"{rack}\"\nzone = \"{zone}\"\nnodes = [{nodes}]\n")
        };
        let racks = [("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b"), ("c1", "c")];
        let racks: String = racks.iter().map(|(name, zone)| rack(name, zone)).collect();
        let topology = Topology::parse("t.toml", &format!("cluster = \"prod\"\n{racks}")).unwrap();
        Policy { topology, ..Policy::default() }
    };
    let lost = |racks: &[&str], at: u64| -> String {
        let nodes =
            racks.iter().flat_map(|rack| ["x", "y", "z"].map(|each| format!("{rack}{each}")));
        nodes.enumerate().map(|(nth, node)| format!("{} {node} lost\n", at + nth as u64)).collect()
    };
    let mut stage = Stage::new(policy());
    stage.play(&lost(&["a1", "a2"], 20));
    let scope = |stage: &Stage| {
        let roots = stage.state.incidents().map(|i| i.roots[0].entity.to_string());
        roots.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(scope(&stage), "zone a");
    stage.play(&lost(&["b1", "b2"], 30));
    assert_eq!(scope(&stage), "cluster prod");
    // What goes of a third zone is part of it, and so it is after a restart.
    let nodes = std::mem::take(&mut stage.state.nodes);
    let incidents: Vec<_> = stage.state.incidents().cloned().collect();
    let next = stage.state.next_id();
    stage.state = State::restore(policy(), nodes, incidents, next, at(50));
    stage.play(&lost(&["c1"], 55));
    assert_eq!(scope(&stage), "cluster prod");
    assert_eq!(stage.state.incidents().map(|each| each.members.len()).sum::<usize>(), 15);
}
