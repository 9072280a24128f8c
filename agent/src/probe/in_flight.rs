//! Which call into the driver has not returned.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::message::ProbeMessage;
use crate::clock::Clock;
use crate::sample::Moment;

/// A call that takes longer is told of. Shorter than the silence after which the parent calls the
/// probe blind, so that it can say which call it is.
const SLOW: Duration = Duration::from_millis(750);

/// The call that the sampler is in. A lock, because the sampler writes it and the supervising thread
/// reads it; it is never held over a call.
#[derive(Debug)]
pub(super) struct InFlight {
    clock: Clock,
    call: Mutex<Option<Call>>,
}

#[derive(Debug, Clone, Copy)]
struct Call {
    name: &'static str,
    gpu: Option<u32>,
    since: Moment,
    told: bool,
}

impl InFlight {
    /// Nothing in flight.
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, call: Mutex::new(None) }
    }

    /// Makes a call, known by `name` for as long as it takes.
    pub(super) fn call<T>(
        &self,
        name: &'static str,
        gpu: Option<u32>,
        make: impl FnOnce() -> T,
    ) -> T {
        let since = self.clock.now().moment;
        self.set(Some(Call { name, gpu, since, told: false }));
        let result = make();
        self.set(None);
        result
    }

    /// The call that has been in flight for too long, told once.
    pub(super) fn blocked(&self) -> Option<ProbeMessage> {
        let now = self.clock.now().moment;
        let mut call = self.call.lock().unwrap_or_else(PoisonError::into_inner);
        let call = call.as_mut().filter(|call| !call.told && now.since(call.since) >= SLOW)?;
        call.told = true;
        Some(ProbeMessage::Fault {
            call: call.name.to_owned(),
            gpu: call.gpu,
            error: format!("has not returned for {} ms", now.since(call.since).as_millis()),
        })
    }

    fn set(&self, call: Option<Call>) {
        *self.call.lock().unwrap_or_else(PoisonError::into_inner) = call;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::stop::Stop;

    #[test]
    fn a_call_that_does_not_return_is_told_once() {
        let in_flight = InFlight::new(Clock::start());
        let stop = Stop::default();
        assert_eq!(in_flight.blocked(), None);
        in_flight.call("nvmlSlow", Some(3), || {
            stop.wait(SLOW);
            let told = in_flight.blocked();
            let Some(ProbeMessage::Fault { call, gpu: Some(3), error }) = told else {
                panic!("{told:?}")
            };
            assert_eq!(call, "nvmlSlow");
            assert!(error.starts_with("has not returned for "), "{error}");
            assert_eq!(in_flight.blocked(), None, "told once");
        });
        assert_eq!(in_flight.blocked(), None, "it has returned");
    }
}
