//! The thread that owns an outbox.

use std::sync::mpsc;

use gpuwarden_proto::vocab::Epoch;

use super::*;
use crate::clock::Clock;
use crate::outbox::{OutboxHandle, OutboxThread, Unanswered};

fn start(folder: &Path) -> (OutboxThread, OutboxHandle) {
    let limits = OutboxConfig { max_age: Duration::from_secs(1 << 40), ..limits(100_000) };
    OutboxThread::start(folder, &limits, Clock::start()).unwrap()
}

async fn page(outbox: &OutboxHandle, after: u64) -> Vec<Told> {
    let epoch = outbox.status().borrow().epoch;
    let ask = PageAsk { after: Seq(after), max_events: 10_000, max_bytes: 1 << 24 };
    outbox.page(epoch, ask).unwrap().await.unwrap().iter().map(told).collect()
}

#[tokio::test]
async fn a_reader_is_woken_by_what_it_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let (thread, outbox) = start(folder.path());
    let mut status = outbox.status();
    for id in 1..=200 {
        outbox.append(vec![event(id, 100)]);
        status.wait_for(|status| status.next_seq > Seq(id)).await.unwrap();
        assert_eq!(page(&outbox, id - 1).await, [Told::Event(id)]);
    }
    thread.close();
}

#[tokio::test]
async fn acknowledgements_and_refusals_of_another_epoch_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let (thread, outbox) = start(folder.path());
    outbox.append(vec![event(1, 1), event(2, 1)]);
    outbox.ack(Epoch(1), Seq(2)).unwrap();
    outbox.settle().await.unwrap();
    assert_eq!(outbox.status().borrow().rows, 2);
    let epoch = outbox.status().borrow().epoch;
    outbox.ack(epoch, Seq(1)).unwrap();
    outbox.settle().await.unwrap();
    assert_eq!(outbox.status().borrow().rows, 1);
    thread.close();
}

#[tokio::test]
async fn what_the_queue_cannot_hold_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (thread, outbox) = start(folder.path());
    outbox.append((1..=5_000).map(|id| event(id, 1)).collect());
    outbox.append(vec![event(5_001, 1)]);
    outbox.settle().await.unwrap();
    outbox.settle().await.unwrap();
    let reason = "the queue to the outbox was full".to_owned();
    let gap = Told::Gap(Gap { count: 5_000, first_seq: 0, last_seq: 0, reason });
    let told = page(&outbox, 0).await;
    assert!(told.contains(&gap) && told.contains(&Told::Event(5_001)), "{told:?}");
    assert_eq!(told.len(), 2);
    thread.close();
}

#[tokio::test]
async fn a_closed_outbox_does_not_answer_and_blocks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (thread, outbox) = start(folder.path());
    outbox.append(vec![event(1, 1)]);
    thread.close();
    outbox.append(vec![event(2, 1)]);
    assert_eq!(outbox.settle().await, Err(Unanswered));
    let mut outbox = Outbox::open(folder.path(), &limits(10), NOW);
    assert_eq!(all_told(&mut outbox), [(1, Told::Event(1))]);
}

#[test]
fn appending_never_waits_for_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (thread, outbox) = start(folder.path());
    let (done, finished) = mpsc::channel();
    let producer = std::thread::spawn(move || {
        for id in 0..200_000 {
            outbox.append(vec![event(id, 1)]);
        }
        done.send(()).unwrap();
        outbox
    });
    finished.recv_timeout(Duration::from_secs(30)).expect("the producer is not held up");
    let outbox = producer.join().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(outbox.settle()).unwrap();
    runtime.block_on(outbox.settle()).unwrap();
    let status = outbox.status().borrow().clone();
    let told = runtime.block_on(async {
        let mut told = Vec::new();
        let mut after = 0;
        while after + 1 < status.next_seq.0 {
            let page = page(&outbox, after).await;
            after += page.len() as u64;
            told.extend(page);
        }
        told
    });
    let counted: u64 =
        told.iter().map(|told| if let Told::Gap(gap) = told { gap.count } else { 1 }).sum();
    assert_eq!(counted, 200_000, "each kept or counted");
    thread.close();
}
