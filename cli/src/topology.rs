//! `gpuwarden topology`: what stands where, and for one thing what it is in, holds, serves and depends
//! on, and what is open on it.

mod portrait;
mod tree;

use crate::args::{Format, Topology};
use crate::client::{Aggregator, Client};
use crate::clock;
use crate::screen::Screen;

/// Does what was asked for.
pub async fn run(
    command: &Topology,
    aggregator: &Aggregator,
    mut screen: Screen,
) -> anyhow::Result<()> {
    let mut client = Client::connect(aggregator).await?;
    let Some(entity) = &command.entity else {
        let tree = client.tree(command.depth.kind().as_str()).await?;
        match screen.format {
            Format::Json => screen.json(&tree)?,
            Format::Table => screen.text(&tree::render(&tree, screen.paint))?,
        }
        return Ok(());
    };
    let portrait = client.portrait(entity).await?;
    match screen.format {
        Format::Json => screen.json(&portrait)?,
        Format::Table => {
            screen.text(&portrait::render(&portrait, clock::now(), screen.paint))?;
        }
    }
    Ok(())
}
