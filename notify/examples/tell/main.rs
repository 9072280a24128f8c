//! Tells what it reads: `tell --config notify.toml`, a line of standard input for each.
//!
//! A line is `DESTINATION STEP KIND INCIDENT SEVERITY AUDIENCE`, such as
//! `oncall-mail page page 2 P1 engineering`. What becomes of it is printed, a line each.

mod clock;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use gpuwarden_notify::config::Settings;
use gpuwarden_notify::delivery::{Delivery, DestinationName, Input, Key, Output, RequestId, State};
use gpuwarden_notify::destination::Verdict;
use gpuwarden_notify::message::{Audience, Kind, Message, example};
use gpuwarden_notify::teller::Teller;
use gpuwarden_proto::vocab::IncidentId;
use tokio::sync::mpsc;

type Answers = mpsc::UnboundedSender<(RequestId, Verdict)>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (Some("--config"), Some(file)) = (words.next().as_deref(), words.next()) else {
        eprintln!("usage: tell --config FILE");
        return ExitCode::from(2);
    };
    let settings = match Settings::load(&PathBuf::from(file)) {
        Ok(settings) => settings,
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            return ExitCode::from(2);
        }
    };
    match Teller::new(settings) {
        Ok((teller, faults)) => {
            faults.iter().for_each(|fault| eprintln!("{fault}"));
            run(Arc::new(teller)).await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Until the input ends and all is told.
async fn run(teller: Arc<Teller>) {
    let mut delivery = Delivery::new(teller.policies(), clock::now().unix_ns());
    let (answers, mut answered) = mpsc::unbounded_channel();
    let mut lines = lines();
    let mut open = true;
    while open || delivery.on_their_way() > 0 {
        let wake = delivery.next_wake(clock::now());
        let wait = wake.map_or(std::time::Duration::from_secs(3600), |at| at.since(clock::now()));
        let input = tokio::select! {
            line = lines.recv(), if open => {
                open = line.is_some();
                let Some(line) = line else { continue };
                let Some((key, message)) = read(&line) else {
                    println!("not understood: {line}");
                    continue;
                };
                Input::Notify(key, Box::new(message))
            }
            Some((request, verdict)) = answered.recv() => Input::Answered(request, verdict),
            () = tokio::time::sleep(wait) => Input::Tick,
        };
        for output in delivery.apply(clock::now(), input) {
            carry_out(output, &teller, &answers);
        }
    }
}

/// The lines of standard input, as they come.
fn lines() -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if send.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn carry_out(output: Output, teller: &Arc<Teller>, answers: &Answers) {
    match output {
        Output::Persist(row) => match &row.state {
            State::Told { .. } => println!("told {}", row.key),
            State::Waiting if row.attempts > 0 => println!("failed {}: {}", row.key, row.fault),
            State::Waiting | State::Sent | State::Superseded { .. } | State::Dead { .. } => {}
        },
        Output::Forget(_) => {}
        Output::Dead(key, why) => println!("dead {key}: {why}"),
        Output::Send(send) => {
            let (teller, answers) = (Arc::clone(teller), answers.clone());
            tokio::spawn(async move {
                let verdict = teller.tell(&send, clock::now).await;
                drop(answers.send((send.request, verdict)));
            });
        }
    }
}

fn read(line: &str) -> Option<(Key, Message)> {
    let mut words = line.split_whitespace();
    let destination = DestinationName::new(words.next()?).ok()?;
    let step = words.next()?.to_owned();
    let kind = words.next()?;
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind)?;
    let incident = IncidentId(words.next()?.parse().ok()?);
    let severity = words.next()?.parse().ok()?;
    let audience = words.next()?;
    let audience = Audience::ALL.into_iter().find(|known| known.as_str() == audience)?;
    let (since, at) = (clock::now(), clock::now());
    let message = example::message(kind, audience);
    let message = Message { incident, severity, since, at, ..message };
    Some((Key { incident, step, destination, round: 0 }, message))
}
