//! The outbox against a small model, with generated actions, crashes and full disks.
//!
//! The model is the list of events appended and not acknowledged. What the outbox gives out must
//! be that list, in order, with gaps that stand for exactly as many events as are missing there.

use std::collections::{HashMap, VecDeque};

use gpuwarden_proto::vocab::Epoch;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

#[derive(Debug, Clone)]
enum Action {
    Append { count: u64, size: usize },
    Ack { permille: usize },
    Wait { s: u64 },
    Crash,
    Stop,
    Corrupt,
    FillDisk,
    FreeDisk,
    RenewEpoch,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => (1..30_u64, 0..300_usize).prop_map(|(count, size)| Action::Append { count, size }),
        6 => (0..=1_000_usize).prop_map(|permille| Action::Ack { permille }),
        4 => (1..2_000_u64).prop_map(|s| Action::Wait { s }),
        3 => Just(Action::Crash),
        2 => Just(Action::Stop),
        1 => Just(Action::Corrupt),
        2 => Just(Action::FillDisk),
        3 => Just(Action::FreeDisk),
        1 => Just(Action::RenewEpoch),
    ]
}

struct Bench {
    folder: TempDir,
    limits: OutboxConfig,
    outbox: Option<Outbox>,
    now: Timestamp,
    next_id: u64,
    /// Appended and not acknowledged.
    expected: VecDeque<u64>,
    /// Acknowledged, and perhaps still in the file.
    delivered: VecDeque<u64>,
    acked: (Epoch, Seq),
    /// Which event each number was given to.
    given: HashMap<(Epoch, Seq), u64>,
}

impl Bench {
    fn new(limits: OutboxConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path(), &limits, NOW);
        let acked = (outbox.ledger.epoch, Seq(0));
        Self {
            folder,
            limits,
            outbox: Some(outbox),
            now: NOW,
            next_id: 1,
            expected: VecDeque::new(),
            delivered: VecDeque::new(),
            acked,
            given: HashMap::new(),
        }
    }

    fn outbox(&mut self) -> &mut Outbox {
        self.outbox.as_mut().unwrap()
    }

    fn act(&mut self, action: &Action) {
        let now = self.now;
        match action {
            Action::Append { count, size } => {
                for _ in 0..*count {
                    let id = self.next_id;
                    self.next_id += 1;
                    self.expected.push_back(id);
                    self.outbox().stage(&event(id, *size), now);
                }
                self.outbox().commit(now);
            }
            Action::Ack { permille } => self.ack(*permille),
            Action::Wait { s } => {
                self.now = now.after(Duration::from_secs(*s));
                let now = self.now;
                self.outbox().commit(now);
            }
            Action::Crash => {
                self.forgive_memory();
                self.outbox = None;
                self.reopen();
            }
            Action::Stop => {
                self.forgive_memory();
                self.outbox.take().unwrap().close(now);
                self.reopen();
            }
            Action::Corrupt => {
                self.outbox = None;
                std::fs::write(
                    self.folder.path().join(crate::outbox::FILE_NAME),
                    b"not a file of ours, sorry",
                )
                .unwrap();
                // How much it held cannot be known, and the gap says so.
                self.expected.clear();
                self.reopen();
                let first = read_all(self.outbox(), now);
                assert!(
                    matches!(told(&first[0]), Told::Gap(gap) if gap.reason.contains("set aside"))
                );
            }
            Action::FillDisk => self.outbox().open.as_ref().unwrap().file.fill_disk(),
            Action::FreeDisk => {
                self.outbox().open.as_ref().unwrap().file.free_disk();
                self.act(&Action::Wait { s: 1 });
            }
            Action::RenewEpoch => {
                if self.outbox().fault.is_none() {
                    let epoch = self.outbox().ledger.epoch;
                    self.outbox().renew_epoch(epoch, "set back", now);
                }
            }
        }
    }

    /// What a process takes with it that ends while its disk refuses: events in memory, and
    /// acknowledgements, so that what they deleted is there again.
    fn forgive_memory(&mut self) {
        let now = self.now;
        self.outbox().commit(now);
        let all = read_all(self.outbox(), now);
        let safe = self.align(&all[..all.len() - self.outbox.as_ref().unwrap().memory.len()]);
        self.expected.truncate(safe);
        if self.outbox().fault.is_some() {
            self.acked.1 = self.outbox().acked_on_disk;
            while let Some(id) = self.delivered.pop_back() {
                self.expected.push_front(id);
            }
        }
        self.delivered.clear();
    }

    fn reopen(&mut self) {
        let outbox = Outbox::open(self.folder.path(), &self.limits, self.now);
        assert_eq!(outbox.fault, None);
        self.outbox = Some(outbox);
        // The aggregator says with its Welcome what it has.
        let (epoch, acked) = self.acked;
        let now = self.now;
        self.outbox().ack(epoch, acked);
        self.outbox().commit(now);
    }

    fn ack(&mut self, permille: usize) {
        let now = self.now;
        let all = read_all(self.outbox(), now);
        let through = &all[..all.len() * permille / 1_000];
        let Some(last) = through.last() else { return };
        let consumed = self.align(through);
        let on_disk = through.len().min(all.len() - self.outbox().memory.len());
        let remembered = self.align(&through[..on_disk]);
        let gone: Vec<_> = self.expected.drain(..consumed).collect();
        self.delivered.extend(&gone[..remembered]);
        let epoch = self.outbox().ledger.epoch;
        self.acked = (epoch, last.seq);
        self.outbox().ack(epoch, last.seq);
        self.outbox().commit(now);
    }

    /// Lays entries beside what is expected; how many of those they stand for.
    fn align(&self, entries: &[Entry]) -> usize {
        let mut at = 0;
        for entry in entries {
            match told(entry) {
                Told::Event(id) => {
                    assert_eq!(self.expected.get(at), Some(&id), "in order, none missing");
                    at += 1;
                }
                Told::Gap(gap) => at += usize::try_from(gap.count).unwrap(),
            }
        }
        assert!(at <= self.expected.len(), "gaps count more than was lost");
        at
    }

    fn check(&mut self) {
        let now = self.now;
        let all = read_all(self.outbox(), now);
        assert!(all.is_sorted_by(|a, b| a.seq < b.seq), "numbers ascend");
        let outbox = self.outbox.as_ref().unwrap();
        if outbox.fault.is_none() {
            self.delivered.clear();
        }
        let status = outbox.status();
        let untold = usize::try_from(outbox.lost.count()).unwrap();
        assert_eq!(self.align(&all) + untold, self.expected.len(), "each told or counted");
        assert!(all.iter().all(|entry| entry.seq < status.next_seq));
        for entry in &all {
            if let Told::Event(id) = told(entry) {
                let owner = *self.given.entry((status.epoch, entry.seq)).or_insert(id);
                assert_eq!(owner, id, "number {} given twice", entry.seq);
            }
        }
        let bytes: usize = all.iter().map(|entry| entry.event.len()).sum();
        if status.fault.is_none() {
            assert_eq!((status.rows, status.bytes), (all.len() as u64, bytes as u64));
            assert_eq!(status.in_memory, 0, "what is sent is on disk");
            assert!(status.rows <= self.limits.max_rows && status.bytes <= self.limits.max_bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        // Failures are printed in full; nothing is written beside the sources.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_event_is_lost_uncounted_and_no_number_is_given_twice(
        max_rows in 2..200_u64,
        max_bytes in 2_000..40_000_u64,
        actions in proptest::collection::vec(action(), 1..40),
    ) {
        let max_age = Duration::from_secs(3_600);
        let mut bench = Bench::new(OutboxConfig { max_rows, max_bytes, max_age });
        for action in &actions {
            bench.act(action);
            bench.check();
        }
    }
}
