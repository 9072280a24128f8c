//! Who is on call.

use super::{Refused, optional_time};
use crate::oncall::{OnCall, TakeOver};
use crate::pb;
use crate::time::Timestamp;
use crate::vocab::{BadName, PersonName, ScheduleName};

fn name<T>(field: &'static str, read: Result<T, BadName>) -> Result<T, Refused> {
    read.map_err(|error| Refused::because(field)(error.fault.to_owned()))
}

impl From<OnCall> for pb::OnCall {
    fn from(on: OnCall) -> Self {
        let OnCall { schedule, levels, who, until, sentence, next } = on;
        Self {
            schedule: schedule.as_str().to_owned(),
            levels: levels.iter().map(|level| level.as_str().to_owned()).collect(),
            who: who.map_or_else(String::new, |who| who.as_str().to_owned()),
            until_unix_ns: until.map_or(0, Timestamp::unix_ns),
            sentence,
            next,
        }
    }
}

impl TryFrom<pb::OnCall> for OnCall {
    type Error = Refused;

    fn try_from(wire: pb::OnCall) -> Result<Self, Refused> {
        let level = |text: &String| text.parse().map_err(Refused::because("oncall.levels"));
        let who = (!wire.who.is_empty()).then(|| name("oncall.who", PersonName::new(&wire.who)));
        Ok(Self {
            schedule: name("oncall.schedule", ScheduleName::new(&wire.schedule))?,
            levels: wire.levels.iter().map(level).collect::<Result<_, _>>()?,
            who: who.transpose()?,
            until: optional_time(wire.until_unix_ns),
            sentence: wire.sentence,
            next: wire.next,
        })
    }
}

impl From<TakeOver> for pb::TakeOverRequest {
    fn from(TakeOver { schedule, who, from, to, by }: TakeOver) -> Self {
        Self {
            schedule: schedule.as_str().to_owned(),
            who: who.as_str().to_owned(),
            from_unix_ns: from.map_or(0, Timestamp::unix_ns),
            to_unix_ns: to.unix_ns(),
            by,
        }
    }
}

impl TryFrom<pb::TakeOverRequest> for TakeOver {
    type Error = Refused;

    fn try_from(wire: pb::TakeOverRequest) -> Result<Self, Refused> {
        if wire.by.is_empty() {
            return Err(Refused::missing("by"));
        }
        Ok(Self {
            schedule: name("schedule", ScheduleName::new(&wire.schedule))?,
            who: name("who", PersonName::new(&wire.who))?,
            from: optional_time(wire.from_unix_ns),
            to: optional_time(wire.to_unix_ns).ok_or(Refused::missing("to_unix_ns"))?,
            by: wire.by,
        })
    }
}
