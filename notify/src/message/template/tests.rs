use expect_test::expect;

use super::*;

fn check(kind: Kind, audience: Audience) -> String {
    shown(&Templates::default().words(&Notice::of(example::message(kind, audience))))
}

fn shown(words: &Words) -> String {
    format!("{}\n--\n{}", words.headline, words.body)
}

fn own(name: &str, text: &str) -> (Templates, Vec<String>) {
    Templates::new(BTreeMap::from([(name.to_owned(), text.to_owned())]))
}

#[test]
fn a_page_says_what_is_broken_for_whom_why_and_what_to_do() {
    expect![[r#"
        P1 bert-large on node-a fails 38 % of requests for search (1 of 2 replicas), since 14:02 UTC (3 min)
        --
        cause     memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of node-a (93 % sure)
        did       14:03 UTC queue of bert-large limited to 64 (kept, ends 14:32)
        next      gpu-oom step 4: move a replica to another node
                  gpuwarden runbook step done 2 4
        expected  over by 14:32 UTC"#]].assert_eq(&check(Kind::Page, Audience::Engineering));
}

#[test]
fn an_update_says_what_is_new() {
    expect![[r#"
        P1 still: bert-large on node-a fails 38 % of requests for search (1 of 2 replicas), since 14:02 UTC (3 min)
        --
        new       maria took it; errors 38 % → 12 %
        cause     memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of node-a (93 % sure)
        did       14:03 UTC queue of bert-large limited to 64 (kept, ends 14:32)
        next      gpu-oom step 4: move a replica to another node
                  gpuwarden runbook step done 2 4
        owner     maria
        expected  over by 14:32 UTC"#]].assert_eq(&check(Kind::Update, Audience::Engineering));
}

#[test]
fn an_end_says_how_long_what_mended_it_and_when_the_review_is() {
    expect![[r#"
        Resolved: P1 bert-large on node-a fails 38 % of requests for search (1 of 2 replicas), lasted 47 min
        --
        fixed by  trt-worker restarted with a smaller batch
        cause     memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of node-a (93 % sure)
        did       14:03 UTC queue of bert-large limited to 64 (kept, ends 14:32)
        review    2026-11-24 14:02 UTC"#]].assert_eq(&check(Kind::Resolved, Audience::Engineering));
}

#[test]
fn management_hears_impact_owner_and_when() {
    expect![[r#"
        P1 Search: some searches fail or take long, since 14:02 UTC (3 min)
        --
        affected  search (1 of 2 replicas)
        cause     memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of node-a (93 % sure)
        owner     nobody yet
        expected  over by 14:32 UTC
        update    by 14:35 UTC"#]]
    .assert_eq(&check(Kind::Page, Audience::Management));
}

#[test]
fn stakeholders_hear_what_they_notice() {
    expect![[r#"
        Update: Search: some searches fail or take long, since 14:02 UTC (3 min)
        --
        We are still working on it.
        Expected to be over by 14:32 UTC.
        Next update by 14:35 UTC."#]]
    .assert_eq(&check(Kind::Update, Audience::Stakeholders));
}

#[test]
fn stakeholders_hear_no_name_of_ours_whatever_is_told() {
    for kind in Kind::ALL {
        let text = check(kind, Audience::Stakeholders);
        for name in ["node-a", "bert", "trt-worker", "maria", "P1", "gpu", "replica"] {
            assert!(!text.contains(name), "{kind}: {name} in {text}");
        }
    }
}

#[test]
fn a_template_of_a_user_for_stakeholders_cannot_name_a_node() {
    let (templates, faults) = own("page.stakeholders.txt", "{{ broken }}");
    assert_eq!(
        faults,
        ["page.stakeholders.txt: line 1: undefined value; the built-in template stands in"]
    );
    let message = example::message(Kind::Page, Audience::Stakeholders);
    assert!(templates.words(&Notice::of(message)).headline.starts_with("Outage: Search"));
}

#[test]
fn a_template_of_a_user_is_used_instead() {
    let (templates, faults) =
        own("page.engineering.txt", "ALARM {{ number }}\n{{ next.command }}\n");
    assert_eq!(faults, [""; 0]);
    let words = templates.words(&Notice::of(example::message(Kind::Page, Audience::Engineering)));
    assert_eq!(shown(&words), "ALARM 2\n--\ngpuwarden runbook step done 2 4");
}

#[test]
fn a_broken_template_gives_way_and_says_so() {
    let broken = [
        ("page.engineering.txt", "{% if %}"),
        ("page.engineering.txt", "{{ nothing }}"),
        ("page.engineering.txt", "\n \n"),
        (
            "page.engineering.txt",
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        ),
        ("paged.txt", "x"),
    ];
    let faults: Vec<String> = broken.iter().flat_map(|(name, text)| own(name, text).1).collect();
    expect![[r#"
        page.engineering.txt: line 1: unexpected end of block; the built-in template stands in
        page.engineering.txt: line 1: undefined value; the built-in template stands in
        page.engineering.txt: gives no text; its first line is the headline; the built-in template stands in
        page.engineering.txt: line 1: engine ran out of fuel; the built-in template stands in
        paged.txt: is no name of a template (they are KIND.AUDIENCE.txt, such as page.engineering.txt); the built-in template stands in"#]].assert_eq(&faults.join("\n"));
}

#[test]
fn a_template_that_fails_only_on_some_message_gives_way_there_and_says_so() {
    let (templates, faults) = own("page.engineering.txt", "{{ next.what }}");
    assert_eq!(faults, [""; 0]);
    let mut message = example::message(Kind::Page, Audience::Engineering);
    message.next = None;
    let words = templates.words(&Notice::of(message));
    assert!(words.headline.starts_with("P1 bert-large"));
    assert!(words.fault.is_some());
    assert!(words.body.contains("\ntemplate  page.engineering.txt: line 1:"), "{}", words.body);
}

#[test]
fn several_incidents_are_one_message_and_what_is_late_says_so() {
    let first = example::message(Kind::Page, Audience::Engineering);
    let mut other = first.clone();
    other.incident = gpuwarden_proto::vocab::IncidentId(3);
    other.broken = "resnet50 is slow".to_owned();
    let late = Some(std::time::Duration::from_secs(2400));
    let notice = Notice {
        others: vec![other],
        late,
        flapping: true,
        diverted: Some("slack: channel_not_found".to_owned()),
        ..Notice::of(first)
    };
    expect![[r#"
        P1 bert-large on node-a fails 38 % of requests for search (1 of 2 replicas), since 14:02 UTC (3 min) (and 1 more)
        --
        late      told 40 min after it was so
        flapping  it comes and goes: told again when it is calm, or worse
        diverted  slack: channel_not_found
        cause     memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of node-a (93 % sure)
        did       14:03 UTC queue of bert-large limited to 64 (kept, ends 14:32)
        next      gpu-oom step 4: move a replica to another node
                  gpuwarden runbook step done 2 4
        expected  over by 14:32 UTC
        also      #3 P1 resnet50 is slow for search (1 of 2 replicas), since 14:02 UTC (3 min)"#]].assert_eq(&shown(&Templates::default().words(&notice)));
}

#[test]
fn every_kind_has_words_for_every_audience_whatever_is_missing() {
    for (kind, audience) in Kind::ALL.into_iter().flat_map(|k| Audience::ALL.map(|a| (k, a))) {
        let mut message = example::message(kind, audience);
        (message.cause, message.next, message.over) = (None, None, None);
        (message.expected_over, message.next_update, message.owner) = (None, None, None);
        (message.whom, message.news) = (String::new(), String::new());
        message.done.clear();
        let words = Templates::default().words(&Notice::of(message));
        assert!(!words.headline.is_empty() && words.fault.is_none(), "{kind} {audience}");
    }
}

#[test]
fn control_characters_of_a_fact_do_not_break_a_line() {
    let mut message = example::message(Kind::Page, Audience::Engineering);
    message.broken = "a\rb\u{1b}[31m".to_owned();
    let words = Templates::default().words(&Notice::of(message));
    assert!(words.headline.starts_with("P1 a b [31m for search"), "{}", words.headline);
}
