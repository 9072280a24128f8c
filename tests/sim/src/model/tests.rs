use super::*;

const WELL: Surroundings = Surroundings { slowdown: 1.0, failing: 0.0 };

fn spec() -> ModelSpec {
    ModelSpec {
        name: ModelName::new("resnet50").expect("a good name"),
        version: ModelVersion::new("1").expect("a good version"),
        gpu: 0,
        rate_per_s: 100.0,
        service: Duration::from_millis(8),
        batch_cost: 0.35,
        instances: 1,
        max_batch: 8,
        max_queue: None,
        contention: 1.0,
        memory_bytes: 0,
    }
}

fn lived(model: &mut SimModel, to_s: u64) -> Counters {
    model.advance(Moment::ms(to_s * 1_000), &|_| WELL);
    model.counters
}

#[test]
fn about_as_many_are_answered_as_arrive() {
    let counters = lived(&mut SimModel::new(spec(), 1), 100);
    assert!((9_600..10_400).contains(&counters.success), "{counters:?}");
    assert_eq!(counters.failed_backend, 0);
}

#[test]
fn as_many_are_inside_as_come_in_while_one_is_inside() {
    let mut model = SimModel::new(spec(), 2);
    let mut inside = 0.0;
    for ms in 1..=100_000_u64 {
        model.advance(Moment::ms(ms), &|_| WELL);
        inside += model.pending() as f64 / 100_000.0;
    }
    // Little's law for the queue alone: mean number waiting = rate x mean wait.
    let counters = model.counters;
    let mean_wait_s = counters.queue_us as f64 / 1e6 / counters.success as f64;
    let expected = counters.success as f64 / 100.0 * mean_wait_s;
    assert!((inside / expected - 1.0).abs() < 0.03, "{inside} inside, {expected} expected");
}

#[test]
fn history_does_not_depend_on_how_often_it_is_looked_at() {
    let once = lived(&mut SimModel::new(spec(), 3), 20);
    let mut model = SimModel::new(spec(), 3);
    for ms in (0..=20_000).step_by(37).chain([20_000]) {
        model.advance(Moment::ms(ms), &|_| WELL);
    }
    assert_eq!(model.counters, once);
}

#[test]
fn counters_never_fall_while_the_model_is_loaded() {
    let mut model = SimModel::new(spec(), 4);
    model.apply(&ModelFault::Fails(0.3), Moment::default());
    let mut before = model.counters;
    for s in 1..60 {
        let now = lived(&mut model, s);
        let pairs = [
            (before.success, now.success),
            (before.failed_backend, now.failed_backend),
            (before.executions, now.executions),
            (before.request_us, now.request_us),
            (before.queue_us, now.queue_us),
            (before.compute_infer_us, now.compute_infer_us),
        ];
        assert!(pairs.iter().all(|(before, now)| before <= now), "{before:?} then {now:?}");
        before = now;
    }
}

#[test]
fn too_many_requests_wait_and_are_worked_off_later() {
    let mut model = SimModel::new(spec(), 5);
    lived(&mut model, 10);
    let surge = ModelFault::Rate { factor: 5.0, lasting: Some(Duration::from_secs(8)) };
    model.apply(&surge, Moment::ms(10_000));
    lived(&mut model, 18);
    assert!(model.pending() > 1_000, "{}", model.pending());
    lived(&mut model, 60);
    assert!(model.pending() < 10, "{}", model.pending());
}

#[test]
fn a_neighbour_makes_each_inference_take_longer() {
    let mean_us = |slowdown| {
        let mut quiet = spec();
        quiet.rate_per_s = 10.0;
        let mut model = SimModel::new(quiet, 6);
        model.advance(Moment::ms(60_000), &|_| Surroundings { slowdown, failing: 0.0 });
        model.counters.compute_infer_us as f64 / model.counters.success as f64
    };
    let ratio = mean_us(1.9) / mean_us(1.0);
    assert!((1.75..2.05).contains(&ratio), "{ratio}");
}

#[test]
fn a_model_whose_load_fails_vanishes_and_comes_back_with_counters_at_zero() {
    let mut model = SimModel::new(spec(), 7);
    lived(&mut model, 10);
    model.apply(&ModelFault::LoadFails("Internal: no".to_owned()), Moment::ms(10_000));
    assert!(model.life.on_page());
    let before = lived(&mut model, 12);
    assert_eq!(model.life, Life::Failed { reason: "Internal: no".to_owned() });
    assert_eq!(lived(&mut model, 20), before);
    model.apply(&ModelFault::Heal, Moment::ms(20_000));
    let after = lived(&mut model, 23);
    assert_eq!(model.life, Life::Ready);
    assert!(after.success < 200, "{after:?}");
}

#[test]
fn a_stalled_model_answers_nobody_until_it_is_healed() {
    let mut model = SimModel::new(spec(), 8);
    let before = lived(&mut model, 10);
    model.apply(&ModelFault::Stalls, Moment::ms(10_000));
    assert_eq!(lived(&mut model, 20).success, before.success);
    assert!(model.pending() > 800, "{}", model.pending());
    model.apply(&ModelFault::Heal, Moment::ms(20_000));
    assert!(lived(&mut model, 40).success > before.success + 2_000);
}

#[test]
fn a_bounded_queue_turns_away_what_does_not_fit_and_counts_it_nowhere() {
    let mut model = SimModel::new(ModelSpec { max_queue: Some(16), ..spec() }, 9);
    let surge = ModelFault::Rate { factor: 10.0, lasting: None };
    model.apply(&surge, Moment::default());
    let counters = lived(&mut model, 10);
    assert!(model.pending() <= 16);
    assert_eq!(counters.failed_backend, 0);
}
