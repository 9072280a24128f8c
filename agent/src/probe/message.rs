//! What the probe tells its parent: one JSON object a line.

use serde::{Deserialize, Serialize};

use crate::sample::{GpuReading, XidReading};

/// A line of the probe. A [`Gpus`](Self::Gpus) line is also its heartbeat: it is only written when
/// the driver has answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeMessage {
    /// The driver is there. Once, first.
    Hello {
        /// E.g. `580.95.05`.
        driver_version: String,
        /// E.g. `13.580.95.05`.
        nvml_version: String,
        /// GPUs it counts.
        gpus: u32,
    },
    /// GPUs were read.
    Gpus(GpuReading),
    /// The driver told of an XID.
    Xid(XidReading),
    /// There is nothing to read on this machine; the probe ends.
    Absent {
        /// In plain words.
        reason: String,
    },
    /// A call failed, or has not returned.
    Fault {
        /// The driver's name of it.
        call: String,
        /// The driver's index of the GPU; `None` where it was for none or for all.
        gpu: Option<u32>,
        /// In the driver's words.
        error: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::GpuSample;
    use gpuwarden_proto::vocab::GpuUuid;

    fn check(message: &ProbeMessage, line: &str) {
        assert_eq!(serde_json::to_string(message).unwrap(), line);
        assert_eq!(&serde_json::from_str::<ProbeMessage>(line).unwrap(), message);
    }

    #[test]
    fn every_message_is_a_line_that_reads_back() {
        check(
            &ProbeMessage::Hello {
                driver_version: "580.95.05".into(),
                nvml_version: "13.580.95.05".into(),
                gpus: 1,
            },
            r#"{"hello":{"driver_version":"580.95.05","nvml_version":"13.580.95.05","gpus":1}}"#,
        );
        check(
            &ProbeMessage::Absent { reason: "no driver".into() },
            r#"{"absent":{"reason":"no driver"}}"#,
        );
        check(
            &ProbeMessage::Fault { call: "nvmlInit".into(), gpu: None, error: "slow".into() },
            r#"{"fault":{"call":"nvmlInit","gpu":null,"error":"slow"}}"#,
        );
    }

    #[test]
    fn a_reading_survives_the_line() {
        let gpu = GpuSample::unread(GpuUuid::new("GPU-1").unwrap(), 0, "H100", "00000000:1B:00.0");
        let message =
            ProbeMessage::Gpus(GpuReading { driver_version: "580.95.05".into(), gpus: vec![gpu] });
        let line = serde_json::to_string(&message).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<ProbeMessage>(&line).unwrap(), message);
    }
}
