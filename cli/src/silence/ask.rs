//! What can be asked for about silences.

use std::time::Duration;

use clap::Subcommand;
use gpuwarden_proto::entity::Entity;
use gpuwarden_proto::repeat::{At, Day, Days, Repeat, ZoneName};
use gpuwarden_proto::settings::parse_duration;
use gpuwarden_proto::silence::{Draft, End, Matcher, SilenceId};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{EntityKind, NodeId, SilenceKind};

use crate::args::By;

const KEYS: &str = "Matchers look at: node, gpu (UUID or index), model, server, service, tenant, rack, \
zone, cluster, rule, type, severity, label.KEY. An expression must match all of the value; what has no \
such value counts as empty. All matchers must match. Incidents of severity P1 stay shown unless one says \
severity=P1, or with --even-critical.";

/// `gpuwarden silence`.
#[derive(Debug, Subcommand)]
pub enum Silence {
    /// Hold back what matches, for a time and with a reason.
    #[command(after_help = KEYS)]
    Add(Add),
    /// List silences and maintenance, with what each holds back.
    List {
        /// Those that are over, too; they are kept for 30 days.
        #[arg(long)]
        all: bool,
    },
    /// End a silence before its time. It stays listed.
    End {
        /// Its number.
        #[arg(value_parser = silence_id)]
        id: SilenceId,
        /// Who ends it.
        #[command(flatten)]
        by: By,
    },
    /// List all that is held back, and why.
    Held,
}

/// `gpuwarden silence add`.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// What findings must be like, e.g. node=gpu-7, 'rule=~xid|ecc.*', 'label.pool!=batch'.
    #[arg(value_name = "MATCHER", required_unless_present = "on")]
    pub matchers: Vec<Matcher>,
    /// A thing of the fleet that findings must be on, or one of several, e.g. rack:r7, gpu:GPU-5f@node-a.
    #[arg(long, value_name = "KIND:NAME", value_parser = entity)]
    pub on: Vec<Entity>,
    /// For so long, e.g. 2h or 7d.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    #[arg(required_unless_present = "until", conflicts_with = "until")]
    pub lasts: Option<Duration>,
    /// Until this instant, in RFC 3339.
    #[arg(long, value_name = "INSTANT")]
    pub until: Option<Timestamp>,
    /// Planned work: it may begin later.
    #[arg(long)]
    pub maintenance: bool,
    /// When the work begins, in RFC 3339; without it, now.
    #[arg(long, value_name = "INSTANT", requires = "maintenance")]
    pub from: Option<Timestamp>,
    /// Comes again on these days: day, weekday, weekend, or some like mon,thu. With --at, --zone,
    /// --last and --for.
    #[arg(long, value_name = "DAYS", requires_all = ["maintenance", "at", "zone", "last", "lasts"])]
    pub every: Option<Days>,
    /// When it begins each time, on the wall's clock, e.g. 02:00. A time that clocks jump over is when
    /// they do.
    #[arg(long, value_name = "TIME", requires = "every")]
    pub at: Option<At>,
    /// The time zone of that clock, e.g. Europe/Berlin.
    #[arg(long, value_name = "ZONE", requires = "every")]
    pub zone: Option<ZoneName>,
    /// The last day on which it begins, e.g. 2026-12-31; at most a year ahead.
    #[arg(long, value_name = "DAY", requires = "every")]
    pub last: Option<Day>,
    /// Why. Whoever wonders will read it.
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    pub reason: Option<String>,
    /// Hold back incidents of severity P1, too.
    #[arg(long)]
    pub even_critical: bool,
    /// Only say what it would hold back now.
    #[arg(long)]
    pub dry_run: bool,
    /// Who asks for it.
    #[command(flatten)]
    pub by: By,
}

impl Add {
    /// What is asked of the aggregator.
    pub fn draft(self) -> Draft {
        let kind = match self.maintenance {
            true => SilenceKind::Maintenance,
            false => SilenceKind::Silence,
        };
        let end = match (self.until, self.lasts) {
            (Some(until), _) => End::At(until),
            (None, lasts) => End::After(lasts.unwrap_or_default()),
        };
        let times = self.every.zip(self.at).zip(self.zone).zip(self.last);
        let repeat = times.map(|(((every, at), zone), last)| Repeat { every, at, zone, last });
        Draft {
            repeat,
            kind,
            matchers: self.matchers,
            entities: self.on,
            starts_at: self.from,
            end,
            author: self.by.by,
            reason: self.reason.unwrap_or_else(|| "a dry run".to_owned()),
            even_critical: self.even_critical,
        }
    }
}

/// `7` or `S7`.
fn silence_id(text: &str) -> Result<SilenceId, String> {
    let number = text.strip_prefix(['S', 's']).unwrap_or(text).parse();
    number.map(SilenceId).map_err(|_| "not a silence's number (try S7)".to_owned())
}

/// `rack:r7`, `node:gpu-7`, `gpu:GPU-5f@node-a`.
fn entity(text: &str) -> Result<Entity, String> {
    let (kind, name) = text.split_once(':').ok_or("not a thing of the fleet (try rack:r7)")?;
    let kind: EntityKind = kind.parse().map_err(|error| format!("{error}"))?;
    let (name, node) = match name.split_once('@') {
        // A process is told from others of its number by when it began.
        Some((name, node)) if kind != EntityKind::Process => (name, Some(node)),
        Some(_) | None => (name, None),
    };
    let named = |text: &str| NodeId::new(text).map_err(|error| format!("{text:?} {}", error.fault));
    let node = match kind {
        EntityKind::Node => Some(named(name)?),
        _ => node.map(named).transpose()?,
    };
    match name {
        "" => Err("its name is missing (try rack:r7)".to_owned()),
        name => Ok(Entity { kind, name: name.into(), node }),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Args, Command};

    fn draft(words: &[&str]) -> Result<Draft, String> {
        let words = ["gpuwarden", "silence", "add"].iter().chain(words);
        match Args::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Silence(Silence::Add(add)) => Ok(add.draft()),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_silence_is_asked_for_with_matchers_a_time_and_a_reason() {
        let words =
            ["node=gpu-7", "rule=~xid|ecc.*", "--for", "2h", "--by", "ann", "--reason", "RMA"];
        let draft = draft(&words).unwrap();
        let written: Vec<String> = draft.matchers.iter().map(ToString::to_string).collect();
        assert_eq!(written, ["node=gpu-7", "rule=~xid|ecc.*"]);
        assert_eq!(draft.end, End::After(Duration::from_secs(7200)));
        assert_eq!((draft.author.as_str(), draft.reason.as_str()), ("ann", "RMA"));
    }

    #[test]
    fn maintenance_may_begin_later_and_be_on_a_thing_of_the_fleet() {
        let from = "2026-11-24T06:00:00Z";
        let words = ["--on", "rack:r7", "--maintenance", "--from", from, "--for", "2h"];
        let draft = draft(&[&words[..], &["--reason", "PDU"]].concat()).unwrap();
        assert_eq!(draft.kind, SilenceKind::Maintenance);
        assert_eq!(draft.entities[0].to_string(), "rack r7");
        assert_eq!(draft.starts_at, from.parse().ok());
        assert_eq!(entity("gpu:GPU-5@node-a").unwrap().to_string(), "gpu GPU-5 of node-a");
    }

    #[test]
    fn maintenance_may_come_again() {
        let again = ["--every", "tue,fri", "--at", "02:00", "--zone", "Europe/Berlin"];
        let rest = ["--on", "rack:r7", "--maintenance", "--for", "2h", "--reason", "backups"];
        let words = [&rest[..], &again, &["--last", "2026-12-31"]].concat();
        let repeat = draft(&words).unwrap().repeat.unwrap();
        let text = "every tue,fri at 02:00 in Europe/Berlin, last on 2026-12-31";
        assert_eq!(repeat.to_string(), text);
        let told = |words: &[&str], part: &str| {
            let error = draft(words).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        told(&[&rest[..], &again].concat(), "--last <DAY>");
        told(&[&rest[..], &["--at", "02:00"]].concat(), "--every <DAYS>");
        told(&[&rest[..], &["--every", "noday"]].concat(), "weekend, or some of: mon,");
        let silence = [&words[..2], &words[3..]].concat();
        told(&silence, "--maintenance");
    }

    #[test]
    fn what_is_missing_or_wrong_is_told() {
        let for_2h = ["--for", "2h"];
        let told = |words: &[&str], part: &str| {
            let error = draft(words).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        told(&[&["node=a"], &for_2h[..]].concat(), "--reason <TEXT>");
        told(&["node=a", "--reason", "x"], "--for <TIME>");
        told(&[&["--reason", "x"], &for_2h[..]].concat(), "MATCHER");
        told(&[&["nodes=a", "--reason", "x"], &for_2h[..]].concat(), "label.KEY");
        told(
            &[&["node=a", "--from", "2026-11-24T06:00:00Z", "--reason", "x"], &for_2h[..]].concat(),
            "--maintenance",
        );
        assert!(silence_id("x").is_err());
        assert_eq!(silence_id("S7"), Ok(SilenceId(7)));
    }
}
