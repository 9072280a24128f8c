//! The one thread that writes.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::store::{Retention, Store, StoreError, Transaction};

/// What the writer is asked to do. One at a time.
#[derive(Debug)]
pub(super) enum Job {
    /// Make this durable.
    Commit(Box<Transaction>),
    /// Forget what is old.
    Prune(Retention),
}

/// What came of it. The transaction comes back, to be tried again.
#[derive(Debug)]
pub(super) enum Done {
    /// A commit.
    Commit {
        /// What was tried.
        transaction: Box<Transaction>,
        /// How it went.
        result: Result<(), StoreError>,
        /// How long it took.
        took: Duration,
    },
    /// Rows forgotten.
    Prune(Result<usize, StoreError>),
}

/// The other end of the writer. Dropping it ends the thread.
#[derive(Debug)]
pub struct Writer {
    jobs: SyncSender<Job>,
    /// What came of the jobs.
    pub(super) done: mpsc::Receiver<Done>,
}

impl Writer {
    /// Starts the thread, which owns the store from now on.
    ///
    /// # Errors
    ///
    /// The operating system gives no thread.
    pub fn start(store: Box<dyn Store>, clock: Clock) -> std::io::Result<Self> {
        let (jobs, to_do) = sync_channel(1);
        let (done, results) = mpsc::channel(1);
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || write(store, &clock, &to_do, &done))?;
        Ok(Self { jobs, done: results })
    }

    /// Gives it a job. The writer must be idle.
    pub(super) fn give(&self, job: Job) {
        // A writer that is gone is noticed when its results end.
        drop(self.jobs.try_send(job));
    }

    /// Ends the thread and waits until the store is closed.
    pub(super) async fn end(mut self) {
        drop(self.jobs);
        while self.done.recv().await.is_some() {}
    }
}

fn write(
    mut store: Box<dyn Store>,
    clock: &Clock,
    jobs: &Receiver<Job>,
    done: &mpsc::Sender<Done>,
) {
    while let Ok(job) = jobs.recv() {
        let result = match job {
            Job::Commit(transaction) => {
                let began = clock.now();
                let result = store.commit(&transaction);
                Done::Commit { transaction, result, took: clock.now().since(began) }
            }
            Job::Prune(retention) => Done::Prune(store.prune(&retention)),
        };
        if done.blocking_send(result).is_err() {
            return;
        }
    }
    // Before the results end, so that who waits for their end finds the file free.
    drop(store);
}
