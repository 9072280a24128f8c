//! `gpuwarden incidents`: ask about incidents and answer them.

pub mod answer;
pub mod explain;
pub mod feed;
pub mod list;
pub mod name;
pub mod order;
pub mod report;
pub mod show;
pub mod watch;
pub mod work;

#[cfg(test)]
pub(crate) mod sample;

use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::IncidentId;
use gpuwarden_proto::work::Work;
use serde::Serialize;

use crate::args::{Format, Incidents};
use crate::client::{Aggregator, Client, ClientError, Word};
use crate::clock;
use crate::screen::Screen;
use crate::text::Paint;

/// One incident, with the work on it.
#[derive(Debug, Serialize)]
struct Known {
    #[serde(flatten)]
    incident: Incident,
    work: Option<Work>,
}

impl Known {
    async fn ask(client: &mut Client, id: IncidentId) -> Result<Self, ClientError> {
        Ok(Self { incident: client.incident(id).await?, work: client.work(id).await? })
    }
}

/// Does what was asked for.
pub async fn run(
    command: Incidents,
    aggregator: &Aggregator,
    mut screen: Screen,
) -> anyhow::Result<()> {
    if let Incidents::Watch { held } = command {
        return watch::run(aggregator, held, &mut screen).await;
    }
    let mut client = Client::connect(aggregator).await?;
    match command {
        Incidents::List { all, held, limit } => {
            let mut list = client.incidents(all, held, limit).await?;
            list.incidents.sort_by_key(list::worst_first);
            match screen.format {
                Format::Json => screen.json(&list)?,
                Format::Table => screen.text(&list::render(&list, clock::now(), screen.paint))?,
            }
        }
        Incidents::Show { id } => {
            known(&Known::ask(&mut client, id).await?, show::render_with, &mut screen)?;
        }
        // All that an explanation says is in the incident itself and in the work on it.
        Incidents::Explain { id } => {
            known(&Known::ask(&mut client, id).await?, explain::render_with, &mut screen)?;
        }
        Incidents::Order(order) => {
            let work = client.order(order.asked(clock::now())).await?;
            match screen.format {
                Format::Json => screen.json(&work)?,
                Format::Table => screen.line(&work::answer(&work, clock::now(), screen.paint))?,
            }
        }
        Incidents::Report(args) => {
            let filed = client.report(args.report()).await?;
            match screen.format {
                Format::Json => screen.json(&filed)?,
                Format::Table => screen.line(&report::render(&filed))?,
            }
        }
        Incidents::Watch { .. } => {}
        Incidents::Ack { id, lasts, by } => {
            let word = Word::Acknowledge { until: lasts.map(|lasts| clock::now().after(lasts)) };
            answered(&client.say(id, &by.by, word).await?, &mut screen)?;
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

/// Shows one incident as a page of its own kind, or all that is known of it.
fn known(
    known: &Known,
    page: fn(&Incident, Option<&Work>, Timestamp, Paint) -> String,
    screen: &mut Screen,
) -> anyhow::Result<()> {
    match screen.format {
        Format::Json => screen.json(known)?,
        Format::Table => {
            let Known { incident, work } = known;
            screen.text(&page(incident, work.as_ref(), clock::now(), screen.paint))?;
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
