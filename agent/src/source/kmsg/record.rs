//! Which lines of the kernel log mean something here. Pure.
//!
//! A message must begin with the words looked for. Parts of kernel messages are chosen by whoever
//! runs a process or makes a cgroup, and must not pass for a GPU's fault.

use thiserror::Error;

use crate::sample::{KernelRecord, XidReading};

/// Text is kept to this many bytes.
const TEXT: usize = 512;
/// Words by which a cgroup is called that the log does not name.
const UNNAMED: &str = "(unnamed)";

/// A line that begins as one that matters and goes on otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown shape of {what}: {line}")]
pub struct Problem {
    /// What it seemed to be.
    pub what: &'static str,
    /// The line, shortened.
    pub line: String,
}

/// What one line says by itself: of the device (`prio,seq,us,flags;message`), of `dmesg`, or of a
/// syslog file. `None` when it is of no interest.
pub fn parse(line: &str) -> Result<Option<KernelRecord>, Problem> {
    let message = message(line);
    if let Some(rest) = message.strip_prefix("NVRM: Xid ") {
        let problem = || Problem { what: "XID", line: shortened(line) };
        return xid(message, rest).map(Some).ok_or_else(problem);
    }
    if message.starts_with("NVRM: ") && is_fall(message) {
        let pci_bus_id = address(message).unwrap_or_default().to_owned();
        return Ok(Some(KernelRecord::FallenOffBus { pci_bus_id }));
    }
    let oom = message.strip_prefix("oom-kill:constraint=").map(oom_kill);
    let oom = oom.or_else(|| killed(message).map(killed_process));
    match oom {
        None => Ok(None),
        Some(Some(record)) => Ok(Some(record)),
        Some(None) => Err(Problem { what: "OOM kill", line: shortened(line) }),
    }
}

/// Number that the device gives to a record; `None` for lines that are not of the device.
pub fn sequence(line: &str) -> Option<u64> {
    header(line)?.split(',').nth(1)?.parse().ok()
}

/// Reads line by line what the kernel says in several: whose GPU has fallen off the bus, and a kill
/// that is told twice.
#[derive(Debug, Default)]
pub struct Assembler {
    /// The GPU that the last lines were about.
    gpu: Option<String>,
    /// The process whose kill was told last.
    killed: Option<u32>,
}

impl Assembler {
    /// As [`parse`], with what the lines before have said.
    pub fn take(&mut self, line: &str) -> Result<Option<KernelRecord>, Problem> {
        self.note_gpu(message(line));
        let record = parse(line)?;
        Ok(match record {
            Some(KernelRecord::FallenOffBus { pci_bus_id }) if pci_bus_id.is_empty() => {
                let pci_bus_id = self.gpu.take().unwrap_or_default();
                Some(KernelRecord::FallenOffBus { pci_bus_id })
            }
            Some(KernelRecord::OomKill { pid, .. }) if self.killed == Some(pid) => {
                self.killed = None;
                None
            }
            Some(KernelRecord::OomKill { pid, .. }) => {
                self.killed = Some(pid);
                record
            }
            _ => record,
        })
    }

    fn note_gpu(&mut self, message: &str) {
        if let Some(rest) = message.strip_prefix("NVRM: The NVIDIA GPU ") {
            self.gpu = address(rest).map(str::to_owned);
        }
    }
}

fn header(line: &str) -> Option<&str> {
    let (header, _) = line.split_once(';')?;
    let is_header = header.as_bytes().first().is_some_and(u8::is_ascii_digit)
        && header.split(',').count() >= 4
        && !header.contains(' ');
    is_header.then_some(header)
}

/// The message, without what the device, `dmesg` or syslog writes before it.
fn message(line: &str) -> &str {
    if let Some(header) = header(line) {
        return &line[header.len() + 1..];
    }
    let line = match line.split_once(" kernel: ") {
        Some((before, message)) if is_time_and_host(before) => message,
        _ => line,
    };
    match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((time, message)) if time.trim().parse::<f64>().is_ok() => message,
        _ => line,
    }
}

/// What syslog writes before the tag: `Nov 23 11:34:00 host`, or an ISO time and the host. With more
/// before it, `kernel:` is a word in somebody else's message.
fn is_time_and_host(before: &str) -> bool {
    let words = before.split_ascii_whitespace();
    words.clone().count() <= 4 && !words.clone().any(|word| word.ends_with(':'))
}

/// `(PCI:0000:01:00): 79, pid=...`, also without `PCI:`, and with a MIG instance within.
fn xid(message: &str, rest: &str) -> Option<KernelRecord> {
    let (place, rest) = rest.strip_prefix('(')?.split_once(')')?;
    let place = place.strip_prefix("PCI:").unwrap_or(place);
    let pci_bus_id = place.split(' ').next().filter(|text| is_address(text))?;
    let (_, rest) = rest.split_once(": ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(KernelRecord::Xid(XidReading {
        uuid: None,
        pci_bus_id: pci_bus_id.to_owned(),
        xid: digits.parse().ok()?,
        text: shortened(message),
    }))
}

fn is_fall(message: &str) -> bool {
    message.contains("fallen off the bus") && !message.contains("Xid")
}

/// The first PCI address in a text.
fn address(text: &str) -> Option<&str> {
    text.split([' ', '\\'])
        .map(|word| word.trim_start_matches("PCI:").trim_end_matches([':', ',', '.']))
        .find(|word| is_address(word))
}

/// E.g. `0000:01:00` or `0000:01:00.0`.
fn is_address(text: &str) -> bool {
    let mut digits_and_marks = text.bytes();
    text.len() <= 32
        && text.bytes().filter(|byte| *byte == b':').count() == 2
        && digits_and_marks.all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.')
}

/// `CONSTRAINT_MEMCG,nodemask=...,oom_memcg=PATH,task_memcg=PATH,task=NAME,pid=N,uid=N`, where the
/// limit of the machine has `global_oom` in place of `oom_memcg`.
fn oom_kill(rest: &str) -> Option<KernelRecord> {
    let (before, uid) = rest.rsplit_once(",uid=")?;
    uid.split(',').next()?.trim_end().parse::<u32>().ok()?;
    let (before, pid) = before.rsplit_once(",pid=")?;
    let (before, name) = before.split_once(",task=").or_else(|| before.split_once("task="))?;
    let cgroup = before
        .split_once(",oom_memcg=")
        .map_or("", |(_, paths)| paths.rsplit_once(",task_memcg=").map_or(paths, |(path, _)| path));
    Some(KernelRecord::OomKill {
        pid: pid.parse().ok()?,
        name: name.to_owned(),
        cgroup: cgroup.to_owned(),
    })
}

/// What stands after `Killed process`, and whether a cgroup's limit was it.
fn killed(message: &str) -> Option<(&str, bool)> {
    let rest = |start: &str| message.strip_prefix(start);
    rest("Memory cgroup out of memory: Killed process ")
        .map(|rest| (rest, true))
        .or_else(|| rest("Out of memory: Killed process ").map(|rest| (rest, false)))
        .or_else(|| rest("Killed process ").map(|rest| (rest, false)))
}

/// `4242 (python) total-vm:...`, or `4242 (python), UID 0, total-vm:...`.
fn killed_process((rest, by_cgroup): (&str, bool)) -> Option<KernelRecord> {
    let (pid, rest) = rest.split_once(" (")?;
    let (before, _) = rest.split_once("total-vm:")?;
    let (name, _) = before.rsplit_once(')')?;
    Some(KernelRecord::OomKill {
        pid: pid.parse().ok()?,
        name: name.to_owned(),
        cgroup: if by_cgroup { UNNAMED.to_owned() } else { String::new() },
    })
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT)].trim_end().to_owned()
}

#[cfg(test)]
mod tests;
