//! Silences, and what is held back, as text.

use gpuwarden_proto::silence::{Held, Hold, Holder, Listed, Silence, minute};
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::vocab::SilenceState;

use crate::page::Page;
use crate::quantity::ago;
use crate::table::{self, Cell, fixed, flexible};
use crate::text::{Paint, WIDTH};

/// What was made, or would be, and what it does.
pub fn made(listed: &Listed, now: Timestamp, dry_run: bool) -> String {
    let Listed { silence, state, now: hold } = listed;
    let mut page = Page::new(WIDTH);
    let nothing = *hold == Hold::default();
    page.line(&match (dry_run, state) {
        (true, _) => format!("This would hold back {} now; nothing was made.", counted(hold)),
        (false, SilenceState::Planned) => format!("{} is planned", silence.id),
        (false, _) => format!("{} holds back {}", silence.id, counted(hold)),
    });
    if nothing && *state == SilenceState::Active {
        page.labelled("now", "no active finding is like that");
    }
    if *state == SilenceState::Planned {
        let (at, left) = (minute(silence.starts_at), spoken(silence.starts_at.since(now)));
        page.labelled("from", &format!("{at} (in {left})"));
    }
    let (until, lasts) =
        (minute(silence.ends_at), spoken(silence.ends_at.since(silence.starts_at)));
    page.labelled("until", &format!("{until} ({lasts})"));
    if let Some(repeat) = &silence.repeat {
        page.labelled("again", &repeat.to_string());
    }
    for line in spared(hold) {
        page.labelled("besides", &line);
    }
    if !dry_run {
        page.labelled("because", &silence.reason);
        page.labelled("end it", &format!("gpuwarden silence end {}", silence.id));
    }
    page.text()
}

/// What stays shown all the same.
fn spared(hold: &Hold) -> Vec<String> {
    let mut lines = Vec::new();
    match hold.in_part {
        0 => {}
        1 => lines.push("1 more stays shown: some of its findings are not held back.".to_owned()),
        n => lines.push(format!("{n} more stay shown: some of their findings are not held back.")),
    }
    match hold.critical {
        0 => {}
        1 => lines.push("1 is P1 and stays shown; --even-critical holds it back, too.".to_owned()),
        n => {
            lines.push(format!("{n} are P1 and stay shown; --even-critical holds them back, too."));
        }
    }
    lines
}

/// What a person's word to end one did.
pub fn ended(listed: &Listed) -> String {
    let (id, hold) = (listed.silence.id, &listed.now);
    match hold.findings {
        0 => format!("{id} is over; it held back nothing.\n"),
        _ => format!(
            "{id} is over; {} are shown again, but for what something else holds back.\n",
            counted(hold)
        ),
    }
}

/// All silences, a block each, and a line that counts.
pub fn list(silences: &[Listed], now: Timestamp) -> String {
    if silences.is_empty() {
        return "Nothing is silenced, and no maintenance is planned.\n".to_owned();
    }
    let mut page = Page::new(WIDTH);
    for Listed { silence, state, now: hold } in silences {
        let id = format!("{:<4}", silence.id);
        let holds = match state {
            SilenceState::Active => format!("holds back {}, ", counted(hold)),
            SilenceState::Planned | SilenceState::Over => String::new(),
        };
        let so_far = format!("so far {} ({})", silence.incidents_held, silence.findings_held);
        let so_far = if *state == SilenceState::Planned { String::new() } else { so_far };
        let text = format!("{}, {}: {holds}{so_far}", silence.kind, when(silence, *state, now));
        page.wrapped(4, &id, text.trim_end_matches([':', ' ']));
        if let Some(repeat) = &silence.repeat {
            page.wrapped(6, "    ", &repeat.to_string());
        }
        page.wrapped(6, "    ", &terms(silence));
        page.wrapped(6, "    ", &format!("{}: {}", silence.author, silence.reason));
        for line in spared(hold) {
            page.wrapped(6, "    ", &line);
        }
    }
    let count = |wanted| silences.iter().filter(|each| each.state == wanted).count();
    let mut counts = format!("{} active", count(SilenceState::Active));
    for (wanted, word) in [(SilenceState::Planned, "planned"), (SilenceState::Over, "over")] {
        if count(wanted) > 0 {
            counts += &format!(", {} {word}", count(wanted));
        }
    }
    page.line(&counts);
    page.text()
}

fn when(silence: &Silence, state: SilenceState, now: Timestamp) -> String {
    match (state, &silence.ended) {
        (SilenceState::Active, _) => format!("{} left", spoken(silence.ends_at.since(now))),
        (SilenceState::Planned, _) => {
            let (at, lasts) = (silence.starts_at, silence.ends_at.since(silence.starts_at));
            format!("from {} (in {}) for {}", minute(at), spoken(at.since(now)), spoken(lasts))
        }
        (SilenceState::Over, Some(ended)) => {
            format!("ended by {} {}", ended.by, ago(now, ended.at))
        }
        (SilenceState::Over, None) => format!("over since {}", ago(now, silence.ends_at)),
    }
}

/// What it matches.
fn terms(silence: &Silence) -> String {
    let mut terms: Vec<String> = silence.matchers.iter().map(ToString::to_string).collect();
    let entities: Vec<String> = silence.entities.iter().map(ToString::to_string).collect();
    if !entities.is_empty() {
        terms.push(format!("on {}", entities.join(" or ")));
    }
    if silence.even_critical {
        terms.push("even P1".to_owned());
    }
    terms.join("  ")
}

/// Incidents and findings in words.
fn counted(hold: &Hold) -> String {
    let plural = |count: u64, word: &str| match count {
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    };
    match (hold.incidents, hold.findings) {
        (0, 0) => "nothing".to_owned(),
        (incidents, findings) => {
            format!("{} ({})", plural(incidents, "incident"), plural(findings, "finding"))
        }
    }
}

/// What is held back, a line for each incident and each thing that holds it.
pub fn held(held: &[Held], now: Timestamp, paint: Paint) -> String {
    if held.is_empty() {
        return "Nothing is held back.\n".to_owned();
    }
    let columns = [
        fixed("ID"),
        fixed("SEV"),
        fixed("FINDINGS"),
        flexible("HELD BACK BY"),
        fixed("LEFT"),
        flexible("BECAUSE"),
        flexible("WHAT"),
    ];
    let row = |held: &Held| -> [Cell; 7] {
        let by = &held.suppression;
        [
            held.incident.to_string().into(),
            held.severity.into(),
            format!("{} of {}", by.members_held, by.members_total).into(),
            who(&by.by, &by.author).into(),
            by.until.map_or("-".to_owned(), |until| spoken(until.since(now))).into(),
            by.reason.as_str().into(),
            held.title.as_str().into(),
        ]
    };
    let rows: Vec<_> = held.iter().map(row).collect();
    table::render(columns, &rows, paint) + &count(held)
}

fn who(by: &Holder, author: &str) -> String {
    match by {
        Holder::Silence { id } | Holder::Maintenance { id } => format!("{id} {author}"),
        Holder::Inhibition { rule, incident } => format!("{incident} {rule}"),
    }
}

fn count(held: &[Held]) -> String {
    let mut wholly: Vec<_> = held.iter().filter(|each| each.held_since.is_some()).collect();
    let mut partly: Vec<_> = held.iter().filter(|each| each.held_since.is_none()).collect();
    for list in [&mut wholly, &mut partly] {
        list.sort_by_key(|each| each.incident);
        list.dedup_by_key(|each| each.incident);
    }
    match partly.len() {
        0 => format!("{} held back\n", wholly.len()),
        some => format!("{} held back, {some} shown since some findings are not\n", wholly.len()),
    }
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::entity::{Entity, EntityKind};
    use gpuwarden_proto::incident::Incident;
    use gpuwarden_proto::silence::{Ended, SilenceId};
    use gpuwarden_proto::vocab::SilenceKind;

    use super::*;
    use crate::incidents::sample;

    const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

    fn silence(id: u64, kind: SilenceKind, starts_at: Timestamp) -> Silence {
        Silence {
            id: SilenceId(id),
            kind,
            matchers: vec![
                "node=gpu-node-7".parse().expect("a matcher"),
                "rule=~xid|ecc.*".parse().expect("a matcher"),
            ],
            entities: Vec::new(),
            starts_at,
            ends_at: starts_at.after(HOUR * 2),
            author: "ann".to_owned(),
            reason: "RMA of GPU 3, ticket 4711".to_owned(),
            even_critical: false,
            created_at: sample::NOW,
            ended: None,
            incidents_held: 3,
            findings_held: 9,
            repeat: None,
        }
    }

    fn active() -> Listed {
        let silence = silence(7, SilenceKind::Silence, sample::NOW);
        let now = Hold { incidents: 2, findings: 5, in_part: 1, critical: 1 };
        Listed { silence, state: SilenceState::Active, now }
    }

    fn planned() -> Listed {
        let mut silence = silence(8, SilenceKind::Maintenance, sample::NOW.after(HOUR * 12));
        silence.matchers.clear();
        silence.entities = vec![Entity::fleet(EntityKind::Rack, "r7")];
        silence.even_critical = true;
        Listed { silence, state: SilenceState::Planned, now: Hold::default() }
    }

    fn weekly() -> Listed {
        let mut listed = planned();
        listed.silence.id = SilenceId(9);
        listed.silence.repeat = Some(gpuwarden_proto::repeat::Repeat {
            every: "tue,fri".parse().expect("days"),
            at: "03:14".parse().expect("a time"),
            zone: "Europe/Berlin".parse().expect("a zone"),
            last: "2027-03-31".parse().expect("a day"),
        });
        listed
    }

    fn over() -> Listed {
        let mut silence = silence(2, SilenceKind::Silence, sample::NOW.before(HOUR * 9));
        silence.ended = Some(Ended { by: "bob".to_owned(), at: sample::NOW.before(HOUR * 8) });
        Listed { silence, state: SilenceState::Over, now: Hold::default() }
    }

    #[test]
    fn what_was_made_says_what_it_does_until_when_and_how_to_end_it() {
        let nothing = Listed { now: Hold::default(), ..active() };
        let told = [
            made(&active(), sample::NOW, false),
            made(&nothing, sample::NOW, false),
            made(&planned(), sample::NOW, false),
            made(&weekly(), sample::NOW, false),
            made(&active(), sample::NOW, true),
            ended(&active()),
            ended(&over()),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        S7 holds back 2 incidents (5 findings)
          until     2026-11-23 16:14 UTC (2 h 0 min)
          besides   1 more stays shown: some of its findings are not held back.
          besides   1 is P1 and stays shown; --even-critical holds it back, too.
          because   RMA of GPU 3, ticket 4711
          end it    gpuwarden silence end S7

        S7 holds back nothing
          now       no active finding is like that
          until     2026-11-23 16:14 UTC (2 h 0 min)
          because   RMA of GPU 3, ticket 4711
          end it    gpuwarden silence end S7

        S8 is planned
          from      2026-11-24 02:14 UTC (in 12 h 0 min)
          until     2026-11-24 04:14 UTC (2 h 0 min)
          because   RMA of GPU 3, ticket 4711
          end it    gpuwarden silence end S8

        S9 is planned
          from      2026-11-24 02:14 UTC (in 12 h 0 min)
          until     2026-11-24 04:14 UTC (2 h 0 min)
          again     every tue,fri at 03:14 in Europe/Berlin, last on 2027-03-31
          because   RMA of GPU 3, ticket 4711
          end it    gpuwarden silence end S9

        This would hold back 2 incidents (5 findings) now; nothing was made.
          until     2026-11-23 16:14 UTC (2 h 0 min)
          besides   1 more stays shown: some of its findings are not held back.
          besides   1 is P1 and stays shown; --even-critical holds it back, too.

        S7 is over; 2 incidents (5 findings) are shown again, but for what something else holds back.

        S2 is over; it held back nothing.
        ");
    }

    #[test]
    fn each_silence_is_listed_with_what_it_matches_in_full_and_why() {
        let text = list(&[active(), planned(), weekly(), over()], sample::NOW);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        insta::assert_snapshot!(text, @r"
        S7  silence, 2 h 0 min left: holds back 2 incidents (5 findings), so far 3 (9)
            node=gpu-node-7 rule=~xid|ecc.*
            ann: RMA of GPU 3, ticket 4711
            1 more stays shown: some of its findings are not held back.
            1 is P1 and stays shown; --even-critical holds it back, too.
        S8  maintenance, from 2026-11-24 02:14 UTC (in 12 h 0 min) for 2 h 0 min
            on rack r7 even P1
            ann: RMA of GPU 3, ticket 4711
        S9  maintenance, from 2026-11-24 02:14 UTC (in 12 h 0 min) for 2 h 0 min
            every tue,fri at 03:14 in Europe/Berlin, last on 2027-03-31
            on rack r7 even P1
            ann: RMA of GPU 3, ticket 4711
        S2  silence, ended by bob 8 h 0 min ago: so far 3 (9)
            node=gpu-node-7 rule=~xid|ecc.*
            ann: RMA of GPU 3, ticket 4711
        1 active, 2 planned, 1 over
        ");
        assert_eq!(list(&[], sample::NOW), "Nothing is silenced, and no maintenance is planned.\n");
    }

    #[test]
    fn what_is_held_back_is_listed_with_its_reason() {
        let of = |incident: Incident| {
            let held = |suppression: &gpuwarden_proto::silence::Suppression| Held {
                incident: incident.id,
                kind: incident.kind,
                severity: incident.severity,
                title: incident.title.clone(),
                held_since: incident.held_since,
                suppression: suppression.clone(),
            };
            incident.suppressed_by.iter().map(held).collect::<Vec<_>>()
        };
        let mut partly = of(sample::released(5));
        partly[0].incident.0 += 1;
        let all = [of(sample::held()), partly].concat();
        insta::assert_snapshot!(held(&all, sample::NOW, Paint::Plain), @r"
        ID  SEV  FINDINGS  HELD BACK BY   LEFT        BECAUSE                     WHAT
        #3  P2   3 of 3    S7 ann         6 h 16 min  RMA of GPU 1                GPU 1 of node-b is lost (…
        #3  P2   1 of 3    #5 rack-first  -           #5 is active, same rack r7  GPU 1 of node-b is lost (…
        #4  P2   1 of 3    #5 rack-first  -           #5 is active, same rack r7  GPU 1 of node-b is lost (…
        1 held back, 1 shown since some findings are not
        ");
        assert_eq!(held(&[], sample::NOW, Paint::Plain), "Nothing is held back.\n");
    }

    #[test]
    fn names_from_outside_cannot_write_on_the_terminal() {
        let mut listed = active();
        listed.silence.reason = "\u{1b}[2J\u{9b}31m\nx".to_owned();
        listed.silence.author = "\u{7}".to_owned();
        listed.silence.matchers[0].value = "\u{1b}c".to_owned();
        let text = made(&listed, sample::NOW, false) + &list(&[listed], sample::NOW);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    }
}
