//! The same words for two states. Numbers of incidents are each side's own, so that a person's word
//! on a live incident is meant for the one of the shadow that holds the same finding. Pure.

use gpuwarden_proto::vocab::IncidentId;

use crate::correlate::State;
use crate::replay::line::Word;

/// What is said to the shadow when `word` is said to the live side; `None` where a person speaks of
/// an incident that the shadow does not have. To be asked before the live side is told.
#[must_use]
pub fn meant(word: &Word, live: &State, shadow: &State) -> Option<Word> {
    match word {
        Word::Command(id, command) => {
            let twin = twin(*id, live, shadow)?;
            Some(Word::Command(twin, command.clone()))
        }
        word => Some(word.clone()),
    }
}

/// The incident of the shadow that holds the first finding of a live one that it knows, the active
/// ones first.
fn twin(id: IncidentId, live: &State, shadow: &State) -> Option<IncidentId> {
    let members = || live.incident(id).into_iter().flat_map(|incident| &incident.members);
    let active = members().filter(|member| member.cleared_at.is_none());
    let over = members().filter(|member| member.cleared_at.is_some());
    active.chain(over).find_map(|member| {
        let key = (member.rule, member.subject.identity());
        shadow.incident_of(member.node.as_ref(), &key)
    })
}
