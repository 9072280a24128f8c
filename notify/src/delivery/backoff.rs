//! How long to wait before trying again. Pure: full jitter, from a seed that is an argument.

use std::time::Duration;

use super::policy::Policy;

/// The wait after a failure, with all that the destination asked for. The same for the same seed, row
/// and attempt, so that a restart changes nothing; the bound doubles with each attempt.
pub(super) fn wait(
    policy: &Policy,
    seed: u64,
    number: u64,
    attempts: u32,
    asked: Option<Duration>,
) -> Duration {
    let doublings = attempts.saturating_sub(1).min(20);
    let bound = policy.retry_step.saturating_mul(1 << doublings).min(policy.retry_max);
    let mixed = seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(attempts);
    let jitter = bound.mul_f64(fastrand::Rng::with_seed(mixed).f64());
    // Who asks for a wait is asked by nobody before, and not by all at its end.
    asked.map_or(jitter, |asked| asked + jitter.min(policy.retry_step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_fill_a_span_that_doubles_up_to_a_bound() {
        let policy = Policy::default();
        for attempts in 1..40 {
            let bound = (policy.retry_step * 2_u32.pow(attempts.min(7) - 1)).min(policy.retry_max);
            let waits: Vec<_> = (0..200).map(|n| wait(&policy, 7, n, attempts, None)).collect();
            assert!(waits.iter().all(|wait| *wait <= bound), "{attempts}");
            assert!(waits.iter().any(|wait| *wait > bound / 2), "{attempts}");
            assert!(waits.iter().any(|wait| *wait < bound / 2), "{attempts}");
        }
    }

    #[test]
    fn what_was_asked_for_is_waited_for() {
        let asked = Duration::from_secs(30);
        for number in 0..100 {
            let wait = wait(&Policy::default(), 7, number, 3, Some(asked));
            assert!(wait >= asked && wait <= asked + Policy::default().retry_step);
        }
    }
}
