//! A process that is killed while it writes. The test runs its own binary again as that process,
//! which prints each number after the commit that made it durable.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;

/// Tells the child where to write.
const FOLDER: &str = "GPUWARDEN_OUTBOX_CRASH_FOLDER";
const ROUNDS: usize = 12;

#[test]
fn what_was_committed_survives_a_kill() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return write_for_ever(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut rng = fastrand::Rng::with_seed(20_261_123);
    let mut committed = 0;
    for _ in 0..ROUNDS {
        committed = run_and_kill(folder.path(), committed + 1 + rng.u64(0..300));
        let mut outbox = open(folder.path(), 1 << 40);
        assert_eq!(outbox.fault, None);
        let all = read_all(&mut outbox, NOW);
        assert!(all.is_sorted_by(|a, b| a.seq < b.seq));
        let ids: Vec<_> = all.iter().map(event_id).collect();
        assert!(
            ids.len() as u64 >= committed,
            "{committed} were reported, {} are there",
            ids.len()
        );
        // What the child wrote and could not report any more may be there, too.
        assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
        committed = ids.len() as u64;
    }
}

fn event_id(entry: &Entry) -> u64 {
    match told(entry) {
        Told::Event(id) => id,
        Told::Gap(gap) => panic!("nothing may be lost: {gap:?}"),
    }
}

/// Runs the child until it has reported `until`, and kills it then; the last it reported.
fn run_and_kill(folder: &Path, until: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "outbox::tests::crash::what_was_committed_survives_a_kill"])
        .args(["--nocapture", "--quiet"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut ids = lines.by_ref().filter_map(|line| line.strip_prefix("id ")?.parse().ok());
    let reached = ids.find(|id| *id >= until).unwrap();
    // The child goes on writing while the signal is on its way.
    child.kill().unwrap();
    let last = ids.last().unwrap_or(reached);
    child.wait().unwrap();
    last
}

fn write_for_ever(folder: &Path) {
    let mut outbox = open(folder, 1 << 40);
    let mut id = read_all(&mut outbox, NOW).len() as u64;
    let mut rng = fastrand::Rng::with_seed(id);
    loop {
        for _ in 0..rng.u64(1..40) {
            id += 1;
            outbox.stage(&event(id, rng.usize(0..300)), NOW);
        }
        outbox.commit(NOW);
        println!("id {id}");
    }
}
