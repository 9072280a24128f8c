use expect_test::expect;
use gpuwarden_proto::vocab::Severity;

use super::*;

const SAMPLE: &str = include_str!("../../../packaging/notify.toml");

fn read(path: &Path) -> Result<String, String> {
    match path.to_str() {
        Some("/missing") => Err("cannot be read: no such file".to_owned()),
        Some("/empty") => Ok("\n".to_owned()),
        Some(file) if file.contains("url") || file.contains("slack-webhook") => {
            Ok("https://hooks.example/services/x\n".to_owned())
        }
        _ => Ok("secret-word\n".to_owned()),
    }
}

fn problems(text: &str) -> String {
    let problems = Settings::parse("notify.toml", text, &read).unwrap_err();
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_file_that_says_nothing_tells_nobody() {
    let settings = Settings::parse("notify.toml", "", &read).unwrap();
    assert!(settings.destinations.is_empty());
    assert_eq!(settings.installation, "gpuwarden");
}

#[test]
fn the_sample_has_one_destination_of_each_kind_when_its_comments_are_taken_away() {
    let text: String = SAMPLE
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n");
    let settings = Settings::parse("notify.toml", &text, &read).unwrap();
    let kinds: Vec<_> = settings.destinations.iter().map(|it| it.channel.as_str()).collect();
    assert_eq!(kinds, ["slack", "slack-webhook", "email", "pagerduty", "alertmanager", "webhook"]);
    Settings::parse("notify.toml", SAMPLE, &read).unwrap();
}

fn is_setting(line: &str) -> bool {
    line.starts_with('[')
        || line.split_once(" = ").is_some_and(|(key, _)| {
            key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
}

#[test]
fn the_defaults_of_a_section_are_within_what_its_destination_documents() {
    let text = "[[destination]]\nname = \"a\"\nkind = \"slack\"\ntoken_file = \"/t\"\n\
        channel = \"#incidents\"\n";
    let settings = Settings::parse("notify.toml", text, &read).unwrap();
    let policy = &settings.destinations[0].policy;
    assert_eq!((policy.rate.every.as_secs(), policy.rate.burst), (1, 1));
    assert_eq!(policy.bundle, None);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = r##"
[notify]
installation = "two words"
colour = "red"
[[destination]]
name = "bad name"
kind = "pigeon"
[[destination]]
name = "a"
kind = "slack"
token_file = "/missing"
channel = "two words"
follow_ups = "both"
rate = "1ms"
quiet = ["P1", "P5", "P4"]
quiet_from = "25:00"
[[destination]]
name = "b"
kind = "email"
host = "mail.example"
security = "none"
from = "nobody"
to = []
user = "me"
fall_back = "nowhere"
[[destination]]
name = "c"
kind = "webhook"
url = "http://far.example/x"
token_file = "/t"
bundle = "5s"
[[destination]]
name = "c"
kind = "pagerduty"
routing_key_file = "/empty"
url = "http://far.example"
[[destination]]
name = "d"
kind = "alertmanager"
url = "alertmanager"
"##;
    expect![[r#"
        notify.toml:3: notify.installation = "two words": should be a word of letters, digits, `-`, `_` and `.`, 64 at most
        notify.toml:4: notify.colour: is not a key of this section
        notify.toml:6: destination[0].name = "bad name": should be a name of at most 64 letters, digits, `-` and `_`
        notify.toml:7: destination[0].kind = "pigeon": should be slack-webhook, slack, email, pagerduty, alertmanager or webhook
        notify.toml:8: destination[1].quiet: needs quiet_from and quiet_until, like "22:00", in UTC
        notify.toml:11: destination[1].token_file = "/missing": cannot be read: no such file
        notify.toml:12: destination[1].channel = "two words": should be a word of letters, digits, `-`, `_` and `.`, 64 at most
        notify.toml:13: destination[1].follow_ups = "both": should be edit or thread
        notify.toml:14: destination[1].rate = "1ms": out of range (allowed 10ms to 1h)
        notify.toml:15: destination[1].quiet = "P1": P1 is never held back
        notify.toml:15: destination[1].quiet = "P5": should be P2, P3 or P4
        notify.toml:16: destination[1].quiet_from = "25:00": should be a time of day in UTC, like "22:00"
        notify.toml:17: destination[2].fall_back: there is no destination `nowhere`
        notify.toml:17: destination[2].security: none is for a server on this machine only
        notify.toml:17: destination[2].to: should name 1 to 50 recipients
        notify.toml:17: destination[2].user: and password_file go together
        notify.toml:22: destination[2].from = "nobody": should be an address like `oncall@example.org` or `Name <oncall@example.org>`
        notify.toml:26: destination[3].token_file: would be sent readably: use an https:// address
        notify.toml:31: destination[3].bundle: is not a key of this section
        notify.toml:32: destination[4].name: is the name of another destination, too
        notify.toml:35: destination[4].routing_key_file = "/empty": holds nothing; it should hold the secret, on one line
        notify.toml:36: destination[4].url = "http://far.example": should be an https:// address, since secrets go there
        notify.toml:40: destination[5].url = "alertmanager": is no address (they look like https://HOST/PATH)"#]].assert_eq(&problems(text));
}

#[test]
fn what_falls_back_on_itself_is_a_mistake() {
    let one = |name: &str, other: &str| {
        format!(
            "[[destination]]\nname = \"{name}\"\nkind = \"slack-webhook\"\n\
             url_file = \"/url\"\nfall_back = \"{other}\"\n"
        )
    };
    let text = one("a", "b") + &one("b", "a") + &one("c", "c");
    expect![[r#"
        notify.toml:1: destination[0].fall_back: leads back to itself
        notify.toml:6: destination[1].fall_back: leads back to itself
        notify.toml:11: destination[2].fall_back: leads back to itself"#]]
    .assert_eq(&problems(&text));
}

#[test]
fn a_secret_is_in_no_text_of_the_settings() {
    let text = "[[destination]]\nname = \"a\"\nkind = \"pagerduty\"\nrouting_key_file = \"/k\"\n\
        [[destination]]\nname = \"b\"\nkind = \"slack-webhook\"\nurl_file = \"/url\"\n";
    let settings = Settings::parse("notify.toml", text, &read).unwrap();
    let shown = format!("{settings:?}");
    assert!(!shown.contains("secret-word") && !shown.contains("services"), "{shown}");
}

#[test]
fn quiet_hours_hold_what_they_name() {
    let text = "[[destination]]\nname = \"a\"\nkind = \"slack-webhook\"\nurl_file = \"/url\"\n\
        quiet = [\"P4\"]\nquiet_from = \"22:00\"\nquiet_until = \"07:00\"\n";
    let settings = Settings::parse("notify.toml", text, &read).unwrap();
    let quiet = settings.destinations[0].policy.quiet.clone().unwrap();
    let now = "2026-11-23T23:00:00Z".parse().unwrap();
    assert_eq!(quiet.over_at(Severity::P3, now), now);
    assert!(quiet.over_at(Severity::P4, now) > now);
}

#[test]
fn templates_of_a_folder_are_used_and_what_is_wrong_with_them_is_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("page.engineering.txt"), "{% if").unwrap();
    std::fs::write(folder.path().join("page.management.txt"), "{{ service }}").unwrap();
    std::fs::write(folder.path().join("notes.md"), "not one").unwrap();
    let (_, faults) = templates::load(Some(folder.path()));
    assert_eq!(faults.len(), 1, "{faults:?}");
    let (_, faults) = templates::load(Some(&folder.path().join("nowhere")));
    assert!(faults[0].contains("the built-in templates stand in"), "{faults:?}");
}
