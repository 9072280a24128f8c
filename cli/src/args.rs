//! What can be asked for on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{ChangeKind, EntityKind, IncidentId, NodeId, Seq};

use crate::client::Aggregator;
use crate::incidents::order::Order;
use crate::incidents::report::ReportArgs;
use crate::oncall;
use crate::review::Review;
pub use crate::runbook::Runbook;
pub use crate::silence::ask::Silence;

/// Watches GPU nodes that serve models with Triton, and turns what goes wrong into few incidents.
#[derive(Debug, Parser)]
#[command(name = "gpuwarden", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 what was asked for failed, 2 bad usage.")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// The aggregator to ask.
    #[arg(long, global = true, env = "GPUWARDEN_AGGREGATOR", value_name = "URL")]
    #[arg(default_value = "http://127.0.0.1:7443")]
    pub aggregator: Aggregator,
    /// A table for people, or JSON for scripts: times in full, and nothing else on stdout.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub output: Format,
}

/// How to write what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For scripts.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run aggregator and agent of this machine together, and show incidents as they come.
    Up(Up),
    /// Ask about incidents and answer them.
    #[command(subcommand)]
    Incidents(Incidents),
    /// Hold incidents back for a time, with a reason, and see what is held back.
    #[command(subcommand)]
    Silence(Silence),
    /// Look back upon incidents, and see to it that what was decided is done.
    #[command(subcommand)]
    Review(Review),
    /// Show who is on call, and have somebody take over.
    #[command(subcommand)]
    Oncall(oncall::Command),
    /// Show what to do about each type of incident. Needs no aggregator.
    #[command(subcommand)]
    Runbook(Runbook),
    /// Show the nodes of the fleet.
    Nodes,
    /// Show what is promised of services, how much of it is left, and how fast it is used up.
    Slo,
    /// Show what stands where and what depends on what.
    Topology(Topology),
    /// Show what was done to the fleet, and record it.
    #[command(subcommand)]
    Change(Change),
    /// Show what the candidate config would have done otherwise.
    Shadow,
    /// Say where something went, and why.
    #[command(subcommand)]
    Explain(Explain),
    /// Read the GPU driver of this machine for the agent that started this.
    #[command(hide = true)]
    Probe(gpuwarden_agent::command::ProbeArgs),
}

/// `gpuwarden up`.
#[derive(Debug, clap::Args)]
pub struct Up {
    /// Add a small simulated fleet in which one thing after another goes wrong.
    #[arg(long)]
    pub demo: bool,
    /// Folder for everything that is kept. The demo keeps to a folder of its own in it.
    #[arg(long, value_name = "DIR", default_value = "./gpuwarden-data")]
    pub data: PathBuf,
    /// Stop after so long, e.g. `90s`; otherwise run until interrupted.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Where agents and this command line find the aggregator.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7443")]
    pub grpc: SocketAddr,
    /// Where the aggregator serves HTTP.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7080")]
    pub http: SocketAddr,
}

/// `gpuwarden topology`.
#[derive(Debug, clap::Args)]
pub struct Topology {
    /// One thing: its name, NODE/NAME for what is on one node, KIND:NAME where a name is not enough,
    /// e.g. `gpu-node-1`, `gpu-node-1/default/bert:1`, `service:search`.
    #[arg(value_name = "ENTITY")]
    pub entity: Option<String>,
    /// How deep the tree of the whole fleet goes.
    #[arg(long, value_enum, default_value_t = Depth::Rack, conflicts_with = "entity")]
    pub depth: Depth,
}

/// Where the tree of the fleet ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Depth {
    /// Clusters alone.
    Cluster,
    /// Down to zones.
    Zone,
    /// Down to racks.
    Rack,
    /// All nodes.
    Node,
}

impl Depth {
    /// The kind of thing at which it ends.
    pub fn kind(self) -> EntityKind {
        match self {
            Self::Cluster => EntityKind::Cluster,
            Self::Zone => EntityKind::Zone,
            Self::Rack => EntityKind::Rack,
            Self::Node => EntityKind::Node,
        }
    }
}

/// `gpuwarden incidents`.
#[derive(Debug, Subcommand)]
pub enum Incidents {
    /// List incidents, worst first.
    List {
        /// Those that are over, too.
        #[arg(long)]
        all: bool,
        /// Those that are held back, and no others.
        #[arg(long, conflicts_with = "all")]
        held: bool,
        /// So many at most.
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
    },
    /// Show one incident: cause, members, evidence, history, next step.
    Show {
        /// Its number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
    },
    /// Say why an incident is what it is: members, type, severity, likely causes, merges.
    Explain {
        /// Its number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
    },
    /// Tell of trouble that nobody has seen yet.
    Report(ReportArgs),
    /// Follow incidents live until interrupted.
    Watch {
        /// Those that are held back, too.
        #[arg(long)]
        held: bool,
    },
    /// Take an incident.
    Ack {
        /// Its number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// For so long, e.g. 2h; then people are paged again. Without it, as the settings say.
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        lasts: Option<Duration>,
        /// Who takes it.
        #[command(flatten)]
        by: By,
    },
    /// Add a remark to an incident's history.
    Note {
        /// Its number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// The remark.
        text: String,
        /// Whose remark.
        #[command(flatten)]
        by: By,
    },
    /// Make an incident part of another: they have one cause. They stay together.
    Merge {
        /// The number of the one that ends.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// The number of the one that goes on.
        #[arg(value_parser = incident_id)]
        into: IncidentId,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Who says so.
        #[command(flatten)]
        by: By,
    },
    /// Take members out of an incident into a new one: they have another cause. They stay apart.
    Split {
        /// The incident's number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// A member's place in `incidents show`, counted from 1; may be given several times.
        #[arg(long = "member", required = true)]
        members: Vec<u32>,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Who says so.
        #[command(flatten)]
        by: By,
    },
    /// End an incident.
    Resolve {
        /// Its number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// What ended it.
        #[arg(long)]
        reason: String,
        /// Although it has members that are still active.
        #[arg(long)]
        force: bool,
        /// Who ends it.
        #[command(flatten)]
        by: By,
    },
    /// What concerns the work on it.
    #[command(flatten)]
    Order(Order),
}

/// Who answers.
#[derive(Debug, Clone, clap::Args)]
pub struct By {
    /// In whose name.
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown")]
    pub by: String,
}

/// `gpuwarden change`.
#[derive(Debug, Subcommand)]
pub enum Change {
    /// List changes, newest first.
    List {
        /// So many at most.
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },
    /// Record that something was, or is being, changed. With nothing named it is the whole fleet.
    Record(Box<Record>),
}

/// `gpuwarden change record`.
#[derive(Debug, Clone, clap::Args)]
pub struct Record {
    /// How: `model-deployed`, `config-changed`, `rollout`, `driver-changed`, `infrastructure`, `other`, ….
    pub kind: ChangeKind,
    /// What was done, in one sentence.
    pub summary: String,
    /// A service that was changed; may be given several times, as all that names something.
    #[arg(long, value_name = "SERVICE")]
    pub service: Vec<String>,
    /// A model, or one version of it.
    #[arg(long, value_name = "MODEL[:VERSION]")]
    pub model: Vec<String>,
    /// A node.
    #[arg(long, value_name = "NODE", value_parser = node_id)]
    pub node: Vec<NodeId>,
    /// A rack.
    #[arg(long, value_name = "RACK")]
    pub rack: Vec<String>,
    /// A zone.
    #[arg(long, value_name = "ZONE")]
    pub zone: Vec<String>,
    /// A version of the GPU driver.
    #[arg(long, value_name = "VERSION")]
    pub driver: Vec<String>,
    /// Who does it.
    #[command(flatten)]
    pub by: By,
    /// Where more is written.
    #[arg(long, value_name = "URL", default_value = "")]
    pub link: String,
    /// What tells it from other changes: with the same key it is recorded once, and may be ended.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// When it began, in RFC 3339; now, where that is not given.
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
    /// When it was done.
    #[arg(long, value_name = "TIME")]
    pub finished: Option<Timestamp>,
    /// The version before it.
    #[arg(long, value_name = "VERSION", default_value = "")]
    pub from: String,
    /// The version since then.
    #[arg(long, value_name = "VERSION", default_value = "")]
    pub to: String,
}

/// `gpuwarden explain`.
#[derive(Debug, Subcommand)]
pub enum Explain {
    /// Say where one event of a node went, and why.
    Event {
        /// The node.
        #[arg(value_parser = node_id)]
        node: NodeId,
        /// Its number on that node, as `gpuwarden-aggregator events` prints it.
        #[arg(value_parser = event_seq)]
        seq: Seq,
    },
}

fn node_id(text: &str) -> Result<NodeId, String> {
    NodeId::new(text).map_err(|error| format!("not a node's name: it {}", error.fault))
}

fn event_seq(text: &str) -> Result<Seq, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.map(Seq).ok_or_else(|| "not an event's number (try 1)".to_owned())
}

/// `7` or `#7`.
pub(crate) fn incident_id(text: &str) -> Result<IncidentId, String> {
    let number = text.strip_prefix('#').unwrap_or(text).parse();
    number.map(IncidentId).map_err(|_| "not an incident's number (try 7)".to_owned())
}

/// `500ms`, `90s`, `2m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let read =
        |(unit, ms): &(&str, u64)| text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(*ms);
    match units.iter().find_map(read) {
        Some(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        Some(_) | None => Err("not a duration (try 90s or 2m)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn durations_have_a_unit_and_are_not_zero() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["90", "0s", "-1s", "s", "99999999999999999999h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_incident_is_named_with_or_without_its_sign() {
        assert_eq!(incident_id("#7"), Ok(IncidentId(7)));
        assert_eq!(incident_id("7"), Ok(IncidentId(7)));
        assert!(incident_id("seven").is_err());
    }

    #[test]
    fn bad_usage_is_exit_code_two() {
        let error = Args::try_parse_from(["gpuwarden", "incidents", "show", "x"]).map(|_| ());
        assert_eq!(error.map_err(|error| error.exit_code()), Err(2));
        for seq in ["0", "-1", "x"] {
            let error = Args::try_parse_from(["gpuwarden", "explain", "event", "node-a", seq]);
            assert_eq!(error.map(|_| ()).map_err(|error| error.exit_code()), Err(2), "{seq}");
        }
        let error = Args::try_parse_from(["gpuwarden", "nodes", "--aggregator", "ftp://x"]);
        assert_eq!(error.map(|_| ()).map_err(|error| error.exit_code()), Err(2));
    }
}
