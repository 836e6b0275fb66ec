//! Where and when something was measured. No host name, nothing that tells who measured.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use proofmark_types::time::date;

use crate::process::gibibytes;
use crate::results::Row;

/// Date, commit and machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Day in UTC.
    pub(crate) date: String,
    /// Abbreviated commit, `+` behind it where files differ from it.
    pub(crate) commit: String,
    /// Processor, cores, memory, kernel.
    pub(crate) machine: String,
    /// Cores.
    pub(crate) cores: usize,
}

impl Place {
    /// Here and now.
    pub(crate) fn here() -> Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let memory = field(&read("/proc/meminfo"), "MemTotal")
            .and_then(|text| text.strip_suffix("kB")?.trim().parse::<u64>().ok())
            .unwrap_or(0);
        let processor = processor(&read("/proc/cpuinfo"));
        let kernel = read("/proc/sys/kernel/osrelease");
        Ok(Self {
            date: date(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs()),
            commit: commit(),
            machine: format!(
                "{processor}; {cores} cores; {:.0} GiB; Linux {}",
                gibibytes(memory * 1024),
                // Without what a distributor or a host adds.
                kernel.trim().split('-').next().unwrap_or_default()
            ),
            cores,
        })
    }
}

impl Place {
    /// Where a row of results was measured.
    pub(crate) fn of(row: &Row) -> Self {
        Self {
            date: row.date.clone(),
            commit: row.commit.clone(),
            machine: row.machine.clone(),
            cores: row.threads,
        }
    }
}

/// Model, family and the vector instructions that matter for field arithmetic.
fn processor(cpuinfo: &str) -> String {
    let get = |name| field(cpuinfo, name).unwrap_or("?");
    let flags: Vec<&str> = get("flags").split_whitespace().collect();
    let wanted = ["avx2", "avx512f", "avx512ifma", "adx"];
    let found: Vec<&str> = wanted.into_iter().filter(|f| flags.contains(f)).collect();
    format!(
        "{} (family {} model {}, {})",
        get("model name"),
        get("cpu family"),
        get("model"),
        found.join(" ")
    )
}

fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(mut commit) = git(&["rev-parse", "--short", "HEAD"]) else {
        return String::new();
    };
    if git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|s| !s.is_empty()) {
        commit.push('+');
    }
    commit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(951_782_400), "2000-02-29");
        assert_eq!(date(951_868_800), "2000-03-01");
        assert_eq!(date(1_798_761_599), "2026-12-31");
    }

    #[test]
    fn the_processor_is_told_without_the_host() {
        let text = "processor\t: 0\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Some CPU\n\
                    flags\t\t: fpu avx2 adx avx512ifma\n";
        assert_eq!(
            processor(text),
            "Some CPU (family 6 model 143, avx2 avx512ifma adx)"
        );
        let place = Place::here().unwrap();
        assert!(
            place.cores > 0 && place.machine.contains("GiB"),
            "{place:?}"
        );
    }
}
