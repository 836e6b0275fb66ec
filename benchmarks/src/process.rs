//! Runs a step in a process of its own, within limits, and measures its peak memory.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use wait4::Wait4 as _;

/// How often a running step is looked at.
const TICK: Duration = Duration::from_millis(10);
/// Longest reason that is kept, in characters.
const LONGEST_REASON: usize = 300;

/// What a step may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Wall-clock time.
    pub(crate) time: Duration,
    /// Resident memory, in bytes.
    pub(crate) memory: u64,
}

/// A step that ended well.
#[derive(Debug)]
pub(crate) struct Done {
    /// What it told: the JSON on the last line of its output.
    pub(crate) value: Value,
    /// Peak of its resident memory, in bytes, pages of mapped files included.
    pub(crate) peak: u64,
}

/// Runs a step; its output is kept in `log.out` and `log.err`. An error is the reason for people.
pub(crate) fn run(command: &mut Command, limits: Limits, log: &Path) -> Result<Done, String> {
    let (out, err) = (log.with_extension("out"), log.with_extension("err"));
    let file = |path: &Path| File::create(path).map_err(|e| format!("{}: {e}", path.display()));
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file(&out)?)
        .stderr(file(&err)?)
        .spawn()
        .map_err(|error| format!("cannot start {program}: {error}"))?;
    let stopped = watch(&mut child, limits);
    let used = child
        .wait4()
        .map_err(|error| format!("{program}: {error}"))?;
    if let Some(reason) = stopped {
        return Err(reason);
    }
    let text = |path: &Path| fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned());
    if !used.status.success() {
        let said = last_line(&text(&err).unwrap_or_default());
        return Err(match said {
            Some(said) => shortened(said.trim_start_matches("error: ")),
            None => format!("ended with {}", used.status),
        });
    }
    let told = last_line(&text(&out).unwrap_or_default()).unwrap_or_default();
    let value =
        serde_json::from_str(&told).map_err(|_| format!("told nothing: {:?}", shortened(&told)))?;
    Ok(Done {
        value,
        peak: used.rusage.maxrss,
    })
}

/// Waits until the process has ended or a limit is reached; then kills it and says which.
fn watch(child: &mut Child, limits: Limits) -> Option<String> {
    let start = Instant::now();
    let folder = Path::new("/proc").join(child.id().to_string());
    loop {
        // A process that has ended stays a zombie until its usage is asked for.
        if matches!(state(&folder), None | Some('Z')) {
            return None;
        }
        let elapsed = start.elapsed();
        let resident = resident(&folder).unwrap_or(0);
        let reason = if elapsed > limits.time {
            format!("took more than {} s; stopped", limits.time.as_secs())
        } else if resident > limits.memory {
            format!(
                "took more than {:.1} GiB of memory after {} s; stopped",
                gibibytes(limits.memory),
                elapsed.as_secs()
            )
        } else {
            sleep(TICK);
            continue;
        };
        // It may have ended by itself just now, which is as good.
        child.kill().ok();
        return Some(reason);
    }
}

/// Bytes in units of 2^30.
pub(crate) fn gibibytes(bytes: u64) -> f64 {
    crate::results::number(bytes) / f64::from(1_u32 << 30)
}

fn state(folder: &Path) -> Option<char> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    stat.rsplit_once(") ")?.1.chars().next()
}

fn resident(folder: &Path) -> Option<u64> {
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn last_line(text: &str) -> Option<String> {
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.map(|line| line.trim().to_owned())
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(LONGEST_REASON).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, time: u64, memory: u64) -> Result<Done, String> {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits {
            time: Duration::from_secs(time),
            memory,
        };
        let mut command = Command::new("sh");
        run(
            command.args(["-c", script]),
            limits,
            &folder.path().join("log"),
        )
    }

    #[test]
    fn a_step_tells_its_last_line_and_its_memory() {
        let done = shell("echo chatter; echo '{\"a\": 1}'; echo", 60, 1 << 40).unwrap();
        assert_eq!(done.value["a"], 1);
        assert!(done.peak > 100_000, "{}", done.peak);
    }

    #[test]
    fn a_failed_step_gives_its_reason() {
        let reason = |script| shell(script, 60, 1 << 40).unwrap_err();
        assert_eq!(reason("echo one >&2; echo 'error: two' >&2; exit 3"), "two");
        assert!(reason("exit 3").contains('3'));
        assert!(reason("echo no json").contains("no json"));
        let mut missing = Command::new("/nonexistent/program");
        let limits = Limits {
            time: Duration::from_secs(1),
            memory: 1,
        };
        let folder = tempfile::tempdir().unwrap();
        let error = run(&mut missing, limits, &folder.path().join("log")).unwrap_err();
        assert!(error.contains("cannot start"), "{error}");
    }

    #[test]
    fn limits_end_a_step() {
        let start = Instant::now();
        let slow = shell("exec sleep 600", 0, 1 << 40).unwrap_err();
        assert!(slow.contains("took more than 0 s"), "{slow}");
        let large = shell("exec sleep 600", 600, 1).unwrap_err();
        assert!(large.contains("memory"), "{large}");
        assert!(start.elapsed() < Duration::from_mins(5));
    }
}
