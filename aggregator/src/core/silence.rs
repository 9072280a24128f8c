//! What people ask of what is held back, and when it is worked out.

use gpuwarden_proto::silence::{Draft, Held, Listed, Silence, SilenceId};
use gpuwarden_proto::time::Timestamp;
use thiserror::Error;
use tokio::sync::oneshot;

use super::Core;
use super::apply::reply;
use crate::correlate::Touched;
use crate::replay::line::Word;
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
                let made = self.suppressor.draw(draft, now);
                let told = made.and_then(|silence| self.hold_back(now, silence));
                self.promise(told, answer);
            }
            SilenceRequest::End(id, by, answer) => {
                let may = self.suppressor.may_end(id, &by, now);
                let told = may.and_then(|()| self.let_go(now, id, by));
                self.promise(told, answer);
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

    /// Takes up a silence, and says what it does.
    fn hold_back(&mut self, now: Timestamp, silence: Silence) -> Result<Option<Listed>, Refusal> {
        let id = silence.id;
        self.journal(now, Word::Silenced(Box::new(silence.clone())));
        self.suppressor.take(silence, &self.state, now)?;
        self.weigh_all(now);
        Ok(self.suppressor.listed(id, &self.state, now))
    }

    /// Ends a silence, and says what it did.
    fn let_go(
        &mut self,
        now: Timestamp,
        id: SilenceId,
        by: String,
    ) -> Result<Option<Listed>, Refusal> {
        let before = self.suppressor.listed(id, &self.state, now);
        self.journal(now, Word::SilenceEnded(id, by.clone()));
        self.suppressor.end(id, by, &self.state, now)?;
        self.weigh_all(now);
        let after = self.suppressor.listed(id, &self.state, now);
        // It holds back nothing any more; what is of interest is what it held back.
        Ok(before.zip(after).map(|(was, is)| Listed { now: was.now, ..is }))
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
        self.suppressor.foresee(&mut self.state, now);
        self.pending.silences(self.suppressor.take_changed());
    }

    /// Works out at once what holds incidents back, for all.
    pub(super) fn weigh_all(&mut self, now: Timestamp) {
        let mut touched = Touched::default();
        self.suppressor.weigh(&mut self.state, now, &mut touched);
        self.show(touched);
    }
}
