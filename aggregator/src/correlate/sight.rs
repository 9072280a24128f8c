//! Whether a node could have seen a finding, had there been one. Pure.
//!
//! That a snapshot does not list a finding says something only when the source that would show it
//! sees: what cannot be seen is neither healthy nor recovered.

use gpuwarden_proto::event::Subject;
use gpuwarden_proto::inventory::Source;
use gpuwarden_proto::vocab::{RuleId, SourceState};

/// Whether the sources that `rule` reads for `subject` all see.
#[must_use]
pub fn sees(sources: &[Source], rule: RuleId, subject: &Subject) -> bool {
    let seeing = |name: &str| {
        sources
            .iter()
            .any(|source| source.name.as_str() == name && source.state == SourceState::Seeing)
    };
    let server = || match subject {
        Subject::Model { server, .. } | Subject::Server { server } => {
            seeing(&format!("triton/{server}")) || seeing("triton")
        }
        Subject::Service { .. } | Subject::Alert { .. } => false,
        Subject::Node | Subject::Gpu { .. } | Subject::Process { .. } | Subject::Source { .. } => {
            let triton = |source: &&Source| source.name.as_str().starts_with("triton");
            let mut tritons = sources.iter().filter(triton).peekable();
            tritons.peek().is_some() && tritons.all(|source| source.state == SourceState::Seeing)
        }
    };
    match rule {
        RuleId::GpuMemoryExhausted | RuleId::GpuMemoryExhausting => match subject {
            Subject::Model { .. } | Subject::Server { .. } => seeing("nvml") && server(),
            _ => seeing("nvml"),
        },
        RuleId::RogueProcess
        | RuleId::GpuLost
        | RuleId::GpuRecoveryRequired
        | RuleId::EccUncorrected
        | RuleId::RowRemap
        | RuleId::ThermalThrottle
        | RuleId::PowerBrake
        | RuleId::PcieDegraded
        | RuleId::NvlinkErrors => seeing("nvml"),
        RuleId::Xid => seeing("kmsg") || seeing("nvml"),
        RuleId::HostMemoryOom | RuleId::CpuThrottled => seeing("host"),
        RuleId::NoisyNeighbour => seeing("nvml") && server(),
        RuleId::QueueBackup
        | RuleId::QueueStall
        | RuleId::QueueRejecting
        | RuleId::LatencyHigh
        | RuleId::KvCacheSaturated
        | RuleId::ModelUnavailable
        | RuleId::ServerUnavailable
        | RuleId::ErrorRateHigh => server(),
        RuleId::TelemetryBlind => match subject {
            Subject::Source { source } => seeing(source.as_str()),
            _ => false,
        },
        RuleId::NodeLost
        | RuleId::AvailabilityBurn
        | RuleId::LatencyBurn
        | RuleId::ExternalAlert
        | RuleId::UserReport => false,
    }
}
