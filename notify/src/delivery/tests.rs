//! Deliveries as they happen, in simulated time.

mod any;
mod scene;

use std::time::Duration;

use expect_test::{Expect, expect};
use gpuwarden_proto::vocab::Severity;

use super::*;
use scene::{Scene, policy};

fn check(scene: &Scene, expected: &Expect) {
    expected.assert_eq(&scene.told());
}

#[test]
fn a_page_goes_at_once_and_is_written_down_before() {
    let mut scene = Scene::new(policy());
    let out = scene.ask("page", 1, Severity::P1, Kind::Page);
    let kinds: Vec<_> = out
        .iter()
        .map(|output| match output {
            Output::Persist(row) => format!("persist {:?}", row.state),
            Output::Send(send) => format!("send {}", send.key),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["persist Waiting", "persist Sent", "send 1/page/ops/0"]);
}

#[test]
fn what_is_asked_for_twice_is_told_once() {
    let mut scene = Scene::new(policy());
    scene.ask("page", 1, Severity::P2, Kind::Page);
    scene.deliver();
    scene.ask("page", 1, Severity::P2, Kind::Page);
    scene.pass(60);
    check(&scene, &expect!["0 s  1/page/ops/0 P2 page"]);
}

#[test]
fn an_update_follows_the_first_message_and_only_the_newest_is_told() {
    let mut scene = Scene::new(policy());
    scene.ask("page", 1, Severity::P2, Kind::Page);
    scene.ask("u1", 1, Severity::P2, Kind::Update);
    scene.ask("u2", 1, Severity::P2, Kind::Update);
    scene.pass(5);
    scene.deliver();
    scene.pass(5);
    check(
        &scene,
        &expect![[r#"
                0 s  1/page/ops/0 P2 page
                5 s  1/u2/ops/0 P2 update, after ts1"#]],
    );
}

#[test]
fn a_destination_is_told_no_faster_than_it_takes_and_the_most_urgent_first() {
    let mut scene = Scene::new(policy());
    for (incident, severity) in [(1, Severity::P4), (2, Severity::P3), (3, Severity::P1)] {
        scene.ask("page", incident, severity, Kind::Page);
    }
    scene.ask("u", 1, Severity::P4, Kind::Update);
    scene.run(10);
    check(
        &scene,
        &expect![[r#"
                0 s  1/page/ops/0 P4 page
                1 s  3/page/ops/0 P1 page
                2 s  2/page/ops/0 P3 page
                3 s  1/u/ops/0 P4 update, after ts1"#]],
    );
}

#[test]
fn what_a_destination_asks_to_wait_is_waited_for_by_all() {
    let mut scene = Scene::new(policy());
    scene.ask("page", 1, Severity::P1, Kind::Page);
    scene.retry(Some(30));
    scene.ask("page", 2, Severity::P1, Kind::Page);
    scene.run(60);
    check(
        &scene,
        &expect![[r#"
            0 s  1/page/ops/0 P1 page
            30 s  2/page/ops/0 P1 page
            31 s  1/page/ops/0 P1 page"#]],
    );
}

#[test]
fn waits_grow_and_a_page_that_only_fails_goes_to_the_fall_back_as_well() {
    let mut scene = Scene::new(policy());
    scene.ask("page", 1, Severity::P1, Kind::Page);
    scene.failing("ops");
    scene.run(600);
    check(
        &scene,
        &expect![[r#"
            0 s  1/page/ops/0 P1 page
            1 s  1/page/ops/0 P1 page
            2 s  1/page/ops/0 P1 page
            9 s  1/page/ops/0 P1 page
            18 s  1/page/ops/0 P1 page
            29 s  1/page/ops/0 P1 page
            66 s  1/page/ops/0 P1 page
            124 s  1/page/ops/0 P1 page
            124 s  1/page/desk/0 P1 page, meant for ops: broken
            227 s  1/page/ops/0 P1 page
            303 s  1/page/ops/0 P1 page
            410 s  1/page/ops/0 P1 page
            445 s  1/page/ops/0 P1 page
            454 s  1/page/ops/0 P1 page
            567 s  1/page/ops/0 P1 page
            595 s  1/page/ops/0 P1 page"#]],
    );
    let row = scene.row("page", 1);
    assert!(row.spread && row.is_on_its_way(), "{row:?}");
}

#[test]
fn a_late_page_says_that_it_is_late() {
    let mut scene = Scene::new(policy());
    scene.ask("page", 1, Severity::P1, Kind::Page);
    scene.failing("ops");
    scene.run(700);
    scene.mended("ops");
    scene.run(200);
    let last = scene.told().lines().last().unwrap().to_owned();
    assert!(last.contains(" late "), "{last}");
    assert!(matches!(scene.row("page", 1).state, State::Told { .. }));
}

#[test]
fn what_cannot_be_told_for_a_day_is_given_up_and_said_to_be() {
    let mut scene = Scene::new(policy());
    scene.ask("u", 1, Severity::P2, Kind::Update);
    scene.failing("ops");
    scene.run(86_400 + 300);
    assert!(matches!(scene.row("u", 1).state, State::Dead { .. }));
    let told = scene.told();
    let mut last = told.lines().rev();
    assert!(last.next().is_some_and(|line| line.contains("1/u/desk/0 P2 update")), "{told}");
    let dead = last.next().is_some_and(|line| line.ends_with("dead 1/u/ops/0: given up: broken"));
    assert!(dead, "{told}");
}

#[test]
fn what_is_refused_goes_to_the_fall_back_and_says_why() {
    let mut scene = Scene::new(policy());
    scene.ask("page", 1, Severity::P2, Kind::Page);
    scene.refuse("channel_not_found");
    scene.run(5);
    check(
        &scene,
        &expect![[r#"
                0 s  1/page/ops/0 P2 page
                0 s  dead 1/page/ops/0: channel_not_found
                0 s  1/page/desk/0 P2 page, meant for ops: channel_not_found"#]],
    );
}

#[test]
fn destinations_that_fall_back_on_each_other_end_somewhere() {
    let circle = Policy { fall_back: Some(scene::name("ops")), ..policy() };
    let mut scene = Scene::with(policy(), circle);
    scene.ask("page", 1, Severity::P2, Kind::Page);
    scene.refuse("no");
    scene.refuse("nor here");
    scene.run(60);
    check(
        &scene,
        &expect![[r#"
                0 s  1/page/ops/0 P2 page
                0 s  dead 1/page/ops/0: no
                0 s  1/page/desk/0 P2 page, meant for ops: no
                0 s  dead 1/page/desk/0: nor here"#]],
    );
}

#[test]
fn a_message_that_is_gone_is_told_anew_once() {
    let mut scene = Scene::new(policy());
    scene.ask("page", 1, Severity::P2, Kind::Page);
    scene.deliver();
    scene.pass(5);
    scene.ask("u", 1, Severity::P2, Kind::Update);
    scene.answer(Verdict::Anew("message_not_found".to_owned()));
    scene.pass(5);
    scene.answer(Verdict::Anew("message_not_found".to_owned()));
    scene.pass(5);
    check(
        &scene,
        &expect![[r#"
            0 s  1/page/ops/0 P2 page
            5 s  1/u/ops/0 P2 update, after ts1
            6 s  1/u/ops/0 P2 update
            10 s  dead 1/u/ops/0: message_not_found
            10 s  1/u/desk/0 P2 update, meant for ops: message_not_found"#]],
    );
}

#[test]
fn incidents_that_come_within_seconds_are_one_message_after_the_first() {
    let mut scene = Scene::new(Policy { bundle: Some(Duration::from_secs(20)), ..policy() });
    for incident in 1..=4 {
        scene.ask("page", incident, Severity::P3, Kind::Page);
        scene.pass(2);
        scene.deliver();
    }
    scene.run(40);
    check(
        &scene,
        &expect![[r#"
            0 s  1/page/ops/0 P3 page
            20 s  2/page/ops/0 P3 page + #3 page + #4 page"#]],
    );
}

#[test]
fn what_is_more_urgent_does_not_wait_for_a_bundle() {
    let mut scene = Scene::new(Policy { bundle: Some(Duration::from_secs(20)), ..policy() });
    scene.ask("page", 1, Severity::P3, Kind::Page);
    scene.pass(2);
    scene.ask("page", 2, Severity::P3, Kind::Page);
    scene.ask("page", 3, Severity::P1, Kind::Page);
    scene.run(30);
    check(
        &scene,
        &expect![[r#"
            0 s  1/page/ops/0 P3 page
            2 s  3/page/ops/0 P1 page
            20 s  2/page/ops/0 P3 page"#]],
    );
}

#[test]
fn a_bundle_stays_together_when_it_is_tried_again_and_after_a_crash() {
    let mut scene = Scene::new(Policy { bundle: Some(Duration::from_secs(5)), ..policy() });
    for incident in 1..=3 {
        scene.ask("page", incident, Severity::P3, Kind::Page);
    }
    scene.deliver();
    scene.pass(6);
    scene.retry(None);
    scene.run(0);
    scene.pass(3);
    scene.ask("page", 4, Severity::P3, Kind::Page);
    scene.crash();
    scene.run(30);
    check(
        &scene,
        &expect![[r#"
            0 s  1/page/ops/0 P3 page
            5 s  2/page/ops/0 P3 page + #3 page
            9 s  crash
            9 s  2/page/ops/0 P3 page + #3 page
            14 s  4/page/ops/0 P3 page"#]],
    );
}

#[test]
fn what_was_handed_over_before_a_crash_goes_again_with_the_same_key() {
    let mut scene = Scene::new(policy());
    scene.ask("page", 1, Severity::P1, Kind::Page);
    scene.crash();
    scene.run(5);
    scene.crash();
    scene.run(5);
    check(
        &scene,
        &expect![[r#"
                0 s  1/page/ops/0 P1 page
                0 s  crash
                0 s  1/page/ops/0 P1 page
                5 s  crash"#]],
    );
}

#[test]
fn what_comes_and_goes_says_so_once_and_then_only_when_it_is_calm() {
    let mut scene = Scene::new(policy());
    for round in 0..8 {
        scene.ask(&format!("page-{round}"), 1, Severity::P2, Kind::Page);
        scene.run(30);
        scene.ask(&format!("over-{round}"), 1, Severity::P2, Kind::Resolved);
        scene.run(30);
    }
    scene.run(1200);
    check(
        &scene,
        &expect![[r#"
            0 s  1/page-0/ops/0 P2 page
            30 s  1/over-0/ops/0 P2 resolved, after ts1
            60 s  1/page-1/ops/0 P2 page, after ts1
            90 s  1/over-1/ops/0 P2 resolved, after ts1
            120 s  1/page-2/ops/0 P2 page, after ts1
            150 s  1/over-2/ops/0 P2 resolved, after ts1
            180 s  1/page-3/ops/0 P2 page, after ts1, flapping
            1050 s  1/over-7/ops/0 P2 resolved, after ts1"#]],
    );
}

#[test]
fn what_comes_and_goes_and_gets_worse_is_told_at_once() {
    let mut scene = Scene::new(policy());
    for round in 0..5 {
        scene.ask(&format!("page-{round}"), 1, Severity::P3, Kind::Page);
        scene.run(30);
        scene.ask(&format!("over-{round}"), 1, Severity::P3, Kind::Resolved);
        scene.run(30);
    }
    scene.ask("worse", 1, Severity::P1, Kind::Page);
    scene.run(2);
    let told = scene.told();
    assert!(told.lines().last().unwrap().contains("1/worse/ops/0"), "{told}");
}

#[test]
fn a_crash_does_not_forget_that_something_comes_and_goes() {
    let mut scene = Scene::new(policy());
    for round in 0..4 {
        scene.ask(&format!("page-{round}"), 1, Severity::P2, Kind::Page);
        scene.run(30);
        scene.ask(&format!("over-{round}"), 1, Severity::P2, Kind::Resolved);
        scene.run(30);
    }
    scene.crash();
    scene.ask("page-9", 1, Severity::P2, Kind::Page);
    scene.run(60);
    assert!(!scene.told().contains("page-9"), "{}", scene.told());
}

#[test]
fn in_quiet_hours_what_is_not_urgent_waits_and_what_ended_meanwhile_is_told_as_that() {
    // The scene begins at midnight.
    let quiet = Quiet::new(&[Severity::P3, Severity::P4], 22 * 60, 7 * 60);
    let mut scene = Scene::new(Policy { quiet: Some(quiet), ..policy() });
    scene.ask("page", 1, Severity::P3, Kind::Page);
    scene.ask("page", 2, Severity::P3, Kind::Page);
    scene.ask("page", 3, Severity::P1, Kind::Page);
    scene.run(3600);
    scene.ask("over", 2, Severity::P3, Kind::Resolved);
    scene.run(7 * 3600);
    check(
        &scene,
        &expect![[r#"
            0 s  3/page/ops/0 P1 page
            25200 s  1/page/ops/0 P3 page, late 
            25201 s  2/over/ops/0 P3 resolved, late "#]],
    );
}

#[test]
fn what_gets_urgent_in_quiet_hours_waits_for_nothing_that_is_not() {
    let quiet = Quiet::new(&[Severity::P4], 22 * 60, 7 * 60);
    let mut scene = Scene::new(Policy { quiet: Some(quiet), ..policy() });
    scene.ask("known", 1, Severity::P4, Kind::Broadcast);
    scene.ask("page", 1, Severity::P1, Kind::Page);
    scene.run(10);
    check(
        &scene,
        &expect![[r#"
                0 s  1/known/ops/0 P4 broadcast
                1 s  1/page/ops/0 P1 page, after ts1"#]],
    );
}

#[test]
fn an_alert_is_told_again_before_it_lapses_until_it_is_over() {
    let mut scene = Scene::new(Policy { renew: Some(Duration::from_secs(100)), ..policy() });
    scene.ask("page", 1, Severity::P2, Kind::Page);
    scene.run(250);
    scene.ask("over", 1, Severity::P2, Kind::Resolved);
    scene.run(500);
    check(
        &scene,
        &expect![[r#"
            0 s  1/page/ops/0 P2 page
            100 s  1/page/ops/0 P2 page, after ts1
            200 s  1/page/ops/0 P2 page, after ts1
            250 s  1/over/ops/0 P2 resolved, after ts1"#]],
    );
}

#[test]
fn an_end_does_not_overtake_an_alert_that_is_being_told_again() {
    let mut scene = Scene::new(Policy { renew: Some(Duration::from_secs(100)), ..policy() });
    scene.ask("page", 1, Severity::P2, Kind::Page);
    scene.deliver();
    scene.pass(101);
    scene.ask("over", 1, Severity::P2, Kind::Resolved);
    scene.pass(10);
    assert!(!scene.told().contains("over"), "{}", scene.told());
    scene.run(5);
    assert!(scene.told().ends_with("1/over/ops/0 P2 resolved, after ts1"), "{}", scene.told());
}

#[test]
fn a_destination_that_is_not_there_is_said_to_be_missing() {
    let mut scene = Scene::new(policy());
    let out = scene.ask_at("nobody", "page", 1, Severity::P1, Kind::Page);
    let why = "there is no destination `nobody` in the settings".to_owned();
    assert!(out.iter().any(|o| matches!(o, Output::Dead(_, told) if *told == why)), "{out:?}");
}

#[test]
fn what_is_only_made_known_goes_where_that_is_taken() {
    let mut scene = Scene::new(Policy { takes_broadcasts: false, ..policy() });
    scene.ask("known", 1, Severity::P1, Kind::Broadcast);
    scene.run(2);
    check(
        &scene,
        &expect![[r#"
                0 s  dead 1/known/ops/0: `ops` takes nothing that is only made known
                0 s  1/known/desk/0 P1 broadcast, meant for ops: `ops` takes nothing that is only made known"#]],
    );
}

#[test]
fn what_is_long_over_is_forgotten() {
    let mut scene = Scene::new(policy());
    scene.ask("page", 1, Severity::P1, Kind::Page);
    scene.run(10);
    scene.pass(31 * 86_400);
    assert_eq!(scene.delivery.rows().count(), 0);
    assert!(scene.kept.is_empty());
}

#[test]
fn a_row_comes_back_from_json_as_it_was() {
    let mut scene = Scene::new(Policy { renew: Some(Duration::from_secs(9)), ..policy() });
    scene.ask("page", 1, Severity::P1, Kind::Page);
    scene.deliver();
    scene.ask("page", 2, Severity::P1, Kind::Page);
    for row in scene.delivery.rows() {
        let text = serde_json::to_string(row).unwrap();
        assert_eq!(&serde_json::from_str::<Row>(&text).unwrap(), row);
    }
}
