//! `gpuwarden silence`: hold incidents back for a time, with a reason, and see what is held back.

pub mod ask;
pub mod show;

use gpuwarden_proto::silence::{Held, Listed};
use serde::Serialize;

use self::ask::Silence;
use crate::args::Format;
use crate::client::{Aggregator, Client};
use crate::clock;
use crate::screen::Screen;

/// The JSON document of silences.
#[derive(Debug, Serialize)]
struct Silences {
    silences: Vec<Listed>,
}

/// The JSON document of what is held back.
#[derive(Debug, Serialize)]
struct HeldBack {
    held: Vec<Held>,
}

/// Does what was asked for.
pub async fn run(
    command: Silence,
    aggregator: &Aggregator,
    mut screen: Screen,
) -> anyhow::Result<()> {
    let mut client = Client::connect(aggregator).await?;
    let json = screen.format == Format::Json;
    match command {
        Silence::Add(add) => {
            let dry_run = add.dry_run;
            let made = client.silence(add.draft(), dry_run).await?;
            match json {
                true => screen.json(&made)?,
                false => screen.text(&show::made(&made, clock::now(), dry_run))?,
            }
        }
        Silence::List { all } => {
            let silences = client.silences(all).await?;
            match json {
                true => screen.json(&Silences { silences })?,
                false => screen.text(&show::list(&silences, clock::now()))?,
            }
        }
        Silence::End { id, by } => {
            let ended = client.end_silence(id, &by.by).await?;
            match json {
                true => screen.json(&ended)?,
                false => screen.text(&show::ended(&ended))?,
            }
        }
        Silence::Held => {
            let held = client.held().await?;
            match json {
                true => screen.json(&HeldBack { held })?,
                false => screen.text(&show::held(&held, clock::now(), screen.paint))?,
            }
        }
    }
    Ok(())
}
