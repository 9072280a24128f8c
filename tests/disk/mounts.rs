//! File systems of a test's own. The test runs once more, as a process in a namespace whose mounts
//! nobody else sees and which end with it.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Tells the process in the namespace where it may mount.
const PLACE: &str = "GPUWARDEN_DISK_PLACE";
/// Where it says why it tested nothing.
const REFUSED: &str = "refused";

/// Why this machine does not let a test mount what it needs.
#[derive(Debug)]
pub(crate) struct Refused(String);

/// Runs a check in a namespace of its own, with a folder of its own. Where the machine refuses, that
/// is said on standard error, and nothing is tested.
pub(crate) fn alone(test: &str, check: impl FnOnce(&Path) -> Result<(), Refused>) {
    if let Some(place) = env::var_os(PLACE) {
        let place = PathBuf::from(place);
        if let Err(Refused(why)) = check(&place) {
            fs::write(place.join(REFUSED), why).expect("the folder of the test");
        }
        return;
    }
    let place = tempfile::tempdir().expect("a folder for the test");
    let why = match namespace() {
        Ok(namespace) => run_again(test, namespace, place.path()),
        Err(Refused(why)) => Some(why),
    };
    if let Some(why) = why {
        // Not `eprintln`, which is not shown for tests that succeed.
        let _ = writeln!(std::io::stderr(), "NOT TESTED here: {test}: {why}");
    }
}

/// Arguments of `unshare` that make a namespace in which one may mount.
fn namespace() -> Result<&'static [&'static str], Refused> {
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    let mut refused = Refused(String::new());
    for way in ways {
        match carried_out(Command::new("unshare").args(way).arg("true")) {
            Ok(()) => return Ok(way),
            Err(why) => refused = why,
        }
    }
    Err(refused)
}

/// Why nothing was tested, if nothing was.
fn run_again(test: &str, namespace: &[&str], place: &Path) -> Option<String> {
    let output = Command::new("unshare")
        .args(namespace)
        .arg(env::current_exe().expect("the path of this program"))
        .args(["--exact", test, "--nocapture"])
        .env(PLACE, place)
        .output()
        .expect("unshare was there a moment ago");
    let shown = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let Output { status, stdout, stderr } = &output;
    let (stdout, stderr) = (shown(stdout), shown(stderr));
    assert!(status.success() && stdout.contains("1 passed"), "{stdout}{stderr}");
    fs::read_to_string(place.join(REFUSED)).ok()
}

fn carried_out(command: &mut Command) -> Result<(), Refused> {
    let output = command.output().map_err(|error| Refused(format!("{command:?}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Refused(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

fn mount(options: &str, what: &Path, at: &Path) -> Result<(), Refused> {
    fs::create_dir_all(at).expect("a folder to mount at");
    let kind = if what.is_file() { "ext4" } else { "tmpfs" };
    carried_out(Command::new("mount").args(["-t", kind, "-o", options]).args([what, at]))
}

/// A small file system in memory, for which one need not be root.
pub(crate) struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one, writable.
    pub(crate) fn mount(at: PathBuf) -> Result<Self, Refused> {
        mount("size=1m", Path::new("tmpfs"), &at)?;
        Ok(Self(at))
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// Makes it read-only, while no file on it is open for writing.
    pub(crate) fn forbid_writing(&self) {
        self.remount("remount,ro").expect("it was mounted writable, and nobody writes");
    }

    /// Makes it writable.
    pub(crate) fn allow_writing(&self) {
        self.remount("remount,rw").expect("it was writable before");
    }

    /// The kernel's answer to who wants it read-only.
    pub(crate) fn remount(&self, options: &str) -> Result<(), Refused> {
        // What it was mounted with is not said again: in a user's namespace not all of it may be.
        let words = ["--options-mode", "ignore", "-o", options];
        carried_out(Command::new("mount").args(words).arg(&self.0))
    }

    /// Takes all the room there is.
    pub(crate) fn fill(&self) {
        let mut ballast = fs::File::create(self.0.join("ballast")).expect("a writable disk");
        while ballast.write_all(&[0; 4_096]).is_ok() {}
    }

    /// Gives the room back.
    pub(crate) fn empty(&self) {
        fs::remove_file(self.0.join("ballast")).expect("it was filled before");
    }
}

/// A disk: a file with an ext4 on it, mounted as root may.
pub(crate) struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    /// Makes one below a folder and mounts it.
    pub(crate) fn mount(place: &Path) -> Result<Self, Refused> {
        let disk = Self { image: place.join("image"), at: place.join("disk") };
        let image = fs::File::create(&disk.image).expect("a file for the disk");
        image.set_len(8 * 1024 * 1024).expect("room for the disk");
        carried_out(Command::new("mkfs.ext4").arg("-q").arg(&disk.image))?;
        mount("loop,errors=remount-ro", &disk.image, &disk.at)?;
        Ok(disk)
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.at
    }

    /// The kernel finds an error in it, and from then on refuses to write, whoever has files open.
    pub(crate) fn break_down(&self) {
        let abort = carried_out(Command::new("mount").args(["-o", "remount,abort"]).arg(&self.at));
        abort.expect("ext4 can be told to take an error for granted");
    }

    /// What people do then: take it away, check it, mount it again. Checked is a copy, since the
    /// kernel gives the broken one back for as long as anybody has a file on it open.
    pub(crate) fn repair(&self) {
        carried_out(Command::new("umount").arg("--lazy").arg(&self.at)).expect("it is mounted");
        let repaired = self.image.with_extension("repaired");
        fs::copy(&self.image, &repaired).expect("a copy of the disk");
        let check = Command::new("e2fsck").args(["-f", "-y"]).arg(&repaired).output();
        // 1 says that errors were found and corrected.
        let code = check.expect("e2fsck comes with mkfs.ext4").status.code();
        assert!(matches!(code, Some(0 | 1)), "e2fsck: {code:?}");
        mount("loop,errors=remount-ro", &repaired, &self.at).expect("it was mounted before");
    }
}
