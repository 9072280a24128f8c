//! The pages of all types. They are part of the program, so that they are there when nothing else is.

use std::sync::LazyLock;

use gpuwarden_proto::vocab::IncidentType;

use super::Page;
use super::page::{NoPage, parse};

/// All pages, in the order of the types.
static PAGES: LazyLock<Vec<Page>> = LazyLock::new(|| {
    let read = |kind: &IncidentType| page_of(*kind).expect("a test reads each of them");
    IncidentType::ALL.iter().map(read).collect()
});

/// The name of a type's file, and what is in it.
#[must_use]
pub const fn file(kind: IncidentType) -> (&'static str, &'static str) {
    macro_rules! file {
        ($name:literal) => {
            (concat!("runbooks/", $name), include_str!(concat!("../../../runbooks/", $name)))
        };
    }
    match kind {
        IncidentType::ModelUnavailable => file!("model-unavailable.md"),
        IncidentType::HighLatency => file!("high-latency.md"),
        IncidentType::HighErrorRate => file!("high-error-rate.md"),
        IncidentType::GpuOom => file!("gpu-oom.md"),
        IncidentType::NoisyNeighbour => file!("noisy-neighbour.md"),
        IncidentType::GpuHardware => file!("gpu-hardware.md"),
        IncidentType::NodeUnreachable => file!("node-unreachable.md"),
        IncidentType::TelemetryBlind => file!("telemetry-blind.md"),
        IncidentType::External => file!("external.md"),
    }
}

fn page_of(kind: IncidentType) -> Result<Page, NoPage> {
    let (name, text) = file(kind);
    parse(name, text)
}

/// The page of a type.
#[must_use]
pub fn page(kind: IncidentType) -> &'static Page {
    PAGES.iter().find(|page| page.kind == kind).expect("each type has a page")
}

/// All of them, in the order of the types.
#[must_use]
pub fn pages() -> &'static [Page] {
    &PAGES
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::runbook::{Goto, When};
    use gpuwarden_proto::vocab::StepKind;

    use super::*;

    #[test]
    fn each_type_has_a_page_of_its_own_and_each_branch_leads_somewhere() {
        let faults: Vec<String> = IncidentType::ALL
            .iter()
            .filter_map(|kind| page_of(*kind).err())
            .map(|fault| fault.to_string())
            .collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        for kind in IncidentType::ALL {
            let page = page(*kind);
            assert_eq!(page.kind, *kind);
            let branches = page.steps.iter().flat_map(|step| &step.branches);
            for to in branches.map(|branch| branch.to) {
                match to {
                    Goto::Step(number) => assert!(page.step(number).is_some(), "{kind}: {to}"),
                    Goto::Runbook(other) => assert_ne!(other, *kind, "a page sends to itself"),
                    Goto::Next | Goto::End => {}
                }
            }
        }
    }

    /// What a row of the handbook asks for, the step that does it, and what must stand in it.
    type Row = (&'static str, u32, &'static str);

    /// What the handbook asks for, row by row.
    const HANDBOOK: &[(IncidentType, &[Row])] = &[
        (
            IncidentType::ModelUnavailable,
            &[
                ("list the Triton pods", 1, "kubectl get pods -l app=triton"),
                ("read what Triton logged", 2, "kubectl logs {pod} -n {namespace} -c triton"),
                ("is the repository mounted and readable", 4, "ls -lR /models/{model}"),
                ("is the GPU there inside the pod", 5, "nvidia-smi"),
                ("restart after out of memory or crashes", 7, "rollout restart"),
                ("escalate a load that goes on failing", 9, "Give L2 the index reason"),
            ],
        ),
        (
            IncidentType::HighLatency,
            &[
                ("how long requests queue", 1, "nv_inference_queue_duration_us"),
                ("how busy the GPU is", 3, "utilization.gpu"),
                ("more pods", 6, "kubectl scale"),
                ("smaller batches, shorter queue delay", 9, "max_queue_delay_microseconds"),
                ("other work on the same node", 4, "nvidia-smi pmon"),
            ],
        ),
        (
            IncidentType::HighErrorRate,
            &[
                ("failures for each model", 1, "nv_inference_request_failure"),
                ("what was deployed or configured lately", 3, "rollout history"),
                ("back to the version before", 4, "rollout undo"),
                ("requests that are malformed", 5, "compare names, types and shapes"),
                ("memory of the GPU", 6, "memory.free"),
            ],
        ),
        (
            IncidentType::GpuOom,
            &[
                ("a lower batch limit in the config", 6, "Halve `max_batch_size`"),
                ("fewer instances on each GPU", 4, "`instance_group`"),
                ("smaller number formats", 9, "FP8"),
                ("more pods with fewer instances each", 7, "fewer instances in each"),
            ],
        ),
    ];

    #[test]
    fn every_row_of_the_handbooks_tables_is_a_step() {
        for (kind, rows) in HANDBOOK {
            for (row, number, needed) in *rows {
                let step = page(*kind).step(*number).expect(row);
                let text = format!("{} {} {}", step.title, step.text, step.commands.join("\n"));
                assert!(text.contains(needed), "{kind} step {number}, {row}: {text}");
            }
        }
    }

    #[test]
    fn a_remedy_that_a_node_may_do_says_where_its_success_leads() {
        let vague: Vec<String> = pages()
            .iter()
            .flat_map(|page| page.steps.iter().map(move |step| (page.kind, page.rollback, step)))
            .filter(|(_, _, step)| step.kind == StepKind::Remedy && step.action.is_some())
            .filter(|(_, rollback, step)| *rollback != Some(step.number))
            .filter(|(_, _, step)| !step.branches.iter().any(|branch| branch.when == When::Worked))
            .map(|(kind, _, step)| format!("{kind} {}", step.number))
            .collect();
        // Stopping new work on a GPU is not the end of it, whatever comes of it.
        assert_eq!(vague, ["gpu-hardware 5"]);
    }

    #[test]
    fn every_page_has_a_check_of_which_gpuwarden_sees_something() {
        for page in pages() {
            assert!(page.summary().seen > 0, "{}", page.kind);
        }
    }
}
