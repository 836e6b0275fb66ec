//! Step 5: the transparency log: copies of it, portable proofs, checkpoints that the auditor kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proofmark_log::tlog::{Policy, SignedCheckpoint, TlogProof, VerifierKey};
use proofmark_log::{Entry, Folder, LogError, Reader, ReceiptEntry, Scan};
use proofmark_types::Digest;
use proofmark_types::time::utc;

use crate::Request;
use crate::check::Check;
use crate::error::AuditError;
use crate::finding::{Culprit, Finding, Findings};
use crate::receipts::{Accepted, Receipts, files, read};

/// Seconds by which a receipt may be older than one that was logged before it: proofs are made side
/// by side, and take their time.
const DISORDER: u64 = 600;
/// Digests of receipts that were not given which a finding shows.
const SHOWN: usize = 5;
/// How a portable proof's file ends.
const PROOF_EXTENSION: &str = "tlog-proof";

/// What the auditor has of the log.
#[derive(Debug, Clone)]
pub struct LogEvidence {
    /// The log's key: its name is the log's origin.
    pub key: VerifierKey,
    /// Folders with copies of the log's static files (or of the service's log folder, in which they
    /// lie under `public`).
    pub folders: Vec<PathBuf>,
    /// Portable proofs: files, and folders whose `*.tlog-proof` files are proofs. That of the receipt
    /// `NAME.json` is `NAME.tlog-proof` or `NAME.json.tlog-proof`.
    pub proofs: Vec<PathBuf>,
    /// Checkpoints seen before, that the log must contain.
    pub checkpoints: Vec<PathBuf>,
}

/// A signed tree head and where it came from.
struct Seen {
    source: String,
    head: SignedCheckpoint,
}

/// The log as far as it could be read.
pub(crate) struct Log<'r> {
    evidence: &'r LogEvidence,
    policy: Policy,
    /// The longest copy.
    reader: Option<Reader<Folder>>,
    scan: Option<Scan>,
    proofs: BTreeMap<String, TlogProof>,
    /// Distinct heads whose signature is right.
    heads: Vec<Seen>,
    unsigned: Vec<Culprit>,
    inconsistent: Vec<Culprit>,
    unreadable: Vec<Culprit>,
}

fn culprit(source: &str, code: &str, reason: impl Into<String>) -> Culprit {
    Culprit {
        source: source.to_owned(),
        receipt: None,
        code: code.to_owned(),
        reason: reason.into(),
    }
}

impl<'r> Log<'r> {
    /// Reads what the auditor has; `None` when that is nothing.
    pub(crate) fn open(request: &'r Request) -> Result<Option<Self>, AuditError> {
        let Some(evidence) = &request.log else {
            return Ok(None);
        };
        let mut log = Self {
            evidence,
            policy: Policy::new(evidence.key.clone()),
            reader: None,
            scan: None,
            proofs: BTreeMap::new(),
            heads: Vec::new(),
            unsigned: Vec::new(),
            inconsistent: Vec::new(),
            unreadable: Vec::new(),
        };
        for folder in &evidence.folders {
            log.folder(folder);
        }
        for path in &evidence.checkpoints {
            let source = path.display().to_string();
            match SignedCheckpoint::verify(&read(path)?, &evidence.key) {
                Ok(head) => log.see(source, head),
                Err(error) => log.blame(&source, &error.into()),
            }
        }
        let mut sources = Vec::new();
        for path in &evidence.proofs {
            files(path, PROOF_EXTENSION, &mut sources)?;
        }
        for path in sources {
            log.proof(&path)?;
        }
        log.compare();
        // Notices are signed by the service; without one of its keys the receipts alone are read.
        let key = request.signers.first().copied().unwrap_or_default();
        match log.reader.as_ref().map(|reader| reader.scan(&key)) {
            Some(Ok(scan)) => log.scan = Some(scan),
            Some(Err(error)) => log.blame("the log's entries", &error),
            None => {}
        }
        Ok(Some(log))
    }

    fn folder(&mut self, folder: &Path) {
        let source = folder.display().to_string();
        let inside = folder.join("public");
        let root = if inside.join("checkpoint").exists() {
            inside
        } else {
            folder.to_owned()
        };
        match Reader::open(Folder::new(root), &self.policy) {
            Ok(reader) => {
                self.see(source, reader.checkpoint().clone());
                let longest = self.reader.as_ref().map_or(0, Reader::size);
                if self.reader.is_none() || reader.size() > longest {
                    self.reader = Some(reader);
                }
            }
            Err(error) => self.blame(&source, &error),
        }
    }

    fn proof(&mut self, path: &Path) -> Result<(), AuditError> {
        let source = path.display().to_string();
        let bytes = read(path)?;
        let verified = TlogProof::parse(&bytes).and_then(|proof| {
            let head = self
                .policy
                .verify(proof.checkpoint.to_string().as_bytes())?;
            Ok((proof, head.head))
        });
        match verified {
            Ok((proof, head)) => {
                self.see(source, head);
                let name = path.file_stem().and_then(|stem| stem.to_str());
                self.proofs
                    .insert(name.unwrap_or_default().to_owned(), proof);
            }
            Err(error) => self.blame(&source, &error.into()),
        }
        Ok(())
    }

    fn see(&mut self, source: String, head: SignedCheckpoint) {
        let known = |seen: &Seen| {
            let (seen, head) = (seen.head.checkpoint(), head.checkpoint());
            (seen.size(), seen.root()) == (head.size(), head.root())
        };
        if !self.heads.iter().any(known) {
            self.heads.push(Seen { source, head });
        }
    }

    /// Puts an error where it belongs.
    fn blame(&mut self, source: &str, error: &LogError) {
        let list = match error.code() {
            "tlog-unsigned"
            | "tlog-signature-invalid"
            | "tlog-origin-mismatch"
            | "tlog-malformed" => &mut self.unsigned,
            "tlog-tile-mismatch" | "tlog-inconsistent" => &mut self.inconsistent,
            _ => &mut self.unreadable,
        };
        list.push(culprit(source, error.code(), error.to_string()));
    }

    /// Compares every head with the longest copy, and all heads with each other where there is none.
    fn compare(&mut self) {
        let mut sizes: BTreeMap<u64, &Seen> = BTreeMap::new();
        let mut found = Vec::new();
        for seen in &self.heads {
            let size = seen.head.checkpoint().size();
            if let Some(other) = sizes.insert(size, seen) {
                let reason = format!("another tree of {size} entries than in {}", other.source);
                found.push(culprit(&seen.source, "tlog-inconsistent", reason));
            }
        }
        if let Some(reader) = &self.reader {
            for seen in &self.heads {
                let head = seen.head.to_string();
                match reader.consistent_with(head.as_bytes()) {
                    Err(error) if error.code() != "tlog-out-of-range" => {
                        found.push(culprit(&seen.source, error.code(), error.to_string()));
                    }
                    Ok(_) | Err(_) => {}
                }
            }
        }
        self.inconsistent.append(&mut found);
    }

    /// Heads that are newer than the longest copy, so that nothing shows that they extend it.
    fn newer(&self) -> usize {
        let size = self.reader.as_ref().map_or(0, Reader::size);
        let heads = self.heads.iter();
        heads
            .filter(|seen| seen.head.checkpoint().size() > size)
            .count()
    }

    /// The keys that the service signs with, by the log: the pinned one and those that rotations
    /// lead to.
    pub(crate) fn service_keys(&self) -> Vec<[u8; 32]> {
        let notices = self.scan.iter().map(|scan| &scan.notices);
        notices
            .flat_map(|notices| notices.keys().periods())
            .map(|period| period.key)
            .collect()
    }

    /// Where a receipt is logged, if it is.
    fn place(&self, accepted: &Accepted) -> Place {
        let receipt = &accepted.verdict.receipt;
        if let Some(logged) = self
            .scan
            .as_ref()
            .and_then(|scan| scan.receipts.get(&accepted.envelope))
        {
            let same = (logged.package, logged.proved_at) == (receipt.package, receipt.proved_at);
            return if same {
                Place::At(logged.index)
            } else {
                let reason = format!("entry {} states another package or time", logged.index);
                Place::Wrong("log-entry-mismatch", reason)
            };
        }
        let path = Path::new(&accepted.source);
        let names = [path.file_stem(), path.file_name()];
        let mut names = names.into_iter().flatten().filter_map(|name| name.to_str());
        let Some(proof) = names.find_map(|name| self.proofs.get(name)) else {
            return if self.scan.is_some() {
                let reason = "it is not in the log, and no proof of it was given".to_owned();
                Place::Wrong("log-entry-missing", reason)
            } else {
                Place::Unknown
            };
        };
        let entry = Entry::Receipt(ReceiptEntry {
            receipt: accepted.envelope,
            package: receipt.package,
            proved_at: receipt.proved_at,
        });
        let verified = entry.to_bytes().and_then(|bytes| {
            proof.verify(&bytes, &self.policy)?;
            Ok(proof.index)
        });
        match verified {
            Ok(index) => Place::At(index),
            Err(error) => Place::Wrong(error.code(), error.to_string()),
        }
    }
}

/// Where a receipt is logged.
enum Place {
    /// At this index.
    At(u64),
    /// Nowhere, or as something else: code and reason.
    Wrong(&'static str, String),
    /// There is no copy of the log and no proof to tell.
    Unknown,
}

impl Place {
    const fn index(&self) -> Option<u64> {
        match self {
            Self::At(index) => Some(*index),
            Self::Wrong(..) | Self::Unknown => None,
        }
    }
}

/// The checks that need a log.
const CHECKS: &[Check] = &[
    Check::LogSignature,
    Check::LogConsistency,
    Check::LogInclusion,
    Check::LogComplete,
    Check::LogOrder,
    Check::LogRevocations,
];

pub(crate) fn check(
    request: &Request,
    log: Option<&Log<'_>>,
    package: Digest,
    receipts: &Receipts,
    findings: &mut Findings,
) {
    let Some(log) = log else {
        findings.not_reached(
            CHECKS,
            "No log was given. Whether the operator made more receipts than it showed, showed others \
             something else, or revoked a key is not known here.",
            "give a copy of the log with --log, or proofs of inclusion with --tlog-proof, and the \
             log's key with --log-key",
        );
        return;
    };
    findings.add(signatures(log));
    findings.add(consistency(log));
    let places: Vec<(&Accepted, Place)> = receipts
        .accepted
        .iter()
        .map(|accepted| (accepted, log.place(accepted)))
        .collect();
    findings.add(inclusion(&places));
    findings.add(completeness(log, package, receipts));
    findings.add(order(log, package, &places));
    findings.add(revocations(request, log, &places));
}

fn signatures(log: &Log<'_>) -> Finding {
    let check = Check::LogSignature;
    let finding = if !log.unsigned.is_empty() {
        Finding::fail(
            check,
            "These checkpoints are not signed by the log's key, or are no checkpoints of this log: \
             the operator is not bound by them, and can deny what stands under them.",
        )
        .remedy(
            "get the log from where the operator serves it, and its key from a source you trust",
        )
        .culprits(log.unsigned.clone())
    } else if log.heads.is_empty() {
        Finding::not_checked(
            check,
            "No checkpoint could be read.",
            "copy the log again: `checkpoint` first, then `tile/`",
        )
        .culprits(log.unreadable.clone())
    } else {
        Finding::pass(check, "Every checkpoint is signed by the log's key.")
    };
    let largest = log
        .heads
        .iter()
        .map(|seen| seen.head.checkpoint().size())
        .max();
    finding
        .evidence("log", log.evidence.key.name())
        .evidence("distinct checkpoints", log.heads.len())
        .evidence("entries", largest.unwrap_or(0))
}

fn consistency(log: &Log<'_>) -> Finding {
    let check = Check::LogConsistency;
    if !log.inconsistent.is_empty() {
        return Finding::fail(
            check,
            "The log contradicts itself: it signed two histories, or its entries are not those that \
             it signed. An operator who does that shows different receipts to different people, or \
             removed some afterwards.",
        )
        .remedy("keep both versions: each is signed, and together they prove it to anyone")
        .culprits(log.inconsistent.clone());
    }
    if log.scan.is_none() {
        return Finding::not_checked(
            check,
            "Without a whole copy of the log nothing shows that its checkpoints are one history.",
            "give a copy of the log with --log",
        )
        .culprits(log.unreadable.clone());
    }
    if log.newer() > 0 {
        return Finding::not_checked(
            check,
            "Some checkpoints are newer than the copy of the log, so that it cannot be seen that \
             they continue it.",
            "copy the log again and repeat the audit",
        )
        .evidence("newer checkpoints", log.newer());
    }
    let finding = Finding::pass(
        check,
        "The entries hash to the signed root, and every checkpoint that you have is a beginning of \
         the same log: nothing was changed or removed between them.",
    );
    if log.unreadable.is_empty() {
        finding
    } else {
        let others = log.unreadable.iter().map(|culprit| culprit.source.as_str());
        let others: Vec<&str> = others.collect();
        finding.evidence("copies that cannot be read", others.join(", "))
    }
}

type Places<'a> = [(&'a Accepted, Place)];

fn of(accepted: &Accepted, code: &str, reason: &str) -> Culprit {
    Culprit {
        receipt: Some(accepted.verdict.receipt_id),
        ..culprit(&accepted.source, code, reason)
    }
}

fn inclusion(places: &Places<'_>) -> Finding {
    let check = Check::LogInclusion;
    if places.is_empty() {
        return Finding::not_checked(
            check,
            "There is no receipt that verifies and could be looked for.",
            "give receipts with --receipts",
        );
    }
    let missing = places.iter().filter_map(|(accepted, place)| match place {
        Place::Wrong(code, reason) => Some(of(accepted, code, reason)),
        Place::At(_) | Place::Unknown => None,
    });
    let missing: Vec<Culprit> = missing.collect();
    let logged = places
        .iter()
        .filter(|(_, place)| place.index().is_some())
        .count();
    if !missing.is_empty() {
        Finding::fail(
            check,
            "These receipts are not in the log, although a service hands out none before it is \
             logged: they were made outside of it, or their entries were withheld. Nobody who \
             watches the log can know of them.",
        )
        .remedy("ask the operator why these answers are not in its log")
        .culprits(missing)
    } else if logged < places.len() {
        Finding::not_checked(
            check,
            "There is no copy of the log that can be read, and not for every receipt a proof that \
             it is logged.",
            "give a copy of the log with --log, or the missing proofs with --tlog-proof",
        )
    } else {
        Finding::pass(
            check,
            "Every receipt that verifies stands in the log, with its package and time.",
        )
    }
    .evidence("receipts in the log", logged)
}

fn completeness(log: &Log<'_>, package: Digest, receipts: &Receipts) -> Finding {
    let check = Check::LogComplete;
    let Some(scan) = &log.scan else {
        return Finding::not_checked(
            check,
            "Without a whole copy of the log it is not known how many receipts there are.",
            "give a copy of the log with --log",
        );
    };
    let own = scan
        .receipts
        .iter()
        .filter(|(_, logged)| logged.package == package);
    let (mut known, mut others) = (0_usize, Vec::new());
    for (envelope, logged) in own {
        if receipts.envelopes.contains(envelope) {
            known += 1;
        } else {
            others.push((logged.index, envelope));
        }
    }
    if others.is_empty() {
        return Finding::pass(
            check,
            "You have every receipt that the log has of this package.",
        )
        .evidence("receipts", known);
    }
    others.sort();
    let shown = others.iter().take(SHOWN);
    let shown: Vec<String> = shown
        .map(|(index, envelope)| format!("{envelope} (entry {index})"))
        .collect();
    Finding::not_checked(
        check,
        "The log has more receipts of this package than you were given. Those that you have may be \
         a choice.",
        "ask the operator for the receipts with these digests, or audit knowing that this is a part",
    )
    .evidence("receipts of this package in the log", known + others.len())
    .evidence("not given", others.len())
    .evidence("the first of them", shown.join(", "))
}

fn order(log: &Log<'_>, package: Digest, places: &Places<'_>) -> Finding {
    let check = Check::LogOrder;
    let mut timeline: BTreeMap<u64, (u64, String)> = BTreeMap::new();
    if let Some(scan) = &log.scan {
        for logged in scan
            .receipts
            .values()
            .filter(|logged| logged.package == package)
        {
            let source = format!("log entry {}", logged.index);
            timeline.insert(logged.index, (logged.proved_at, source));
        }
    }
    for (accepted, place) in places {
        if let Some(index) = place.index() {
            let proved_at = accepted.verdict.receipt.proved_at;
            timeline.insert(index, (proved_at, accepted.source.clone()));
        }
    }
    if timeline.len() < 2 {
        return Finding::not_checked(
            check,
            "There are not two receipts in the log whose times could be compared.",
            "give more receipts, or the log with --log",
        );
    }
    let count = timeline.len();
    let (mut latest, mut culprits) = (0, Vec::new());
    for (index, (proved_at, source)) in timeline {
        if proved_at.saturating_add(DISORDER) < latest {
            let reason = format!(
                "entry {index} states {}, an earlier one {}",
                utc(proved_at),
                utc(latest)
            );
            culprits.push(culprit(&source, "log-time-backdated", reason));
        }
        latest = latest.max(proved_at);
    }
    if culprits.is_empty() {
        Finding::pass(
            check,
            "The times that the receipts state grow with their place in the log.",
        )
    } else {
        Finding::fail(
            check,
            "These receipts state an earlier time than receipts that were logged before them: they \
             were dated back, or the service's clock was turned.",
        )
        .remedy("trust the log's order, not these times, and ask the operator about them")
        .culprits(culprits)
    }
    .evidence("receipts compared", count)
}

fn revocations(request: &Request, log: &Log<'_>, places: &Places<'_>) -> Finding {
    let check = Check::LogRevocations;
    let Some(scan) = &log.scan else {
        return Finding::not_checked(
            check,
            "Without a whole copy of the log it is not known what the operator has revoked.",
            "give a copy of the log with --log",
        );
    };
    if request.signers.is_empty() {
        return Finding::not_checked(
            check,
            "Revocations are signed by the service. You named none of its keys, so what the log says \
             in its name cannot be believed or dismissed.",
            "give the service's public key with --service-key",
        );
    }
    let mut culprits: Vec<Culprit> = scan
        .problems
        .iter()
        .map(|problem| {
            let source = format!("log entry {}", problem.index);
            culprit(&source, problem.error.code(), problem.error.to_string())
        })
        .collect();
    let damaged = !culprits.is_empty();
    let mut advised = Vec::new();
    for (accepted, place) in places {
        let receipt = &accepted.verdict.receipt;
        for objection in scan
            .notices
            .judge(receipt, &accepted.envelope, place.index())
        {
            let text = objection.to_string();
            if objection.is_fatal() {
                culprits.push(of(accepted, objection.code(), &text));
            } else if !advised.contains(&text) {
                advised.push(text);
            }
        }
    }
    let revoked = culprits.iter().any(|culprit| culprit.code == REVOKED);
    let finding = if culprits.is_empty() {
        Finding::pass(
            check,
            "No receipt rests on a circuit, key or package that was revoked when it was logged, and \
             every signing key was in force.",
        )
    } else {
        Finding::fail(
            check,
            match (damaged, revoked) {
                (true, _) => {
                    "The log has entries that cannot be read or are not rightly signed. One of them \
                     may be a revocation, so no receipt can be relied on until this is explained."
                }
                (false, true) => {
                    "These receipts rest on something that the operator itself declared unsound or \
                     lost, and were logged under it all the same. Their proofs may be forged."
                }
                (false, false) => {
                    "These receipts were signed with a key that was not the service's when they were \
                     logged: by whoever has an old or a stolen key."
                }
            },
        )
        .remedy("do not rely on these receipts; ask the operator for new ones under sound keys")
        .culprits(culprits)
    };
    advised
        .iter()
        .fold(finding, |finding, text| finding.evidence("advisory", text))
        .evidence("notices in the log", scan.notices.list().len())
}

/// Code of a receipt under something that was revoked.
const REVOKED: &str = "log-revoked";

#[cfg(test)]
mod tests {
    use proofmark_log::{Objection, Subject};

    use super::*;

    #[test]
    fn revocations_are_known_by_their_code() {
        let objection = Objection::Revoked {
            notice: 3,
            subject: Subject::Circuit(Digest::of(b"circuit")),
            reason: "unsound".to_owned(),
        };
        assert_eq!(objection.code(), REVOKED);
    }
}
