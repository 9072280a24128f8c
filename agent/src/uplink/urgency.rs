//! Whether a change of the picture can wait. Pure.

use gpuwarden_proto::inventory::Snapshot;

/// Whether what is active or available has changed, rather than only numbers.
pub(crate) fn is_urgent(before: &Snapshot, after: &Snapshot) -> bool {
    findings(before).ne(findings(after))
        || servers(before).ne(servers(after))
        || models(before).ne(models(after))
        || sources(before).ne(sources(after))
        || gpus(before).ne(gpus(after))
}

fn findings(snapshot: &Snapshot) -> impl Iterator<Item = impl PartialEq> {
    snapshot.active.iter().map(|finding| (finding.rule, finding.subject.identity(), finding.grade))
}

fn servers(snapshot: &Snapshot) -> impl Iterator<Item = impl PartialEq> {
    snapshot.servers.iter().map(|server| (&server.name, server.availability))
}

fn models(snapshot: &Snapshot) -> impl Iterator<Item = impl PartialEq> {
    let models = snapshot.servers.iter().flat_map(|server| &server.models);
    models.map(|model| (&model.name, &model.version, model.availability))
}

fn sources(snapshot: &Snapshot) -> impl Iterator<Item = impl PartialEq> {
    snapshot.sources.iter().map(|source| (&source.name, source.state))
}

fn gpus(snapshot: &Snapshot) -> impl Iterator<Item = impl PartialEq> {
    snapshot.gpus.iter().map(|gpu| (&gpu.uuid, gpu.lost))
}
