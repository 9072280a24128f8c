//! Values as people write them.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

/// Reads `500ms`, `5s`, `2m`, `24h` or `7d`.
///
/// # Errors
///
/// When it is not a whole number followed by one of these units.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let fault = || "not a duration".to_owned();
    let number: u64 = number.parse().map_err(|_| fault())?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(fault()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(fault)
}

/// A duration as it is written in a file: in the largest unit that is exact.
pub(crate) fn written(duration: Duration) -> String {
    let ms = duration.as_millis();
    match [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
        .into_iter()
        .find(|(unit_ms, _)| ms >= *unit_ms && ms.is_multiple_of(*unit_ms))
    {
        Some((unit_ms, unit)) => format!("{}{unit}", ms / unit_ms),
        None => format!("{ms}ms"),
    }
}

/// Reads a duration and says what would have done.
pub(super) fn duration_within(
    text: &str,
    example: Duration,
    allowed: &RangeInclusive<Duration>,
) -> Result<Duration, String> {
    let (low, high) = (written(*allowed.start()), written(*allowed.end()));
    match parse_duration(text) {
        Ok(duration) if allowed.contains(&duration) => Ok(duration),
        Ok(_) => Err(format!("out of range (allowed {low} to {high})")),
        Err(fault) => {
            Err(format!("{fault} (try \"{}\", allowed {low} to {high})", written(example)))
        }
    }
}

/// A size in bytes, written like `64KiB`, `128MiB`, `2GiB` or `1000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// When it is not a whole number with one of these units or none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit {
            "" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return Err("not a size (try \"128MiB\")".to_owned()),
        };
        let number: u64 = number.parse().map_err(|_| "not a size (try \"128MiB\")".to_owned())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| "too large".to_owned())
    }
}

/// A value as it stands in the file, cut short when it is long.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
        DeValue::Integer(digits) => digits.to_string(),
        DeValue::Float(digits) => digits.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => value.to_string(),
        DeValue::Array(_) => "[…]".to_owned(),
        DeValue::Table(_) => "{…}".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_unit() {
        let read = |text| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(read("500ms"), Ok(500));
        assert_eq!(read("7d"), Ok(604_800_000));
        for wrong in ["", "5", "s", "-1s", "1.5s", "99999999999999999999s", "5 s"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read_in_every_unit() {
        assert_eq!(ByteSize::parse("128MiB"), Ok(ByteSize(134_217_728)));
        assert_eq!(ByteSize::parse("12"), Ok(ByteSize(12)));
        for wrong in ["", "MiB", "1MB", "99999999999GiB"] {
            assert!(ByteSize::parse(wrong).is_err(), "{wrong}");
        }
    }
}
