//! `gpuwarden incidents`: ask about incidents and answer them.

pub mod answer;
pub mod explain;
pub mod feed;
pub mod list;
pub mod name;
pub mod show;
pub mod watch;

#[cfg(test)]
pub(crate) mod sample;

use gpuwarden_proto::incident::Incident;

use crate::args::{Format, Incidents};
use crate::client::{Aggregator, Client, Word};
use crate::clock;
use crate::screen::Screen;

/// Does what was asked for.
pub async fn run(
    command: Incidents,
    aggregator: &Aggregator,
    mut screen: Screen,
) -> anyhow::Result<()> {
    if matches!(command, Incidents::Watch) {
        return watch::run(aggregator, &mut screen).await;
    }
    let mut client = Client::connect(aggregator).await?;
    match command {
        Incidents::List { all, limit } => {
            let mut list = client.incidents(all, limit).await?;
            list.incidents.sort_by_key(list::worst_first);
            match screen.format {
                Format::Json => screen.json(&list)?,
                Format::Table => screen.text(&list::render(&list, clock::now(), screen.paint))?,
            }
        }
        Incidents::Show { id } => {
            let incident = client.incident(id).await?;
            match screen.format {
                Format::Json => screen.json(&incident)?,
                Format::Table => {
                    screen.text(&show::render(&incident, clock::now(), screen.paint))?;
                }
            }
        }
        Incidents::Explain { id } => {
            let incident = client.incident(id).await?;
            match screen.format {
                // All that an explanation says is in the incident itself.
                Format::Json => screen.json(&incident)?,
                Format::Table => {
                    screen.text(&explain::render(&incident, clock::now(), screen.paint))?;
                }
            }
        }
        Incidents::Watch => {}
        Incidents::Ack { id, by } => {
            answered(&client.say(id, &by.by, Word::Acknowledge).await?, &mut screen)?;
        }
        Incidents::Note { id, text, by } => {
            answered(&client.say(id, &by.by, Word::Note(text)).await?, &mut screen)?;
        }
        Incidents::Merge { id, into, reason, by } => {
            let word = Word::Merge { into, reason };
            answered(&client.say(id, &by.by, word).await?, &mut screen)?;
        }
        Incidents::Split { id, members, reason, by } => {
            let word = Word::Split { members, reason };
            answered(&client.say(id, &by.by, word).await?, &mut screen)?;
        }
        Incidents::Resolve { id, reason, force, by } => {
            let word = Word::Resolve { reason, force };
            answered(&client.say(id, &by.by, word).await?, &mut screen)?;
        }
    }
    Ok(())
}

/// Shows what became of an incident after a person's word.
fn answered(incident: &Incident, screen: &mut Screen) -> anyhow::Result<()> {
    match screen.format {
        Format::Json => screen.json(incident)?,
        Format::Table => screen.line(&answer::render(incident, screen.paint))?,
    }
    Ok(())
}
