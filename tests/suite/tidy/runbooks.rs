//! Each incident type has a runbook, and each runbook keeps the format of `runbooks/README.md`.

use super::Offence;
use gpuwarden_proto::runbook::Question;
use gpuwarden_proto::vocab::{IncidentType, RuleId};
use std::path::Path;

const KEYS: [&str; 6] =
    ["type", "title", "rules", "first_responder", "escalate_after", "safe_actions"];
const SECTIONS: [&str; 5] =
    ["What it means", "What people see", "Steps", "Escalate if", "Done when"];
const PLACEHOLDERS: [&str; 10] = [
    "incident",
    "node",
    "gpu",
    "pid",
    "namespace",
    "deployment",
    "pod",
    "model",
    "version",
    "endpoint",
];
/// What only a remedy or a person may run.
const CHANGING: [&str; 14] = [
    "kubectl delete",
    "kubectl scale",
    "kubectl cordon",
    "kubectl uncordon",
    "kubectl drain",
    "kubectl apply",
    "kubectl edit",
    "rollout restart",
    "rollout undo",
    "systemctl restart",
    "/load",
    "/unload",
    "--gpu-reset",
    "power cycle",
];
const STEPS_MIN: usize = 5;
const LINES_MIN: usize = 50;
const LINES_MAX: usize = 130;

/// A file of `runbooks/`: its name without `.md`, and its text.
pub(super) struct Runbook {
    name: String,
    text: String,
}

pub(super) fn read_all() -> Vec<Runbook> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runbooks");
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{dir:?}: {error}"));
    let read = |path: std::path::PathBuf| {
        let name = path.file_stem()?.to_string_lossy().into_owned();
        let is_page = path.extension().is_some_and(|end| end == "md") && name != "README";
        let text = std::fs::read_to_string(&path).expect("a readable runbook");
        is_page.then_some(Runbook { name, text })
    };
    entries.filter_map(|entry| read(entry.expect("a directory entry").path())).collect()
}

pub(super) fn check_all(runbooks: &[Runbook]) -> Vec<Offence> {
    let mut offences: Vec<_> = runbooks.iter().flat_map(check).collect();
    for kind in IncidentType::ALL {
        if !runbooks.iter().any(|runbook| runbook.name == kind.as_str()) {
            let path = format!("runbooks/{kind}.md");
            offences.push(Offence::new(&path, 1, "missing: every incident type has a runbook"));
        }
    }
    for rule in RuleId::ALL.iter().map(|rule| rule.as_str()) {
        let claims = runbooks.iter().filter(|it| it.list("rules").contains(&rule)).count();
        if claims != 1 {
            let advice = format!("`{rule}` stands in `rules` of {claims} runbooks, must be in one");
            offences.push(Offence::new("runbooks", 1, advice));
        }
    }
    offences
}

fn is_type(name: &str) -> bool {
    name.parse::<IncidentType>().is_ok()
}

fn is_rule(name: &str) -> bool {
    name.parse::<RuleId>().is_ok()
}

impl Runbook {
    fn path(&self) -> String {
        format!("runbooks/{}.md", self.name)
    }

    /// The lines between the two lines `---`, as keys and values.
    fn front_matter(&self) -> Vec<(&str, &str)> {
        let mut lines = self.text.lines();
        if lines.next() != Some("---") {
            return Vec::new();
        }
        lines
            .take_while(|line| *line != "---")
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key, value.trim()))
            .collect()
    }

    fn list(&self, key: &str) -> Vec<&str> {
        let value = self.front_matter().into_iter().find(|(found, _)| *found == key);
        let value = value.map_or("", |(_, value)| value);
        let inside = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        inside.unwrap_or("").split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
    }

    fn steps(&self) -> Vec<Step<'_>> {
        let mut steps: Vec<Step<'_>> = Vec::new();
        let mut inside = false;
        for (number, line) in (1..).zip(self.text.lines()) {
            if let Some(title) = line.strip_prefix("## ") {
                inside = title == "Steps";
            } else if let Some(title) = line.strip_prefix("### ").filter(|_| inside) {
                steps.push(Step { title, line: number, body: Vec::new() });
            } else if let Some(step) = steps.last_mut().filter(|_| inside) {
                step.body.push(line);
            }
        }
        steps
    }
}

struct Step<'a> {
    title: &'a str,
    line: usize,
    body: Vec<&'a str>,
}

impl<'a> Step<'a> {
    fn number(&self) -> Option<usize> {
        self.title.split_once(". ")?.0.parse().ok()
    }

    fn kind(&self) -> &'a str {
        self.title
            .split_once(". ")
            .and_then(|(_, rest)| rest.split_once(": "))
            .map_or("", |it| it.0)
    }

    fn values(&self, key: &str) -> Vec<&'a str> {
        let values = self.body.iter().filter_map(|line| line.strip_prefix(key));
        values.flat_map(|list| list.split(',')).map(str::trim).collect()
    }

    fn has_commands(&self) -> bool {
        self.body.contains(&"```sh")
    }
}

fn check(runbook: &Runbook) -> Vec<Offence> {
    let path = runbook.path();
    let mut offences: Vec<Offence> = check_front_matter(runbook)
        .into_iter()
        .map(|advice| Offence::new(&path, 1, advice))
        .collect();
    let sections: Vec<_> =
        runbook.text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    if sections != SECTIONS {
        offences.push(Offence::new(&path, 1, format!("sections must be {}", SECTIONS.join(", "))));
    }
    let lines = runbook.text.lines().count();
    if !(LINES_MIN..=LINES_MAX).contains(&lines) {
        let advice = format!("{lines} lines: {LINES_MIN} to {LINES_MAX} can be read at night");
        offences.push(Offence::new(&path, 1, advice));
    }
    let steps = runbook.steps();
    offences.extend(check_rollback(runbook, &steps).map(|advice| Offence::new(&path, 1, advice)));
    if steps.len() < STEPS_MIN {
        let advice = format!("{} steps, at least {STEPS_MIN} wanted", steps.len());
        offences.push(Offence::new(&path, 1, advice));
    }
    for (expected, step) in (1..).zip(&steps) {
        let mut faults = check_step(step, &runbook.list("safe_actions"), steps.len());
        if step.number() != Some(expected) {
            faults.push(format!("must be step {expected}: number the steps without holes"));
        }
        let offence = |fault| Offence::new(&path, step.line, fault);
        offences.extend(faults.into_iter().map(offence));
    }
    for (number, line) in (1..).zip(runbook.text.lines()) {
        let unknown = unknown_names(line).into_iter();
        offences.extend(unknown.map(|advice| Offence::new(&path, number, advice)));
    }
    offences
}

fn check_front_matter(runbook: &Runbook) -> Vec<String> {
    let front = runbook.front_matter();
    let mut faults = Vec::new();
    let keys = front.iter().map(|(key, _)| *key).filter(|key| *key != "rollback");
    if keys.collect::<Vec<_>>() != KEYS {
        faults.push(format!("front matter must have the keys {}, in this order", KEYS.join(", ")));
    }
    if front.iter().any(|(_, value)| value.is_empty()) {
        faults.push("front matter with an empty value".to_owned());
    }
    if !front.contains(&("type", &runbook.name)) {
        faults.push("`type` must be the name of the file".to_owned());
    }
    if !is_type(&runbook.name) {
        faults.push("is for no incident type: delete it, or add the type".to_owned());
    }
    for rule in runbook.list("rules").iter().filter(|rule| !is_rule(rule)) {
        faults.push(format!("`rules` names `{rule}`, which is no rule"));
    }
    let severities: Vec<_> = runbook
        .list("escalate_after")
        .iter()
        .filter_map(|item| item.split_once(' ').map(|(severity, _)| severity))
        .collect();
    if severities != ["P1", "P2", "P3", "P4"] {
        faults.push("`escalate_after` must give a time for P1, P2, P3 and P4".to_owned());
    }
    let classed =
        |action: &&str| ["R0 ", "R1 ", "R2 ", "R3 "].iter().any(|r| action.starts_with(r));
    let actions = runbook.list("safe_actions");
    if actions.is_empty() || !actions.iter().all(classed) {
        faults.push("`safe_actions` must list actions with a class from R0 to R3".to_owned());
    }
    faults
}

/// What `rollback` names must be a remedy with commands to show.
fn check_rollback(runbook: &Runbook, steps: &[Step<'_>]) -> Option<&'static str> {
    let front = runbook.front_matter();
    let (_, wanted) = front.iter().find(|(key, _)| *key == "rollback")?;
    let number = wanted.parse().ok();
    let step = steps.iter().find(|step| number.is_some() && step.number() == number);
    let sound = step.is_some_and(|step| step.kind() == "remedy" && step.has_commands());
    (!sound).then_some("`rollback` must be the number of a remedy with commands")
}

fn check_step(step: &Step<'_>, safe_actions: &[&str], last: usize) -> Vec<String> {
    let mut faults = Vec::new();
    let reads = step.values("reads: ");
    let actions = step.values("action: ");
    let sound = match step.kind() {
        "check" => (step.has_commands() || !reads.is_empty()) && actions.is_empty(),
        "remedy" => (step.has_commands() || !actions.is_empty()) && reads.is_empty(),
        "person" => reads.is_empty() && actions.is_empty() && !step.body.is_empty(),
        _ => false,
    };
    if !sound {
        faults.push(
            "must be a check (`reads:` or commands), remedy (`action:` or commands) or person"
                .to_owned(),
        );
    }
    for read in reads.iter().filter(|read| read.parse::<Question>().is_err()) {
        faults.push(format!("reads `{read}`, which is no rule and nothing Gpuwarden knows"));
    }
    let is_safe = |action: &str| safe_actions.iter().any(|safe| safe.get(3..) == Some(action));
    for action in actions.iter().filter(|action| !is_safe(action)) {
        faults.push(format!("action `{action}` is not among `safe_actions`"));
    }
    let changes = |command: &&&str| step.body.iter().any(|line| line.contains(**command));
    if step.kind() == "check" {
        let changing = CHANGING.iter().filter(changes);
        faults.extend(changing.map(|command| format!("a check changes nothing: `{command}`")));
    }
    for target in step.body.iter().flat_map(|line| step_targets(line)) {
        if target == 0 || target > last {
            faults.push(format!("sends people to step {target}, which does not exist"));
        }
    }
    faults
}

/// The numbers after the word "step".
fn step_targets(line: &str) -> Vec<usize> {
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    line.split("step ").skip(1).filter_map(|rest| digits(rest).parse().ok()).collect()
}

/// Placeholders that nobody fills in, and runbooks that do not exist.
fn unknown_names(line: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, _) in line.match_indices('{') {
        let rest = &line[at + 1..];
        let Some(end) = rest.find(|letter: char| !letter.is_ascii_lowercase()) else { continue };
        // `%{name}` belongs to curl, `${name}` to the shell.
        let theirs = line[..at].ends_with(['%', '$']);
        if end > 0
            && rest[end..].starts_with('}')
            && !theirs
            && !PLACEHOLDERS.contains(&&rest[..end])
        {
            faults.push(format!("nobody fills in `{{{}}}`", &rest[..end]));
        }
    }
    for rest in line.split("use the runbook ").skip(1) {
        let name: String =
            rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
        if !is_type(&name) {
            faults.push(format!("there is no runbook `{name}`"));
        }
    }
    faults
}

mod tests;
