//! Places where writing fails as it does on a disk that is full, or read-only.
//!
//! What they need of the machine (util-linux) is demanded, never skipped: a test that meant to fill a
//! disk and did not has shown nothing.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Bytes of a page, in which a file system in memory counts.
pub const PAGE: u64 = 4096;

/// A command that another one starts: `prefix… program arguments…`. It must replace itself by it, so
/// that both are one process.
pub fn behind<S: AsRef<OsStr>>(prefix: &[S], command: &Command) -> Command {
    let (first, rest) = prefix.split_first().expect("a program");
    let mut outer = Command::new(first);
    outer.args(rest).arg(command.get_program());
    outer.args(command.get_args()).stdin(Stdio::null());
    outer
}

/// A file system of a few pages in memory, in a mount namespace of its own.
#[derive(Debug)]
pub struct SmallDisk {
    /// Keeps the namespace.
    holder: Child,
    enter: Vec<String>,
    mounted: tempfile::TempDir,
}

impl SmallDisk {
    /// Makes one, or says why this machine does not let us: mounting takes a root that may, or user
    /// namespaces.
    ///
    /// # Errors
    /// The words of `unshare` and `mount`.
    ///
    /// # Panics
    /// Without a folder for temporary files.
    pub fn new(pages: u64) -> Result<Self, String> {
        let mut reasons = Vec::new();
        let users: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];
        for user in users {
            match Self::in_namespaces(user, pages) {
                Ok(disk) => return Ok(disk),
                Err(reason) => reasons.push(reason.trim().to_owned()),
            }
        }
        Err(reasons.join("; "))
    }

    fn in_namespaces(user: &[&str], pages: u64) -> Result<Self, String> {
        let mounted = tempfile::tempdir().expect("a folder");
        // It ends with the test, when its standard input does.
        let script =
            r#"mount -t tmpfs -o "size=$2,mode=700" small "$1" && echo mounted && exec cat"#;
        let mut holder = Command::new("unshare")
            .arg("--mount")
            .args(user)
            .args(["sh", "-c", script, "sh"])
            .arg(mounted.path())
            .arg((pages * PAGE).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("unshare (util-linux): {error}"))?;
        let mut line = String::new();
        let stdout = holder.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).ok();
        if line != "mounted\n" {
            let mut reason = String::new();
            let mut stderr = holder.stderr.take().expect("a pipe");
            stderr.read_to_string(&mut reason).ok();
            holder.kill().ok();
            holder.wait().ok();
            return Err(reason);
        }
        let target = holder.id().to_string();
        let mut enter = vec!["nsenter", "--target", &target, "--mount"];
        if !user.is_empty() {
            enter.extend(["--user", "--preserve-credentials"]);
        }
        Ok(Self {
            enter: enter.into_iter().map(str::to_owned).collect(),
            holder,
            mounted,
        })
    }

    /// The folder, as those see it who are inside.
    pub fn inside(&self) -> &Path {
        self.mounted.path()
    }

    /// The same folder, as everybody else can open it.
    pub fn outside(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.holder.id());
        let below = self.inside().strip_prefix("/").expect("an absolute path");
        Path::new(&root).join(below)
    }

    /// The command, inside.
    pub fn command(&self, command: &Command) -> Command {
        behind(&self.enter, command)
    }

    fn ballast(&self) -> PathBuf {
        self.outside().join("ballast")
    }

    /// Fills the disk, but for this many pages.
    ///
    /// # Panics
    /// When that fails for any other reason than a full disk.
    pub fn leave(&self, pages: u64) {
        let mut options = File::options();
        let opened = options.create(true).append(true).open(self.ballast());
        let mut file = opened.expect("a file");
        let page = [0x5A; PAGE as usize];
        loop {
            match file.write(&page) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("cannot fill the disk: {error}"),
            }
        }
        let length = file.metadata().expect("a length").len();
        assert!(length > pages * PAGE, "there is less room than that");
        file.set_len(length - pages * PAGE).expect("it is cut");
    }

    /// Makes room again.
    ///
    /// # Panics
    /// When it cannot.
    pub fn free(&self) {
        match fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("no room: {error}"),
            _ => {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}

/// The command under a limit on the length of every file that it writes, which takes no right at all.
/// It is told (`EFBIG`) and not killed. `None`: no limit yet.
pub fn limited(command: &Command, bytes: Option<u64>) -> Command {
    let limit = limit(bytes);
    behind(
        &[
            "prlimit",
            &limit,
            "sh",
            "-c",
            "trap '' XFSZ; exec \"$0\" \"$@\"",
        ],
        command,
    )
}

/// Sets or lifts that limit of a process that runs.
///
/// # Panics
/// Where `prlimit` (util-linux) does not do it.
pub fn limit_files(process: u32, bytes: Option<u64>) {
    let done = Command::new("prlimit")
        .args(["--pid", &process.to_string(), &limit(bytes)])
        .status()
        .expect("prlimit (util-linux) limits the size of files");
    assert!(done.success(), "prlimit cannot limit the size of files");
}

fn limit(bytes: Option<u64>) -> String {
    match bytes {
        Some(bytes) => format!("--fsize={bytes}:"),
        None => "--fsize=unlimited:".to_owned(),
    }
}

/// The command as somebody whom permissions bind: root is not, unless it gives that right away.
///
/// # Panics
/// When `setpriv` (util-linux) does not take the right from root.
pub fn bound_by_permissions(command: &Command) -> Command {
    let own = fs::metadata("/proc/self").expect("a process");
    if own.uid() != 0 {
        return behind(&["env"], command);
    }
    let prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    let locked = tempfile::tempdir().expect("a folder");
    let file = locked.path().join("file");
    set_writable(locked.path(), false);
    let mut touch = Command::new("touch");
    let touched = behind(&prefix, touch.arg(&file)).output();
    let touched = touched.expect("setpriv (util-linux) takes rights from root");
    let said = String::from_utf8_lossy(&touched.stderr);
    assert!(
        said.contains("Permission denied") && !file.exists(),
        "permissions do not bind root here: {said}"
    );
    behind(&prefix, command)
}

/// Lets a folder and all in it be written by its owner, or by nobody.
///
/// # Panics
/// When it cannot.
pub fn set_writable(folder: &Path, writable: bool) {
    let mode = if writable { "u+w" } else { "a-w" };
    let done = Command::new("chmod")
        .args(["-R", mode])
        .arg(folder)
        .status();
    assert!(done.expect("chmod runs").success());
}
