//! Carries out what is to be told, and brings back what became of it.

use std::sync::Arc;

use gpuwarden_notify::delivery::Send;
use gpuwarden_notify::teller::Teller;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::core::{Request, WorkRequest};

/// Tells until the core ends. Each request goes in a task of its own: one that hangs holds up no
/// other, and how many are out the outbox bounds.
pub async fn run(
    teller: Teller,
    clock: Clock,
    mut sends: mpsc::UnboundedReceiver<Send>,
    answers: mpsc::Sender<Request>,
) {
    let teller = Arc::new(teller);
    while let Some(send) = sends.recv().await {
        let (teller, clock, answers) = (Arc::clone(&teller), clock.clone(), answers.clone());
        tokio::spawn(async move {
            let verdict = teller.tell(&send, || clock.now()).await;
            let answer = WorkRequest::Answered(send.request, verdict);
            // A core that has ended sends it again at its next start.
            drop(answers.send(Request::Work(answer)).await);
        });
    }
}
