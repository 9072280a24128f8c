//! `gpuwarden oncall`: who is on call, and who takes over.

use std::time::Duration;

use clap::Subcommand;
use gpuwarden_proto::oncall::{OnCall, TakeOver};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{PersonName, ScheduleName};
use serde::Serialize;

use crate::args::{By, Format, duration};
use crate::client::{Aggregator, Client};
use crate::clock;
use crate::page::Page;
use crate::screen::Screen;
use crate::text::{WIDTH, clean};

/// `gpuwarden oncall`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show who is on call in each schedule, until when, why, and who comes next.
    Show,
    /// Have somebody take over for a time. The latest of several counts.
    Override {
        /// The schedule.
        #[arg(value_parser = schedule)]
        schedule: ScheduleName,
        /// Who takes over.
        #[arg(value_parser = person)]
        who: PersonName,
        /// For so long, e.g. 2h.
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        #[arg(required_unless_present = "until", conflicts_with = "until")]
        lasts: Option<Duration>,
        /// Until this instant, in RFC 3339.
        #[arg(long, value_name = "INSTANT")]
        until: Option<Timestamp>,
        /// From this instant on; without it, now.
        #[arg(long, value_name = "INSTANT")]
        from: Option<Timestamp>,
        /// Who says so.
        #[command(flatten)]
        by: By,
    },
}

/// The JSON document.
#[derive(Debug, Serialize)]
struct Schedules {
    schedules: Vec<OnCall>,
}

/// Does what was asked for.
pub async fn run(
    command: Command,
    aggregator: &Aggregator,
    mut screen: Screen,
) -> anyhow::Result<()> {
    let mut client = Client::connect(aggregator).await?;
    let schedules = match command {
        Command::Show => client.on_call().await?,
        Command::Override { schedule, who, lasts, until, from, by } => {
            let begins = from.unwrap_or_else(clock::now);
            let to = until.unwrap_or_else(|| begins.after(lasts.unwrap_or_default()));
            client.take_over(TakeOver { schedule, who, from, to, by: by.by }).await?
        }
    };
    match screen.format {
        Format::Json => screen.json(&Schedules { schedules })?,
        Format::Table => screen.text(&render(&schedules))?,
    }
    Ok(())
}

/// Each schedule with who is on and who comes next.
fn render(schedules: &[OnCall]) -> String {
    let mut page = Page::new(WIDTH);
    if schedules.is_empty() {
        page.line("Nobody can be on call: the aggregator's settings name no schedule ([[oncall.schedule]]).");
    }
    for each in schedules {
        let levels: Vec<String> = each.levels.iter().map(ToString::to_string).collect();
        let levels = match levels.is_empty() {
            true => "answers at no level".to_owned(),
            false => levels.join(", "),
        };
        page.line(&format!("{}  ({levels})", clean(each.schedule.as_str())));
        page.labelled("now", &each.sentence);
        each.next.iter().for_each(|next| page.labelled("then", next));
    }
    page.text()
}

fn schedule(text: &str) -> Result<ScheduleName, String> {
    ScheduleName::new(text).map_err(|error| format!("not a schedule's name: it {}", error.fault))
}

fn person(text: &str) -> Result<PersonName, String> {
    PersonName::new(text).map_err(|error| format!("not a person's name: it {}", error.fault))
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::work::Level;

    use super::*;

    #[test]
    fn each_schedule_says_who_is_on_and_who_comes_next() {
        let on = OnCall {
            schedule: ScheduleName::new("platform").unwrap(),
            levels: vec![Level::L1, Level::L2],
            who: PersonName::new("ann").ok(),
            until: None,
            sentence: "ann until Mon 2026-11-30 09:00 (layer weeks)".to_owned(),
            next: vec!["Mon 2026-11-30 09:00 ann → ben (layer weeks)".to_owned()],
        };
        insta::assert_snapshot!(render(&[on]), @r"
        platform  (L1, L2)
          now       ann until Mon 2026-11-30 09:00 (layer weeks)
          then      Mon 2026-11-30 09:00 ann → ben (layer weeks)
        ");
        insta::assert_snapshot!(render(&[]), @"Nobody can be on call: the aggregator's settings name no schedule ([[oncall.schedule]]).");
    }
}
