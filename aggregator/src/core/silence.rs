//! What people ask of what is held back, and when it is worked out.

use gpuwarden_proto::silence::{Draft, Held, Listed, SilenceId};
use gpuwarden_proto::time::Timestamp;
use thiserror::Error;
use tokio::sync::oneshot;

use super::Core;
use super::apply::reply;
use crate::correlate::Touched;
use crate::store::StoreError;
use crate::suppress::Refusal;

/// What is asked about silences.
#[derive(Debug)]
pub enum SilenceRequest {
    /// Make one.
    Create(Draft, oneshot::Sender<Result<Listed, SilenceError>>),
    /// Say what one would hold back.
    Preview(Draft, oneshot::Sender<Result<Listed, SilenceError>>),
    /// End one: whose word it is.
    End(SilenceId, String, oneshot::Sender<Result<Listed, SilenceError>>),
    /// Which there are; with `true` those that are over, too.
    List(bool, oneshot::Sender<Vec<Listed>>),
    /// What is held back.
    Held(oneshot::Sender<Vec<Held>>),
}

/// Why a silence was not made or ended, or not yet for good.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SilenceError {
    /// It cannot be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It has been, but is not on disk.
    #[error("taken up, but not on disk yet: {0}")]
    NotStored(StoreError),
}

/// An answer that is given once what it tells is on disk.
#[derive(Debug)]
pub struct SilenceAnswer {
    told: Box<Listed>,
    to: oneshot::Sender<Result<Listed, SilenceError>>,
}

impl SilenceAnswer {
    /// It is on disk. Who asked may have gone.
    pub(super) fn give(self) {
        drop(self.to.send(Ok(*self.told)));
    }

    /// Nothing reaches the disk.
    pub(super) fn excuse(self, error: &StoreError) {
        drop(self.to.send(Err(SilenceError::NotStored(error.clone()))));
    }
}

impl Core {
    pub(super) fn silence(&mut self, now: Timestamp, request: SilenceRequest) {
        match request {
            SilenceRequest::Create(draft, answer) => {
                let made = self.suppressor.create(draft, &self.state, now);
                self.weigh(now);
                let told = made.map(|id| self.suppressor.listed(id, &self.state, now));
                self.promise(told, answer);
            }
            SilenceRequest::End(id, by, answer) => {
                let before = self.suppressor.listed(id, &self.state, now);
                let ended = self.suppressor.end(id, by, &self.state, now);
                self.weigh(now);
                let after = self.suppressor.listed(id, &self.state, now);
                // It holds back nothing any more; what is of interest is what it held back.
                let told = before.zip(after).map(|(was, is)| Listed { now: was.now, ..is });
                self.promise(ended.map(|()| told), answer);
            }
            SilenceRequest::Preview(draft, answer) => {
                let told = self.suppressor.preview(draft, &self.state, now);
                reply(answer, told.map_err(Into::into));
            }
            SilenceRequest::List(with_over, answer) => {
                self.weigh(now);
                reply(answer, self.suppressor.silences(with_over, &self.state, now));
            }
            SilenceRequest::Held(answer) => {
                self.weigh(now);
                reply(answer, self.suppressor.held(&self.state));
            }
        }
    }

    fn promise(
        &mut self,
        told: Result<Option<Listed>, Refusal>,
        to: oneshot::Sender<Result<Listed, SilenceError>>,
    ) {
        match told {
            Ok(Some(told)) => {
                self.pending.answer_silence(SilenceAnswer { told: Box::new(told), to });
            }
            // Who asks for what is gone by now is told that nobody answers.
            Ok(None) => drop(to),
            Err(refusal) => reply(to, Err(refusal.into())),
        }
    }

    /// Brings incidents up to date before they are shown: their likely causes, and what holds them
    /// back.
    pub(super) fn weigh(&mut self, now: Timestamp) {
        self.state.rank_all();
        let mut touched = Touched::default();
        self.suppressor.weigh(&mut self.state, now, &mut touched);
        self.passing.note(&mut touched);
        self.pending.touch(touched);
        self.pending.silences(self.suppressor.take_changed());
    }
}
