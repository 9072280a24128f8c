use super::*;
use crate::fault::{GpuFault, ModelFault, Pattern, Service};

fn faults(text: &str) -> Vec<Fault> {
    let script = Script::parse(text).expect("a good script");
    script.steps.into_iter().map(|step| step.fault).collect()
}

fn errors(text: &str) -> String {
    let errors = Script::parse(text).expect_err("a bad script");
    errors.iter().map(|error| format!("{error}\n")).collect()
}

#[test]
fn each_kind_of_line_says_what_it_means() {
    let bursts =
        |on, off| Pattern::Bursts { on: Duration::from_secs(on), off: Duration::from_secs(off) };
    let neighbour = |share, pattern| {
        Fault::Gpu(0, GpuFault::Neighbour { name: "train-job".to_owned(), share, pattern })
    };
    let model = |fault| {
        Fault::Model(gpuwarden_proto::vocab::ModelName::new("m").expect("a good name"), fault)
    };
    let lasting = Some(Duration::from_secs(10));
    assert_eq!(
        faults(
            "at 10s n gpu 2 leak pid 4312 2MiB/s\n\
             at 1s n gpu 0 neighbour train-job 0.9 bursts\n\
             at 1s n gpu 0 neighbour train-job 0.5 bursts 1s 2s\n\
             at 1s n gpu 0 neighbour train-job 0.5 steady\n\
             at 1s n gpu 1 xid 79\nat 1s n gpu 1 lost\nat 1s n gpu 1 heal\n\
             at 1s n model m rate 3x for 10s\nat 1s n model m fails 0.2\n\
             at 1s n model m load-fails \"no # weights\" # a comment\nat 1s n model m unload\n\
             at 1s n model m stall\nat 1s n model m heal\n\
             at 1s n server gone\nat 1s n probe back\n\n# nothing"
        ),
        [
            Fault::Gpu(2, GpuFault::Leak { pid: 4312, bytes_per_s: 2_097_152.0 }),
            neighbour(0.9, bursts(4, 4)),
            neighbour(0.5, bursts(1, 2)),
            neighbour(0.5, Pattern::Steady),
            Fault::Gpu(1, GpuFault::Xid(79)),
            Fault::Gpu(1, GpuFault::Lost),
            Fault::Gpu(1, GpuFault::Heal),
            model(ModelFault::Rate { factor: 3.0, lasting }),
            model(ModelFault::Fails(0.2)),
            model(ModelFault::LoadFails("no # weights".to_owned())),
            model(ModelFault::Unload),
            model(ModelFault::Stalls),
            model(ModelFault::Heal),
            Fault::Server(Service::Gone),
            Fault::Probe(Service::Back),
        ]
    );
}

#[test]
fn every_bad_line_is_told_with_what_is_expected() {
    let text = "in 10s node-a gpu 2 lost\nat soon node-a gpu 2 lost\nat 10s node-a gpu 2 leek\n\
                at 10s node-a gpu two lost\nat 10s node-a gpu 2 leak pid 1 212\nat 10s node-a\n\
                at 10s node-a gpu 1 lost at once\nat 10s node-a model m load-fails \"oh\n\
                at 10s node-a disk 1 full\nat 10s node-a gpu 0 neighbour x 1.5 steady";
    insta::assert_snapshot!(errors(text), @r#"
    line 1: `in` is not `at`
    line 2: `soon` is not a time such as `10s`
    line 3: `leek` is not a GPU fault (expected leak, neighbour, xid, lost or heal)
    line 4: `two` is not a GPU's index, from 0
    line 5: `212` is not a rate such as `212MiB/s`
    line 6: ends too early (expected gpu, model, server or probe)
    line 7: `at` is too much (expected the end of the line)
    line 8: a `"` is opened and not closed
    line 9: `disk` is not something of a node (expected gpu, model, server or probe)
    line 10: `1.5` is not a share from 0 to 1
    "#);
}

#[test]
fn a_line_about_what_is_not_there_is_told() {
    let node = SimNode::new("node-a", 1).expect("a good name");
    let text = "at 1s node-a gpu 0 lost\nat 1s node-z server gone\nat 1s node-a model m heal";
    let script = Script::parse(text).expect("a good script");
    let errors: String = script.check(&[node]).iter().map(|error| format!("{error}\n")).collect();
    insta::assert_snapshot!(errors, @r#"
    line 1: node-a has no GPU 0 (it has 0)
    line 2: there is no node `node-z`
    line 3: node-a has no model `m`
    "#);
}
