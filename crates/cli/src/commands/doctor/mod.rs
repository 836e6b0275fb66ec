//! `proofmark doctor`: what is missing on this machine, and how to get it. It changes nothing.

mod machine;
mod service;
mod tools;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use proofmark_verify::Failure;
use serde::Serialize;
use serde_json::json;

use crate::output::Output;

/// Where the service listens when nothing else is said.
const LISTEN: &str = "127.0.0.1:8080";

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Folder whose subfolders are packages: each is loaded, and proves once
    #[arg(long, value_name = "DIR")]
    packages: Option<PathBuf>,
    /// Data folder of a service: its keys, tables and log
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder of the transparency log (default: DATA/log)
    #[arg(long, value_name = "DIR", requires = "data")]
    log: Option<PathBuf>,
    /// Address that a service is to listen on (default with --data: 127.0.0.1:8080)
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Mebibytes a package that `serve --table-memory` is to have
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    table_memory: u64,
    /// Only look at packages and log, instead of loading, proving and reading all of it
    #[arg(long)]
    quick: bool,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// As it should be.
    Ok,
    /// Not needed for the main job.
    Note,
    /// The main job works, and may not always.
    Warning,
    /// The main job does not work.
    Failed,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    check: &'static str,
    status: Status,
    text: String,
    /// Stable code of what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Check {
    fn new(check: &'static str, status: Status, text: impl Into<String>) -> Self {
        Self {
            check,
            status,
            text: text.into(),
            code: None,
            remedy: None,
        }
    }

    fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, text)
    }

    fn note(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Status::Note, text)
    }

    fn wrong(check: &'static str, status: Status, code: &str, text: impl Into<String>) -> Self {
        Self {
            code: Some(code.to_owned()),
            ..Self::new(check, status, text)
        }
    }

    /// What a command would have ended with.
    fn failed(check: &'static str, failure: &Failure) -> Self {
        let mut text = failure.message.clone();
        for cause in &failure.causes {
            text.push_str(": ");
            text.push_str(cause);
        }
        Self {
            remedy: failure.hint.clone(),
            ..Self::wrong(check, Status::Failed, &failure.code, text)
        }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// For people: the finding, and below it what to do.
    fn lines(&self) -> String {
        let status = match self.status {
            Status::Ok => "ok",
            Status::Note => "note",
            Status::Warning => "WARNING",
            Status::Failed => "FAILED",
        };
        let mut lines = format!("{status:<8} {:<10} {}", self.check, self.text);
        if let Some(code) = &self.code {
            lines.push_str(&format!(" [{code}]"));
        }
        if let Some(remedy) = &self.remedy {
            lines.push_str(&format!("\n{:19} → {remedy}", ""));
        }
        lines
    }
}

pub(crate) fn run(args: &DoctorArgs, output: Output) -> Result<(), Failure> {
    let mut checks = vec![Check::ok(
        "program",
        format!(
            "proofmark {} for {} on {}",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH
        ),
    )];
    let runtime = machine::runtime();
    let can_run = runtime.status == Status::Ok;
    checks.push(runtime);
    checks.push(machine::processor());
    checks.push(machine::clock());
    let mut needs = service::Needs::default();
    if let Some(folder) = &args.packages {
        let look = service::Look {
            prove: can_run && !args.quick,
            data: args.data.as_deref(),
            table_bytes: args.table_memory.saturating_mul(1 << 20),
        };
        checks.extend(service::packages(folder, &look, &mut needs, output));
    }
    checks.push(machine::memory(&needs));
    checks.push(machine::open_files());
    if let Some(data) = &args.data {
        checks.extend(service::data(data));
        let log = args.log.clone().unwrap_or_else(|| data.join("log"));
        checks.push(service::log(data, &log, !args.quick));
        checks.push(machine::disk(data, needs.tables));
    }
    let usual = args.data.as_ref().and_then(|_| LISTEN.parse().ok());
    if let Some(address) = args.listen.or(usual) {
        checks.push(machine::port(address));
    }
    checks.extend(tools::all());

    let failed = checks.iter().filter(|c| c.status == Status::Failed).count();
    let warned = checks.iter().filter(|c| c.status == Status::Warning);
    let warned = warned.count();
    let object = json!({ "healthy": failed == 0, "warnings": warned, "checks": checks });
    let mut lines: Vec<String> = checks.iter().map(Check::lines).collect();
    if failed == 0 {
        lines.push(match warned {
            0 => "\nthis machine is ready".to_owned(),
            1 => "\nthis machine is ready; read the warning".to_owned(),
            more => format!("\nthis machine is ready; read the {more} warnings"),
        });
        return output.result(&object, &lines.join("\n"));
    }
    let message = match failed {
        1 => "1 thing is in the way".to_owned(),
        more => format!("{more} things are in the way"),
    };
    if output.json {
        let failure = Failure::environment("machine-not-ready", message);
        return Err(failure
            .member("healthy", json!(false))
            .member("checks", json!(checks)));
    }
    lines.push(String::new());
    output.result(&object, &lines.join("\n"))?;
    Err(Failure::environment("machine-not-ready", message)
        .hint("what to do about each stands behind its arrow above"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_its_code_causes_and_remedy() {
        let mut failure = Failure::environment("log-key", "the key cannot be used");
        failure.causes.push("others may read it".to_owned());
        let check = Check::failed("log", &failure.hint("chmod 600"));
        assert_eq!(
            check.lines(),
            "FAILED   log        the key cannot be used: others may read it [log-key]\n\
             \x20                   → chmod 600"
        );
        let json = serde_json::to_value(Check::ok("clock", "right")).unwrap();
        assert_eq!(
            json,
            json!({"check": "clock", "status": "ok", "text": "right"})
        );
    }
}
