//! `gpuwarden slo`: what is promised of services, and how much of it is left.

use gpuwarden_proto::event::Unit;
use gpuwarden_proto::slo::Objective;
use gpuwarden_proto::vocab::ObjectiveState;
use serde::Serialize;

use crate::args::Format;
use crate::client::{Aggregator, Client};
use crate::quantity::value;
use crate::screen::Screen;
use crate::table::{self, Cell, fixed, flexible};
use crate::text::Paint;

/// Windows that the table shows, in seconds.
const SHOWN_S: [u64; 3] = [3_600, 21_600, 259_200];

/// The JSON document.
#[derive(Debug, Serialize)]
struct Objectives {
    objectives: Vec<Objective>,
}

/// Shows the objectives.
pub async fn run(aggregator: &Aggregator, mut screen: Screen) -> anyhow::Result<()> {
    let objectives = Client::connect(aggregator).await?.objectives().await?;
    match screen.format {
        Format::Json => screen.json(&Objectives { objectives })?,
        Format::Table => screen.text(&render(&objectives, screen.paint))?,
    }
    Ok(())
}

/// The table, and below it what it cannot know.
pub fn render(objectives: &[Objective], paint: Paint) -> String {
    if objectives.is_empty() {
        return "No service has an objective. Give one `availability` or `latency` in the \
                aggregator's topology file.\n"
            .to_owned();
    }
    let columns = [
        flexible("SERVICE"),
        fixed("OBJECTIVE"),
        fixed("TARGET"),
        fixed("BUDGET LEFT"),
        fixed("BURN 1h"),
        fixed("6h"),
        fixed("3d"),
        flexible("STATE"),
    ];
    let rows: Vec<_> = objectives.iter().map(row).collect();
    let mut text = table::render(columns, &rows, paint);
    let silent = objectives.iter().filter(|objective| objective.nodes_silent > 0);
    for Objective { service, kind, nodes, nodes_silent, .. } in silent {
        text += &format!(
            "{service} {kind}: {nodes_silent} of {nodes} nodes do not tell; what they serve is not \
             counted\n"
        );
    }
    text
}

fn row(objective: &Objective) -> [Cell; 8] {
    let share = |share: f64| format!("{} %", (share * 1e5).round() / 1e3);
    let target = match objective.within_s {
        None => share(objective.target),
        Some(s) => format!("{} in {}", share(objective.target), value(s, Unit::Seconds)),
    };
    let unknown = || "-".to_owned();
    let left = objective.budget_left.map_or_else(unknown, |left| format!("{:.0} %", left * 100.0));
    let [hour, six_hours, three_days] = SHOWN_S
        .map(|window_s| objective.burn(window_s).map_or_else(unknown, |rate| format!("{rate:.1}")));
    let state = match objective.state {
        ObjectiveState::Burning => format!("burning: {}", objective.reason),
        ObjectiveState::Spent | ObjectiveState::TooFew | ObjectiveState::Unseen => {
            objective.reason.clone()
        }
        ObjectiveState::Kept => objective.state.as_str().to_owned(),
    };
    [
        objective.service.as_str().into(),
        objective.kind.as_str().into(),
        target.into(),
        left.into(),
        hour.into(),
        six_hours.into(),
        three_days.into(),
        state.into(),
    ]
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::slo::Burn;
    use gpuwarden_proto::vocab::ObjectiveKind;

    use super::*;

    fn objective(service: &str, rates: [f64; 3], state: ObjectiveState, reason: &str) -> Objective {
        let burn = |(window_s, rate)| Burn { window_s, rate: Some(rate), good: 1, total: 1 };
        Objective {
            service: service.to_owned(),
            kind: ObjectiveKind::Availability,
            target: 0.9995,
            within_s: None,
            critical: false,
            good: 1,
            total: 1,
            budget_left: Some(0.624),
            burns: SHOWN_S.into_iter().zip(rates).map(burn).collect(),
            state,
            reason: reason.to_owned(),
            nodes: 3,
            nodes_silent: 0,
        }
    }

    #[test]
    fn objectives_are_shown_with_what_is_left_of_them_and_what_is_not_known() {
        let burning =
            objective("search", [18.2, 3.14, 0.4], ObjectiveState::Burning, "over 14.4 in 1 h");
        let unseen = Objective {
            kind: ObjectiveKind::Latency,
            target: 0.99,
            within_s: Some(0.2),
            budget_left: None,
            burns: Vec::new(),
            nodes_silent: 2,
            ..objective("search", [0.0; 3], ObjectiveState::Unseen, "no requests counted for 3 d")
        };
        let kept = objective("features", [0.0, 0.0, 0.1], ObjectiveState::Kept, "");
        let table = render(&[burning, unseen, kept], Paint::Plain);
        insta::assert_snapshot!(table, @r"
        SERVICE   OBJECTIVE     TARGET          BUDGET LEFT  BURN 1h  6h   3d   STATE
        search    availability  99.95 %         62 %         18.2     3.1  0.4  burning: over 14.4 in 1 h
        search    latency       99 % in 200 ms  -            -        -    -    no requests counted for 3 d
        features  availability  99.95 %         62 %         0.0      0.0  0.1  kept
        search latency: 2 of 3 nodes do not tell; what they serve is not counted
        ");
    }

    #[test]
    fn where_nothing_is_promised_it_is_said_how_to() {
        let text = render(&[], Paint::Plain);
        assert!(text.contains("topology file"), "{text}");
    }
}
