//! The words of runbooks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::UnknownWord;

words! {
    /// What a step of a runbook is.
    StepKind, "kind of step" {
        /// It looks and changes nothing.
        Check = "check",
        /// It changes something.
        Remedy = "remedy",
        /// It needs judgement, a decision or hands.
        Person = "person",
    }
}

words! {
    /// What an action of a node may cost.
    RiskClass, "risk class" {
        /// It observes.
        R0 = "R0",
        /// Reversible, and no request is lost.
        R1 = "R1",
        /// Reversible, and somebody suffers a little.
        R2 = "R2",
        /// State or capacity is lost; only with a permit.
        R3 = "R3",
    }
}
