//! Short names for things that are told without one. Pure.
//!
//! FNV-1a of 64 bits, and of labels in the very way of Prometheus: so an alert that comes from Prometheus
//! itself has the fingerprint that Alertmanager gives it, and is the same by either way.

use super::Labels;

const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;
/// Stands between what must not run into each other; no UTF-8 has it.
const SEPARATOR: u8 = 0xff;

/// The fingerprint of a set of labels, 16 hexadecimal digits.
#[must_use]
pub fn of_labels(labels: &Labels) -> String {
    let parts = labels.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    format!("{:016x}", digest(parts))
}

/// A number for a sequence of texts. It hides nothing and is not made against malice.
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let bytes = parts.into_iter().flat_map(|part| part.bytes().chain([SEPARATOR]));
    bytes.fold(BASIS, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_the_fingerprint_that_alertmanager_gives_them() {
        let labels = [("name", "garland, briggs"), ("fear", "love is not enough")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        // The number that Prometheus's own library gives for these.
        assert_eq!(
            of_labels(&Labels::from(labels)),
            format!("{:016x}", 5_799_056_148_416_392_346_u64)
        );
        assert_eq!(of_labels(&Labels::new()), "cbf29ce484222325");
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(digest(["ab", "c"]), digest(["a", "bc"]));
    }
}
