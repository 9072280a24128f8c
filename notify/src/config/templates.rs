//! The user's templates, from their folder.

use std::collections::BTreeMap;
use std::path::Path;

use super::from_disk;
use crate::message::template::{TEMPLATE_MAX_BYTES, Templates};

/// Reads what is in the folder. What cannot be read is said and left to the built-in templates.
pub(super) fn load(folder: Option<&Path>) -> (Templates, Vec<String>) {
    let Some(folder) = folder else { return Templates::new(BTreeMap::new()) };
    let mut faults = Vec::new();
    let mut own = BTreeMap::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let fault = format!("{}: cannot be read: {error}", folder.display());
            return (
                Templates::default(),
                vec![format!("{fault}; the built-in templates stand in")],
            );
        }
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let template = path.extension().is_some_and(|extension| extension == "txt");
        let size = path.metadata().map_or(0, |meta| meta.len());
        if !template {
            continue;
        }
        if size > TEMPLATE_MAX_BYTES as u64 {
            faults.push(format!("{name}: has more than {TEMPLATE_MAX_BYTES} bytes"));
            continue;
        }
        match from_disk(&path) {
            Ok(text) => drop(own.insert(name.to_owned(), text)),
            Err(fault) => faults.push(format!("{name}: {fault}; the built-in template stands in")),
        }
    }
    let (templates, wrong) = Templates::new(own);
    faults.extend(wrong);
    (templates, faults)
}
