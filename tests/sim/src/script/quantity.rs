//! Numbers with their units.

use std::time::Duration;

/// `250ms`, `10s`, `1.5s` or `2m`; a day at most.
pub(super) fn duration(word: &str) -> Option<Duration> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0)];
    let s = with_unit(word, &units)?;
    (s <= 86_400.0).then(|| Duration::from_secs_f64(s))
}

/// `212MiB/s`, `1.5GiB/s`.
pub(super) fn bytes_per_s(word: &str) -> Option<f64> {
    let units =
        [("KiB/s", 1024.0), ("MiB/s", 1024.0 * 1024.0), ("GiB/s", 1024.0 * 1024.0 * 1024.0)];
    with_unit(word, &units)
}

/// `3x`, `0.5x`.
pub(super) fn factor(word: &str) -> Option<f64> {
    with_unit(word, &[("x", 1.0)]).filter(|factor| *factor <= 1_000.0)
}

/// 0 to 1.
pub(super) fn share(word: &str) -> Option<f64> {
    word.parse().ok().filter(|share| (0.0..=1.0).contains(share))
}

fn with_unit(word: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (number, size) =
        units.iter().find_map(|(unit, size)| Some((word.strip_suffix(unit)?, size)))?;
    let number: f64 = number.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number * size)
}
