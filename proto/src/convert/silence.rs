//! Silences, and what is held back.

use std::time::Duration;

use prost::Message;

use super::{Refused, each, optional_time, parse};
use crate::pb;
use crate::repeat::{NoRepeat, Repeat};
use crate::silence::{
    Draft, End, Ended, Held, Hold, Holder, Listed, MatchOp, Matcher, Silence, SilenceId,
    Suppression,
};
use crate::time::Timestamp;
use crate::vocab::{IncidentId, SilenceKind};

impl From<Matcher> for pb::Matcher {
    fn from(matcher: Matcher) -> Self {
        let Matcher { key, op, value } = matcher;
        Self { key: key.to_string(), op: op.as_str().to_owned(), value }
    }
}

impl TryFrom<pb::Matcher> for Matcher {
    type Error = Refused;

    fn try_from(wire: pb::Matcher) -> Result<Self, Refused> {
        let refused = Refused::because("matcher");
        let key = wire
            .key
            .parse()
            .map_err(|error: crate::silence::NoMatcher| refused(error.to_string()))?;
        let op = MatchOp::ALL.iter().copied().find(|op| op.as_str() == wire.op);
        let op = op.ok_or_else(|| refused(format!("`{}` is none of = != =~ !~", wire.op)))?;
        Ok(Self { key, op, value: wire.value })
    }
}

impl From<Silence> for pb::Silence {
    fn from(silence: Silence) -> Self {
        let (ended_by, ended_unix_ns) =
            silence.ended.map_or_else(Default::default, |ended| (ended.by, ended.at.unix_ns()));
        Self {
            id: silence.id.0,
            kind: silence.kind.as_str().to_owned(),
            matchers: silence.matchers.into_iter().map(Into::into).collect(),
            entities: silence.entities.into_iter().map(Into::into).collect(),
            starts_unix_ns: silence.starts_at.unix_ns(),
            ends_unix_ns: silence.ends_at.unix_ns(),
            author: silence.author,
            reason: silence.reason,
            even_critical: silence.even_critical,
            created_unix_ns: silence.created_at.unix_ns(),
            ended_by,
            ended_unix_ns,
            incidents_held: silence.incidents_held,
            findings_held: silence.findings_held,
            repeat: silence.repeat.map(Into::into),
        }
    }
}

impl TryFrom<pb::Silence> for Silence {
    type Error = Refused;

    fn try_from(wire: pb::Silence) -> Result<Self, Refused> {
        let ended = optional_time(wire.ended_unix_ns);
        Ok(Self {
            id: SilenceId(wire.id),
            kind: parse("silence.kind", &wire.kind)?,
            matchers: each(wire.matchers, TryInto::try_into)?,
            entities: each(wire.entities, TryInto::try_into)?,
            starts_at: Timestamp::from_unix_ns(wire.starts_unix_ns),
            ends_at: Timestamp::from_unix_ns(wire.ends_unix_ns),
            author: wire.author,
            reason: wire.reason,
            even_critical: wire.even_critical,
            created_at: Timestamp::from_unix_ns(wire.created_unix_ns),
            ended: ended.map(|at| Ended { by: wire.ended_by, at }),
            incidents_held: wire.incidents_held,
            findings_held: wire.findings_held,
            repeat: wire.repeat.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<Draft> for pb::CreateSilenceRequest {
    fn from(draft: Draft) -> Self {
        let (ends_unix_ns, lasts_ms) = match draft.end {
            End::At(at) => (at.unix_ns(), 0),
            End::After(lasts) => (0, lasts.as_millis().try_into().unwrap_or(u64::MAX)),
        };
        Self {
            kind: draft.kind.as_str().to_owned(),
            matchers: draft.matchers.into_iter().map(Into::into).collect(),
            entities: draft.entities.into_iter().map(Into::into).collect(),
            starts_unix_ns: draft.starts_at.map_or(0, Timestamp::unix_ns),
            ends_unix_ns,
            lasts_ms,
            author: draft.author,
            reason: draft.reason,
            even_critical: draft.even_critical,
            dry_run: false,
            repeat: draft.repeat.map(Into::into),
        }
    }
}

impl TryFrom<pb::CreateSilenceRequest> for Draft {
    type Error = Refused;

    fn try_from(wire: pb::CreateSilenceRequest) -> Result<Self, Refused> {
        let kind = match wire.kind.as_str() {
            "" => SilenceKind::Silence,
            word => parse("silence.kind", word)?,
        };
        let end = match (optional_time(wire.ends_unix_ns), wire.lasts_ms) {
            (Some(at), 0) => End::At(at),
            (None, ms) if ms > 0 => End::After(Duration::from_millis(ms)),
            (_, _) => {
                let fault = "say either when it ends or how long it lasts".to_owned();
                return Err(Refused::because("silence.end")(fault));
            }
        };
        Ok(Self {
            kind,
            matchers: each(wire.matchers, TryInto::try_into)?,
            entities: each(wire.entities, TryInto::try_into)?,
            starts_at: optional_time(wire.starts_unix_ns),
            end,
            author: wire.author,
            reason: wire.reason,
            even_critical: wire.even_critical,
            repeat: wire.repeat.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<Repeat> for pb::Repeat {
    fn from(repeat: Repeat) -> Self {
        let Repeat { every, at, zone, last } = repeat;
        Self { every: every.into(), at: at.into(), zone: zone.into(), last: last.into() }
    }
}

impl TryFrom<pb::Repeat> for Repeat {
    type Error = Refused;

    fn try_from(wire: pb::Repeat) -> Result<Self, Refused> {
        let refused = |part| move |fault: NoRepeat| Refused::because(part)(fault.to_string());
        Ok(Self {
            every: wire.every.parse().map_err(refused("repeat.every"))?,
            at: wire.at.parse().map_err(refused("repeat.at"))?,
            zone: wire.zone.parse().map_err(refused("repeat.zone"))?,
            last: wire.last.parse().map_err(refused("repeat.last"))?,
        })
    }
}

impl From<Hold> for pb::Hold {
    fn from(hold: Hold) -> Self {
        let Hold { incidents, findings, in_part, critical } = hold;
        Self { incidents, findings, in_part, critical }
    }
}

impl From<pb::Hold> for Hold {
    fn from(wire: pb::Hold) -> Self {
        let pb::Hold { incidents, findings, in_part, critical } = wire;
        Self { incidents, findings, in_part, critical }
    }
}

impl From<Listed> for pb::ListedSilence {
    fn from(listed: Listed) -> Self {
        Self {
            silence: Some(listed.silence.into()),
            state: listed.state.as_str().to_owned(),
            now: Some(listed.now.into()),
        }
    }
}

impl TryFrom<pb::ListedSilence> for Listed {
    type Error = Refused;

    fn try_from(wire: pb::ListedSilence) -> Result<Self, Refused> {
        Ok(Self {
            silence: wire.silence.ok_or_else(|| Refused::missing("silence"))?.try_into()?,
            state: parse("silence.state", &wire.state)?,
            now: wire.now.unwrap_or_default().into(),
        })
    }
}

impl From<Suppression> for pb::Suppression {
    fn from(suppression: Suppression) -> Self {
        let (kind, silence, rule, incident) = match suppression.by {
            Holder::Silence { id } => ("silence", id.0, String::new(), 0),
            Holder::Maintenance { id } => ("maintenance", id.0, String::new(), 0),
            Holder::Inhibition { rule, incident } => ("inhibition", 0, rule, incident.0),
        };
        Self {
            kind: kind.to_owned(),
            silence,
            rule,
            incident,
            author: suppression.author,
            reason: suppression.reason,
            until_unix_ns: suppression.until.map_or(0, Timestamp::unix_ns),
            members_held: suppression.members_held,
            members_total: suppression.members_total,
        }
    }
}

impl TryFrom<pb::Suppression> for Suppression {
    type Error = Refused;

    fn try_from(wire: pb::Suppression) -> Result<Self, Refused> {
        let id = SilenceId(wire.silence);
        let by = match wire.kind.as_str() {
            "silence" => Holder::Silence { id },
            "maintenance" => Holder::Maintenance { id },
            "inhibition" => {
                Holder::Inhibition { rule: wire.rule, incident: IncidentId(wire.incident) }
            }
            other => {
                return Err(Refused::because("suppression.kind")(format!(
                    "`{other}` is not known"
                )));
            }
        };
        Ok(Self {
            by,
            author: wire.author,
            reason: wire.reason,
            until: optional_time(wire.until_unix_ns),
            members_held: wire.members_held,
            members_total: wire.members_total,
        })
    }
}

impl From<Held> for pb::Held {
    fn from(held: Held) -> Self {
        Self {
            incident: held.incident.0,
            r#type: held.kind.as_str().to_owned(),
            severity: held.severity.as_str().to_owned(),
            title: held.title,
            held_since_unix_ns: held.held_since.map_or(0, Timestamp::unix_ns),
            suppression: Some(held.suppression.into()),
        }
    }
}

impl TryFrom<pb::Held> for Held {
    type Error = Refused;

    fn try_from(wire: pb::Held) -> Result<Self, Refused> {
        let suppression = wire.suppression.ok_or_else(|| Refused::missing("held.suppression"))?;
        Ok(Self {
            incident: IncidentId(wire.incident),
            kind: parse("held.type", &wire.r#type)?,
            severity: parse("held.severity", &wire.severity)?,
            title: wire.title,
            held_since: optional_time(wire.held_since_unix_ns),
            suppression: suppression.try_into()?,
        })
    }
}

/// Encodes a silence as stores keep it.
pub fn encode_silence(silence: &Silence) -> Vec<u8> {
    pb::Silence::from(silence.clone()).encode_to_vec()
}

/// Decodes a silence.
///
/// # Errors
///
/// Not such a record, or with a word that this version does not know.
pub fn decode_silence(bytes: &[u8]) -> Result<Silence, Refused> {
    let fault = |error| Refused::because("silence")(format!("cannot be decoded: {error}"));
    pb::Silence::decode(bytes).map_err(fault)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::{Entity, EntityKind};
    use crate::vocab::{IncidentType, Severity, SilenceState};

    fn silence() -> Silence {
        let at = Timestamp::from_unix_s;
        Silence {
            id: SilenceId(7),
            kind: SilenceKind::Maintenance,
            matchers: vec!["rule=~xid|ecc.*".parse().unwrap(), "label.pool!=b".parse().unwrap()],
            entities: vec![Entity::fleet(EntityKind::Rack, "r7")],
            starts_at: at(10),
            ends_at: at(20),
            author: "ann".to_owned(),
            reason: "new PDU".to_owned(),
            even_critical: true,
            created_at: at(5),
            ended: Some(Ended { by: "bob".to_owned(), at: at(15) }),
            incidents_held: 2,
            findings_held: 5,
            repeat: Some(Repeat {
                every: "mon,thu".parse().unwrap(),
                at: "02:00".parse().unwrap(),
                zone: "Europe/Berlin".parse().unwrap(),
                last: "2026-12-31".parse().unwrap(),
            }),
        }
    }

    #[test]
    fn a_silence_survives_the_wire_and_the_store() {
        let now = Hold { incidents: 1, findings: 2, in_part: 3, critical: 4 };
        let listed = Listed { silence: silence(), state: SilenceState::Over, now };
        assert_eq!(Listed::try_from(pb::ListedSilence::from(listed.clone())), Ok(listed));
        assert_eq!(decode_silence(&encode_silence(&silence())), Ok(silence()));
    }

    #[test]
    fn what_is_held_back_survives_the_wire() {
        let (rule, incident) = ("rack-first".to_owned(), IncidentId(4));
        let id = SilenceId(7);
        let holders = [
            Holder::Silence { id },
            Holder::Maintenance { id },
            Holder::Inhibition { rule, incident },
        ];
        for by in holders {
            let suppression = Suppression {
                by,
                author: "ann".to_owned(),
                reason: "new PDU".to_owned(),
                until: Some(Timestamp::from_unix_s(20)),
                members_held: 1,
                members_total: 2,
            };
            let held = Held {
                incident: IncidentId(9),
                kind: IncidentType::GpuOom,
                severity: Severity::P2,
                title: "gone".to_owned(),
                held_since: None,
                suppression,
            };
            assert_eq!(Held::try_from(pb::Held::from(held.clone())), Ok(held));
        }
    }

    #[test]
    fn a_request_says_when_it_ends_in_one_way() {
        let draft = Draft {
            kind: SilenceKind::Silence,
            matchers: vec!["node=a".parse().unwrap()],
            entities: Vec::new(),
            starts_at: None,
            end: End::After(Duration::from_secs(60)),
            author: "ann".to_owned(),
            reason: "a test".to_owned(),
            even_critical: false,
            repeat: None,
        };
        let wire = pb::CreateSilenceRequest::from(draft.clone());
        assert_eq!(Draft::try_from(wire.clone()), Ok(draft));
        for (ends_unix_ns, lasts_ms) in [(0, 0), (5, 5)] {
            let wire = pb::CreateSilenceRequest { ends_unix_ns, lasts_ms, ..wire.clone() };
            assert!(Draft::try_from(wire).is_err());
        }
    }
}
