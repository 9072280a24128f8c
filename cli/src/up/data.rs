//! The folder in which `gpuwarden up` keeps everything. The demo has one of its own below it, which
//! begins empty each time, so that what was simulated never stands beside what was real.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// Says that a folder was made by the demo and may be emptied.
const MARK: &str = ".gpuwarden-demo";

/// The folder of one run.
#[derive(Debug)]
pub struct Data {
    root: PathBuf,
}

impl Data {
    /// Makes the folder. A demo empties what an earlier demo left, and nothing else.
    pub fn prepare(dir: &Path, demo: bool) -> anyhow::Result<Self> {
        let root = if demo { dir.join("demo") } else { dir.to_owned() };
        if demo {
            empty(&root)?;
        }
        make(&root)?;
        if demo {
            let mark = root.join(MARK);
            fs::write(&mark, "").with_context(|| format!("writing {}", mark.display()))?;
        }
        let data = Self { root };
        make(&data.aggregator())?;
        Ok(data)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the aggregator keeps its store.
    pub fn aggregator(&self) -> PathBuf {
        self.root.join("aggregator")
    }

    /// Where the agent of a node keeps its outbox; made if it is not there.
    pub fn agent(&self, node: &str) -> anyhow::Result<PathBuf> {
        // A node's name may hold anything but control characters; a folder's may not.
        let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let dir = self.root.join(format!("agent-{}", node.chars().map(plain).collect::<String>()));
        make(&dir)?;
        Ok(dir)
    }
}

fn make(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir)
        .with_context(|| format!("making the folder {}: choose another with --data", dir.display()))
}

fn empty(root: &Path) -> anyhow::Result<()> {
    let mut entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", root.display())),
    };
    if entries.next().is_none() {
        return Ok(());
    }
    if !root.join(MARK).exists() {
        bail!(
            "{} is there already and was not made by a demo: choose another folder with --data",
            root.display()
        );
    }
    fs::remove_dir_all(root).with_context(|| format!("emptying {}", root.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_begins_empty_and_leaves_the_real_data_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let real = Data::prepare(dir.path(), false).expect("a good folder");
        fs::write(real.aggregator().join("db"), "real").expect("written");
        let demo = Data::prepare(dir.path(), true).expect("a good folder");
        fs::write(demo.aggregator().join("db"), "old").expect("written");
        let demo = Data::prepare(dir.path(), true).expect("a good folder");
        assert!(!demo.aggregator().join("db").exists());
        assert!(real.aggregator().join("db").exists());
    }

    #[test]
    fn a_folder_that_no_demo_made_is_never_emptied() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("demo")).expect("made");
        fs::write(dir.path().join("demo/thesis"), "years").expect("written");
        let error = Data::prepare(dir.path(), true).expect_err("it is somebody's").to_string();
        assert!(error.contains("not made by a demo"), "{error}");
        assert!(dir.path().join("demo/thesis").exists());
    }

    #[test]
    fn a_node_cannot_name_its_folder_out_of_ours() {
        let dir = tempfile::tempdir().expect("a folder");
        let data = Data::prepare(dir.path(), false).expect("a good folder");
        let agent = data.agent("../../x").expect("a good folder");
        assert_eq!(agent.parent(), Some(dir.path()));
    }
}
