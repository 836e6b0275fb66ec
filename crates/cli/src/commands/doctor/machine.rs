//! The machine: library, processor, memory, disk, files, clock, port.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::thread;
use std::time::Duration;

use ark_bn254::Fr;
use proofmark_lanes::Engine as Lanes;
use proofmark_runtime::{ORT_VERSION, RuntimeError, library};
use proofmark_types::time::utc;
use proofmark_validation::Machine;
use serde_json::Value;

use super::service::Needs;
use super::{Check, Status};
use crate::commands::now;
use crate::failures::Fail as _;
use crate::output::bytes;

/// 2026-01-01: this program is younger.
const EARLIEST: u64 = 1_767_225_600;
/// Files that a service needs to have open at the same time: connections, tiles, tables.
const OPEN_FILES: u64 = 1024;
/// Room on the disk below which a service may stop answering at any time.
const LEAST_ROOM: u64 = 64 << 20;
/// Room for receipts and log that should be there beside tables.
const GOOD_ROOM: u64 = 1 << 30;

/// ONNX Runtime: found, the pinned release, loads.
pub(super) fn runtime() -> Check {
    match proofmark_runtime::init() {
        Ok(info) => Check::ok(
            "runtime",
            format!(
                "ONNX Runtime {} at {} ({})",
                info.version,
                info.library.display(),
                info.library_digest
            ),
        ),
        Err(error) => {
            let check = Check::failed("runtime", &error.fail());
            match error {
                RuntimeError::LibraryLoad { .. } | RuntimeError::Configuration { .. } => {
                    let remedy = check.remedy.clone().unwrap_or_else(|| {
                        "is it for this system? its own libraries are libstdc++ and glibc 2.28 or \
                         newer (Debian: apt-get install libstdc++6)"
                            .to_owned()
                    });
                    check.remedy(remedy)
                }
                _ => match fetch() {
                    Some(commands) => check.remedy(commands),
                    None => check,
                },
            }
        }
    }
}

/// The commands that put the pinned library in its place, where there is one for this system.
fn fetch() -> Option<String> {
    let pin = library::pinned().ok()?;
    let target = library::cached().ok()?;
    let folder = target.parent()?;
    let set = match std::env::var_os(library::OVERRIDE_VARIABLE) {
        Some(_) => format!("unset {}; ", library::OVERRIDE_VARIABLE),
        None => String::new(),
    };
    Some(format!(
        "with pip (Debian: apt-get install python3-pip; macOS: brew install python): \
         {set}python3 -m pip download --no-deps --only-binary=:all: --implementation cp \
         --python-version {} --abi {} --platform {} onnxruntime=={ORT_VERSION} && \
         python3 -m zipfile -e {} onnxruntime-wheel && mkdir -p '{}' && \
         cp onnxruntime-wheel/{} '{}'",
        library::WHEEL_PYTHON,
        library::WHEEL_ABI,
        pin.wheel_platform,
        pin.wheel_file,
        folder.display(),
        pin.member,
        target.display()
    ))
}

/// What the processor has, and what it means for speed and for integers.
pub(super) fn processor() -> Check {
    let machine = Machine::current();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let features = match machine.features.as_slice() {
        [] => "none of the instruction sets that kernels are chosen by".to_owned(),
        features => features.join(" "),
    };
    let fast = match Lanes::<Fr>::detect().name() {
        "ifma" => "proofs use AVX-512 IFMA",
        _ if machine.architecture == "x86_64" => {
            "proofs use portable code, which takes longer than AVX-512 IFMA would"
        }
        _ => "proofs use portable code",
    };
    let has = |name: &str| machine.features.iter().any(|feature| feature == name);
    let exact = if machine.architecture != "x86_64" || has("avx512vnni") || has("avxvnni") {
        ""
    } else {
        "; without VNNI ONNX Runtime saturates uint8 times int8: served packages have none of it, \
         but a model that others quantized may be imported as another one than elsewhere"
    };
    Check::ok(
        "processor",
        format!(
            "{cores} cores, {} with {features}; {fast}{exact}",
            machine.architecture
        ),
    )
}

/// The clock, by which receipts are dated and deadlines kept.
pub(super) fn clock() -> Check {
    let now = now();
    if now < EARLIEST {
        return Check::wrong(
            "clock",
            Status::Failed,
            "clock-wrong",
            format!("it is {}, which was before this program", utc(now)),
        )
        .remedy("set it: timedatectl set-ntp true (Debian: apt-get install systemd-timesyncd)");
    }
    Check::ok("clock", utc(now))
}

/// Memory at hand against what packages take.
pub(super) fn memory(needs: &Needs) -> Check {
    let Some(available) = available_memory() else {
        return Check::note("memory", "this system does not say how much there is");
    };
    let needed = needs.memory();
    if needed > available {
        return Check::wrong(
            "memory",
            Status::Warning,
            "memory-short",
            format!(
                "{} are free, the packages take up to {}",
                bytes(available),
                bytes(needed)
            ),
        )
        .remedy(
            "give `serve` a smaller --table-memory (0 for none: slower proofs), serve fewer \
             packages, or take a machine with more",
        );
    }
    let text = match needed {
        0 => format!("{} are free", bytes(available)),
        _ => format!(
            "{} are free, the packages take up to {}",
            bytes(available),
            bytes(needed)
        ),
    };
    Check::ok("memory", text)
}

/// Bytes that may still be taken: of the machine, and of the container that this runs in.
fn available_memory() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo
        .lines()
        .find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let machine = kibibytes.saturating_mul(1024);
    let number = |file: &str| -> Option<u64> {
        let text = fs::read_to_string(Path::new("/sys/fs/cgroup").join(file)).ok()?;
        text.trim().parse().ok()
    };
    Some(match (number("memory.max"), number("memory.current")) {
        (Some(most), Some(taken)) => machine.min(most.saturating_sub(taken)),
        _ => machine,
    })
}

/// How many files a process may have open.
pub(super) fn open_files() -> Check {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let Some(limit) = soft_limit(&limits) else {
        return Check::note("files", "this system does not say how many may be open");
    };
    if limit >= OPEN_FILES {
        return Check::ok("files", format!("{limit} may be open at the same time"));
    }
    Check::wrong(
        "files",
        Status::Warning,
        "open-files-short",
        format!("{limit} may be open at the same time; a service with many clients needs more"),
    )
    .remedy(
        "ulimit -n 4096 in the shell that starts the service, or LimitNOFILE=4096 in its unit \
             of systemd",
    )
}

/// The soft limit of open files in the words of `/proc/self/limits`.
fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|l| l.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// Room on the disk of a data folder.
pub(super) fn disk(data: &Path, tables: u64) -> Check {
    let place = data
        .ancestors()
        .find(|folder| folder.is_dir())
        .unwrap_or_else(|| Path::new("."));
    let Some(room) = room(place) else {
        return Check::note("disk", "this system does not say how much room there is");
    };
    let text = format!("{} are free at {}", bytes(room), place.display());
    let wanted = tables.saturating_add(GOOD_ROOM);
    let remedy = "make room; of the service's files only DATA/tables can be spared";
    if room < LEAST_ROOM {
        return Check::wrong("disk", Status::Failed, "disk-short", text).remedy(remedy);
    }
    if room < wanted {
        let text = format!("{text}; tables, receipts and log want {}", bytes(wanted));
        return Check::wrong("disk", Status::Warning, "disk-short", text).remedy(remedy);
    }
    Check::ok("disk", text)
}

#[cfg(unix)]
fn room(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn room(_folder: &Path) -> Option<u64> {
    None
}

/// Whether a service can listen, or does already.
pub(super) fn port(address: SocketAddr) -> Check {
    match TcpListener::bind(address) {
        Ok(_) => Check::ok("port", format!("{address} is free")),
        Err(_) if answers(address) => Check::ok(
            "port",
            format!("a Proofmark service answers at {address} already"),
        ),
        Err(error) => Check::wrong(
            "port",
            Status::Failed,
            "listen-failed",
            format!("cannot listen on {address}: {error}"),
        )
        .remedy("choose another address with --listen, or stop what uses this one"),
    }
}

/// Whether a Proofmark service answers there.
fn answers(address: SocketAddr) -> bool {
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(1)))
        .max_redirects(0)
        .build()
        .into();
    let url = format!("http://{}/v2", SocketAddr::new(host, address.port()));
    let server: Option<Value> = agent.get(url).call().ok().and_then(|mut answer| {
        answer
            .body_mut()
            .with_config()
            .limit(1 << 16)
            .read_json()
            .ok()
    });
    server.is_some_and(|server| server["name"] == "proofmark")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 1048576              files\n";
        assert_eq!(soft_limit(limits), Some(1024));
        assert_eq!(
            soft_limit("Max open files  unlimited unlimited files"),
            Some(u64::MAX)
        );
        assert_eq!(soft_limit(""), None);
    }

    #[test]
    fn a_used_port_is_named_and_a_free_one_is_not() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        // Nobody accepts: the question for a service must end.
        let check = port(address);
        assert_eq!(check.status, Status::Failed);
        assert_eq!(check.code.as_deref(), Some("listen-failed"));
        drop(held);
        assert_eq!(port(address).status, Status::Ok);
    }

    #[test]
    fn what_packages_take_is_held_against_what_is_there() {
        let mut needs = Needs::default();
        assert_eq!(memory(&needs).code, None);
        needs.loaded = u64::MAX;
        let check = memory(&needs);
        if check.status != Status::Note {
            assert_eq!(check.code.as_deref(), Some("memory-short"));
        }
        let here = std::env::current_dir().unwrap();
        let check = disk(&here.join("no/such/folder"), u64::MAX);
        if check.status != Status::Note {
            assert_eq!(check.code.as_deref(), Some("disk-short"));
        }
    }
}
