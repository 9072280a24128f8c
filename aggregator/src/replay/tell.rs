//! How a line of an event log is written: what [`Line::parse`] reads, and of a snapshot only what
//! correlation goes by. Pure.

use std::collections::BTreeMap;

use gpuwarden_proto::change::RecordedChange;
use gpuwarden_proto::event::{Event, Finding};
use gpuwarden_proto::inventory::{Gpu, Model, Server, Snapshot, Source};
use gpuwarden_proto::silence::SilenceId;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{
    Availability, GpuUuid, IncidentId, ModelName, ModelVersion, NodeId, Seq, ServerName, Severity,
    SourceName, SourceState,
};
use serde::Serialize;

use super::line::{Line, Word};
use super::silenced::Terms;
use crate::incident::Command;

/// An event, of which there are many: written without being taken apart.
#[derive(Debug, Serialize)]
pub(super) struct EventRow<'a> {
    pub(super) at: Timestamp,
    pub(super) node: &'a NodeId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seq: Option<Seq>,
    #[serde(flatten)]
    pub(super) event: &'a Event,
}

#[derive(Debug, Serialize)]
struct Row<'a, T> {
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a NodeId>,
    #[serde(flatten)]
    told: T,
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Told<'a> {
    Snapshot(Box<Standing<'a>>),
    Lost {
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
    },
    Back,
    Hello {
        next_seq: Seq,
    },
    Started,
    Stopped,
    Missed {
        count: u64,
    },
    Outside {
        observed_at: Timestamp,
        #[serde(flatten)]
        finding: &'a Finding,
        #[serde(skip_serializing_if = "str::is_empty")]
        why: &'a str,
    },
    Recorded {
        change: &'a RecordedChange,
    },
    Command(Said<'a>),
    Silenced(Box<Terms>),
    SilenceEnded {
        id: SilenceId,
        by: &'a str,
    },
}

/// A snapshot without what correlation does not look at.
#[derive(Debug, Serialize)]
struct Standing<'a> {
    observed_at: Timestamp,
    #[serde(skip_serializing_if = "str::is_empty")]
    driver_version: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    active: &'a [Finding],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gpus: Vec<BareGpu<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    servers: Vec<BareServer<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<BareSource<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct BareGpu<'a> {
    uuid: &'a GpuUuid,
    index: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    lost: bool,
}

#[derive(Debug, Serialize)]
struct BareServer<'a> {
    name: &'a ServerName,
    availability: Availability,
    models: Vec<BareModel<'a>>,
}

#[derive(Debug, Serialize)]
struct BareModel<'a> {
    name: &'a ModelName,
    version: &'a ModelVersion,
    availability: Availability,
    /// Only whether there is traffic is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_s: Option<f64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    gpus: &'a [GpuUuid],
}

#[derive(Debug, Serialize)]
struct BareSource<'a> {
    name: &'a SourceName,
    state: SourceState,
}

#[derive(Debug, Serialize)]
struct Said<'a> {
    incident: IncidentId,
    command: &'static str,
    by: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    force: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    into: Option<IncidentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Severity>,
    #[serde(skip_serializing_if = "<[u32]>::is_empty")]
    members: &'a [u32],
}

impl Line {
    /// The line as it stands in a log, without its end.
    ///
    /// # Errors
    ///
    /// It holds what JSON cannot say.
    pub fn text(&self) -> serde_json::Result<String> {
        if let Word::Event(node, seq, event) = &self.word {
            return serde_json::to_string(&EventRow { at: self.at, node, seq: *seq, event });
        }
        let (node, told) = told(&self.word);
        serde_json::to_string(&Row { at: self.at, node, told })
    }
}

fn told(word: &Word) -> (Option<&NodeId>, Option<Told<'_>>) {
    let (node, told) = match word {
        Word::Event(node, ..) => return (Some(node), None),
        Word::Snapshot(node, snapshot) => {
            (Some(node), Told::Snapshot(Box::new(Standing::of(snapshot))))
        }
        Word::Lost(node, since) => (Some(node), Told::Lost { since: *since }),
        Word::Back(node) => (Some(node), Told::Back),
        Word::Hello(node, next_seq) => (Some(node), Told::Hello { next_seq: *next_seq }),
        Word::Started => (None, Told::Started),
        Word::Stopped => (None, Told::Stopped),
        Word::Missed(count) => (None, Told::Missed { count: *count }),
        Word::Outside { observed_at, finding, why } => {
            (None, Told::Outside { observed_at: *observed_at, finding, why })
        }
        Word::Recorded(change) => (None, Told::Recorded { change }),
        Word::Command(incident, command) => (None, Told::Command(said(*incident, command))),
        Word::Silenced(silence) => (None, Told::Silenced(Box::new(Terms::from(&**silence)))),
        Word::SilenceEnded(id, by) => (None, Told::SilenceEnded { id: *id, by }),
    };
    (node, Some(told))
}

fn said(incident: IncidentId, command: &Command) -> Said<'_> {
    let said = |command, by| Said {
        incident,
        command,
        by,
        reason: "",
        text: "",
        force: false,
        into: None,
        to: None,
        members: &[],
    };
    match command {
        Command::Acknowledge { by } => said("acknowledge", by),
        Command::Note { by, text } => Said { text, ..said("note", by) },
        Command::Resolve { by, reason, force } => {
            Said { reason, force: *force, ..said("resolve", by) }
        }
        Command::Merge { by, into, reason } => {
            Said { reason, into: Some(*into), ..said("merge", by) }
        }
        Command::Regrade { by, to, reason } => {
            Said { reason, to: Some(*to), ..said("regrade", by) }
        }
        Command::Split { by, members, reason } => Said { reason, members, ..said("split", by) },
    }
}

impl<'a> Standing<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let Snapshot {
            observed_at, driver_version, active, gpus, servers, sources, labels, ..
        } = snapshot;
        let source = |Source { name, state, .. }: &'a Source| BareSource { name, state: *state };
        Self {
            observed_at: *observed_at,
            driver_version,
            active,
            gpus: gpus.iter().map(gpu).collect(),
            servers: servers.iter().map(server).collect(),
            sources: sources.iter().map(source).collect(),
            labels,
        }
    }
}

fn gpu(gpu: &Gpu) -> BareGpu<'_> {
    BareGpu { uuid: &gpu.uuid, index: gpu.index, lost: gpu.lost }
}

fn server(server: &Server) -> BareServer<'_> {
    let Server { name, availability, models, .. } = server;
    BareServer { name, availability: *availability, models: models.iter().map(model).collect() }
}

fn model(model: &Model) -> BareModel<'_> {
    BareModel {
        name: &model.name,
        version: &model.version,
        availability: model.availability,
        requests_per_s: model.requests_per_s.filter(|rate| *rate > 0.0),
        gpus: &model.gpus,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a line and writes it again.
    fn again(text: &str) -> String {
        Line::parse(text.as_bytes()).unwrap().text().unwrap()
    }

    #[test]
    fn what_is_read_is_written_as_it_was() {
        let lines = [
            r#"{"at":"2027-01-15T08:00:00.000Z","event":"started"}"#,
            r#"{"at":"2027-01-15T08:00:00.000Z","node":"a","event":"hello","next_seq":7}"#,
            r#"{"at":"2027-01-15T08:00:00.000Z","node":"a","seq":3,"observed_at":"2027-01-15T08:00:00.000Z","event":"gap","count":3,"first_seq":0,"last_seq":0,"reason":"full"}"#,
            r#"{"at":"2027-01-15T08:00:00.000Z","node":"a","event":"lost","since":"2027-01-15T07:59:50.000Z"}"#,
            r#"{"at":"2027-01-15T08:00:00.000Z","node":"a","event":"back"}"#,
            r#"{"at":"2027-01-15T08:00:00.000Z","event":"command","incident":1,"command":"acknowledge","by":"ann"}"#,
            r#"{"at":"2027-01-15T08:00:00.000Z","event":"command","incident":1,"command":"note","by":"ann","text":"looking"}"#,
            r#"{"at":"2027-01-15T08:00:00.000Z","event":"command","incident":1,"command":"resolve","by":"ann","reason":"known","force":true}"#,
            r#"{"at":"2027-01-15T08:00:00.000Z","event":"command","incident":1,"command":"regrade","by":"ann","reason":"nobody uses it","to":"P4"}"#,
            r#"{"at":"2027-01-15T08:00:00.000Z","event":"missed","count":2}"#,
            r#"{"at":"2027-01-15T08:00:00.000Z","event":"outside","observed_at":"2027-01-15T07:59:59.000Z","rule":"external-alert","subject":{"kind":"alert","sender":"alertmanager","key":"f1","name":"Slow"},"phase":"raised","grade":"down","summary":"slow","evidence":[],"suspects":[],"raised_at":"2027-01-15T07:59:00.000Z","gpus":[],"about":[{"kind":"model","name":"bert","node":null}]}"#,
            r#"{"at":"2027-01-15T08:00:00.000Z","event":"recorded","change":{"key":"ci-7","kind":"rollout","about":[{"kind":"service","name":"search","node":null}],"summary":"search 7","by":"ann","origin":"webhook","link":"","started_at":"2027-01-15T07:59:00.000Z","finished_at":null,"before":"6","after":"7"}}"#,
            r#"{"at":"2027-01-15T08:00:00.000Z","event":"silenced","id":7,"kind":"maintenance","matchers":[{"key":"rule","op":"=~","value":"xid|ecc.*"},{"key":"label.a=b","op":"!=","value":"\"x\" "}],"entities":[{"kind":"rack","name":"r7","node":null}],"starts_at":"2027-01-15T09:00:00.000Z","ends_at":"2027-01-15T10:00:00.000Z","author":"ann","reason":"new PDU","even_critical":true}"#,
            r#"{"at":"2027-01-15T08:00:00.000Z","event":"silenced","id":8,"kind":"maintenance","entities":[{"kind":"rack","name":"r7","node":null}],"starts_at":"2027-01-18T01:00:00.000Z","ends_at":"2027-01-18T03:00:00.000Z","author":"ann","reason":"backups","repeat":{"every":"mon,thu","at":"02:00","zone":"Europe/Berlin","last":"2027-06-30"}}"#,
            r#"{"at":"2027-01-15T08:00:00.000Z","event":"silence-ended","id":7,"by":"bob"}"#,
            r#"{"at":"2027-01-15T08:00:00.000Z","event":"stopped"}"#,
        ];
        for line in lines {
            assert_eq!(again(line), line);
        }
    }

    #[test]
    fn of_a_snapshot_only_what_correlation_goes_by_is_written() {
        let line = r#"{"at":"2027-01-15T08:00:00Z","node":"a","event":"snapshot","hostname":"a","driver_version":"570","gpus":[{"uuid":"GPU-0","index":0,"name":"H100","memory_total_bytes":9,"memory_used_bytes":3}],"sources":[{"name":"nvml","state":"seeing","reason":"fine"}],"servers":[{"name":"default","version":"2.51","availability":"ready","models":[{"name":"bert","version":"1","availability":"ready","requests_per_s":9.5,"pending":3,"gpus":["GPU-0"]},{"name":"t5","version":"1","availability":"ready","requests_per_s":0.0}]}],"labels":{"rack":"r1"}}"#;
        let written = again(line);
        insta::assert_snapshot!(written, @r#"{"at":"2027-01-15T08:00:00.000Z","node":"a","event":"snapshot","observed_at":"2027-01-15T08:00:00.000Z","driver_version":"570","gpus":[{"uuid":"GPU-0","index":0}],"servers":[{"name":"default","availability":"ready","models":[{"name":"bert","version":"1","availability":"ready","requests_per_s":9.5,"gpus":["GPU-0"]},{"name":"t5","version":"1","availability":"ready"}]}],"sources":[{"name":"nvml","state":"seeing"}],"labels":{"rack":"r1"}}"#);
        assert_eq!(again(&written), written);
    }
}
