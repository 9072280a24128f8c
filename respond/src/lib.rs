//! What people are asked to do about incidents, who, and when.

pub mod by_severity;
pub mod calendar;
pub mod checklist;
pub mod escalate;
pub mod lifecycle;
pub mod oncall;
pub mod target;
pub mod timer;
pub mod zone;
