//! Step 5: the transparency log: copies of it, portable proofs, checkpoints that the auditor kept.

mod witnesses;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proofmark_log::tlog::{Policy, SignedCheckpoint, TlogProof};
use proofmark_log::{
    COSIGNED_PATH, Entry, Folder, LogError, Reader, ReceiptEntry, Scan, Statement, Subject,
};
use proofmark_types::Digest;
use proofmark_types::manifest::Sealed;
use proofmark_types::time::utc;

use crate::Request;
use crate::check::Check;
use crate::conduct::CLOCK_SKEW;
use crate::error::AuditError;
use crate::finding::{Culprit, Finding, Findings};
use crate::openings::names;
use crate::receipts::{Accepted, Receipts, files, read};

use self::witnesses::{Cosigned, TreeId, tree_id};

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
    /// The log's key, whose name is the log's origin, and how many of which witnesses must have
    /// cosigned.
    pub policy: Policy,
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
    /// The log's signature alone: what too few witnesses cosigned is read all the same.
    policy: Policy,
    /// The longest copy.
    reader: Option<Reader<Folder>>,
    scan: Option<Scan>,
    proofs: BTreeMap<String, TlogProof>,
    /// Distinct heads whose signature is right.
    heads: Vec<Seen>,
    cosigned: Cosigned,
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
            policy: Policy::new(evidence.policy.log().clone()),
            reader: None,
            scan: None,
            proofs: BTreeMap::new(),
            heads: Vec::new(),
            cosigned: Cosigned::default(),
            unsigned: Vec::new(),
            inconsistent: Vec::new(),
            unreadable: Vec::new(),
        };
        for folder in &evidence.folders {
            fs::read_dir(folder).map_err(|source| AuditError::unreadable(folder, source))?;
            log.folder(folder)?;
        }
        for path in &evidence.checkpoints {
            log.checkpoint(path)?;
        }
        let mut sources = Vec::new();
        for path in &evidence.proofs {
            files(path, PROOF_EXTENSION, &mut sources)?;
        }
        for path in sources {
            log.proof(&path)?;
        }
        log.compare();
        log.scan_entries(&request.signers);
        Ok(Some(log))
    }

    /// Reads the entries. Notices are signed by the service; of several keys that the auditor trusts
    /// the one counts that leaves the fewest of them unexplained, and without any the receipts alone
    /// are read.
    fn scan_entries(&mut self, signers: &[[u8; 32]]) {
        let Some(reader) = &self.reader else {
            return;
        };
        let mut best: Option<Scan> = None;
        let nobody = [0; 32];
        for key in signers.iter().chain(signers.is_empty().then_some(&nobody)) {
            match reader.scan(key) {
                Ok(scan) => {
                    let least = best.as_ref().map_or(usize::MAX, |best| best.problems.len());
                    if scan.problems.len() < least {
                        best = Some(scan);
                    }
                }
                Err(error) => {
                    self.blame("the log's entries", &error);
                    return;
                }
            }
        }
        self.scan = best;
    }

    fn folder(&mut self, folder: &Path) -> Result<(), AuditError> {
        let source = folder.display().to_string();
        let inside = folder.join("public");
        let root = if inside.join("checkpoint").exists() {
            inside
        } else {
            folder.to_owned()
        };
        let cosigned = root.join(COSIGNED_PATH);
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
        if cosigned.exists() {
            self.checkpoint(&cosigned)?;
        }
        Ok(())
    }

    fn checkpoint(&mut self, path: &Path) -> Result<(), AuditError> {
        let source = path.display().to_string();
        match SignedCheckpoint::verify(&read(path)?, self.policy.log()) {
            Ok(head) => self.see(source, head),
            Err(error) => self.blame(&source, &error.into()),
        }
        Ok(())
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
        self.cosigned.see(&self.evidence.policy, &source, &head);
        let tree = tree_id(&head);
        if !self.heads.iter().any(|seen| tree_id(&seen.head) == tree) {
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
        let proof = names(&accepted.source).find_map(|name| self.proofs.get(name));
        let Some(proof) = proof else {
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
            let verified = proof.verify(&bytes, &self.policy)?;
            Ok(tree_id(&verified.head))
        });
        match verified {
            Ok(tree) => Place::Proven(proof.index, tree),
            Err(error) => Place::Wrong(error.code(), error.to_string()),
        }
    }
}

/// Where a receipt is logged.
enum Place {
    /// At this index of the copy.
    At(u64),
    /// At this index, by a proof that leads to this tree.
    Proven(u64, TreeId),
    /// Nowhere, or as something else: code and reason.
    Wrong(&'static str, String),
    /// There is no copy of the log and no proof to tell.
    Unknown,
}

impl Place {
    const fn index(&self) -> Option<u64> {
        match self {
            Self::At(index) | Self::Proven(index, _) => Some(*index),
            Self::Wrong(..) | Self::Unknown => None,
        }
    }
}

/// The checks that need a log.
const CHECKS: &[Check] = &[
    Check::LogSignature,
    Check::LogConsistency,
    Check::LogWitnesses,
    Check::LogInclusion,
    Check::LogComplete,
    Check::LogOrder,
    Check::LogRevocations,
];

/// What a revocation can name of the package.
pub(crate) struct Subjects {
    package: Digest,
    circuit: Digest,
    verifying_key: Digest,
}

impl Subjects {
    pub(crate) const fn of(package: Digest, sealed: &Sealed) -> Self {
        Self {
            package,
            circuit: sealed.circuit.digest,
            verifying_key: sealed.verifying_key.digest,
        }
    }

    fn are_named_by(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Package(digest) => *digest == self.package,
            Subject::Circuit(digest) => *digest == self.circuit,
            Subject::VerifyingKey(digest) => *digest == self.verifying_key,
            Subject::ServiceKey(_) | Subject::Receipt(_) => false,
        }
    }
}

pub(crate) fn check(
    request: &Request,
    log: Option<&Log<'_>>,
    subjects: &Subjects,
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
    findings.add(witnesses::check(log, &places));
    findings.add(inclusion(&places));
    findings.add(completeness(log, subjects.package, receipts));
    findings.add(order(request, log, subjects.package, &places));
    findings.add(revocations(request, log, subjects, receipts, &places));
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
        .evidence("log", log.policy.log().name())
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
            if log.evidence.folders.is_empty() {
                "Without a whole copy of the log nothing shows that its checkpoints are one history."
            } else {
                "No copy of the log that you gave can be read whole: tiles or entries are missing. \
                 Either the copy was cut short, or the operator withholds what it signed."
            },
            "give a whole copy of the log with --log: `checkpoint` first, then everything in `tile/`",
        )
        .culprits(log.unreadable.clone());
    }
    if log.newer() > 0 {
        return Finding::not_checked(
            check,
            "Some signed checkpoints are of a longer log than the copy. Either the copy is older than \
             they are, or the operator cut entries off that it had signed.",
            "copy the log again and repeat the audit; if it is still shorter, the checkpoint proves \
             to anyone that entries were removed",
        )
        .evidence("newer checkpoints", log.newer());
    }
    if !log.unreadable.is_empty() {
        return Finding::not_checked(
            check,
            "Something that you gave as the log cannot be read, so that it cannot be seen whether it \
             shows the same history as the rest.",
            "copy it again: `checkpoint` first, then everything in `tile/`",
        )
        .culprits(log.unreadable.clone());
    }
    Finding::pass(
        check,
        "The entries hash to the signed root, and every checkpoint that you have is a beginning of \
         the same log: nothing was changed or removed between them.",
    )
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
        Place::At(_) | Place::Proven(..) | Place::Unknown => None,
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

fn order(request: &Request, log: &Log<'_>, package: Digest, places: &Places<'_>) -> Finding {
    let check = Check::LogOrder;
    let mut timeline: BTreeMap<u64, (u64, String)> = BTreeMap::new();
    // Notices are dated too. They may have been signed long before they were logged, so that none
    // is dated back, but a receipt behind one is no older than it.
    let mut notices: BTreeMap<u64, u64> = BTreeMap::new();
    if let Some(scan) = &log.scan {
        for logged in scan
            .receipts
            .values()
            .filter(|logged| logged.package == package)
        {
            let source = format!("log entry {}", logged.index);
            timeline.insert(logged.index, (logged.proved_at, source));
        }
        for logged in scan.notices.list() {
            notices.insert(logged.index, logged.notice.issued_at);
        }
    }
    for (accepted, place) in places {
        if let Some(index) = place.index() {
            let proved_at = accepted.verdict.receipt.proved_at;
            timeline.insert(index, (proved_at, accepted.source.clone()));
        }
    }
    if timeline.is_empty() || timeline.len() + notices.len() < 2 {
        return Finding::not_checked(
            check,
            "There are not two entries of this package in the log whose times could be compared.",
            "give more receipts, or the log with --log",
        );
    }
    let count = timeline.len();
    let limit = request.now.saturating_add(CLOCK_SKEW);
    let (mut latest, mut culprits) = (0, Vec::new());
    for (index, (proved_at, source)) in timeline {
        while let Some(notice) = notices.first_entry().filter(|next| *next.key() < index) {
            latest = latest.max(notice.remove().min(limit));
        }
        if proved_at > limit {
            let reason = format!("entry {index} states {}", utc(proved_at));
            culprits.push(culprit(&source, "time-in-future", reason));
            // It says nothing of those behind it.
            continue;
        }
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
            "These receipts state an earlier time than what was logged before them, or one that lies \
             in the future: they were dated back or forward, or the service's clock was turned.",
        )
        .remedy("trust the log's order, not these times, and ask the operator about them")
        .culprits(culprits)
    }
    .evidence("receipts compared", count)
}

fn revocations(
    request: &Request,
    log: &Log<'_>,
    subjects: &Subjects,
    receipts: &Receipts,
    places: &Places<'_>,
) -> Finding {
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
    let revoked_package = revoked(scan, subjects, receipts, &mut culprits);
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
    if places.is_empty()
        && let Some(reason) = &revoked_package
    {
        culprits.push(culprit("the package", REVOKED, reason.as_str()));
    }
    let revoked = culprits.iter().any(|culprit| culprit.code == REVOKED);
    let finding = if culprits.is_empty() && revoked_package.is_some() {
        Finding::pass(
            check,
            "The operator revoked this package, or a circuit or key of it. Every receipt was logged \
             before the place from which that counts. Do not use the package for anything new.",
        )
    } else if culprits.is_empty() {
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
                    "The operator itself declared unsound or lost what these receipts rest on. They \
                     were logged under it all the same, and their proofs may be forged."
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
    let finding = match revoked_package {
        Some(reason) => finding.evidence("revoked", reason),
        None => finding,
    };
    advised
        .iter()
        .fold(finding, |finding, text| finding.evidence("advisory", text))
        .evidence("notices in the log", scan.notices.list().len())
}

/// What the log says of the package's being revoked, if it is. Blames the entries of receipts that
/// were logged after it and that the auditor was not given; those that were given are judged whole.
fn revoked(
    scan: &Scan,
    subjects: &Subjects,
    receipts: &Receipts,
    culprits: &mut Vec<Culprit>,
) -> Option<String> {
    let mut first: Option<(u64, String)> = None;
    for logged in scan.notices.list() {
        if let Statement::Revocation {
            subject,
            from,
            reason,
        } = &logged.notice.statement
            && subjects.are_named_by(subject)
            && first.as_ref().is_none_or(|(earlier, _)| from < earlier)
        {
            let text = format!(
                "entry {} revokes it from entry {from} on: {reason}",
                logged.index
            );
            first = Some((*from, text));
        }
    }
    let (from, text) = first?;
    let used = scan.receipts.iter().filter(|(envelope, entry)| {
        let own = entry.package == subjects.package && entry.index >= from;
        own && !receipts.envelopes.contains(*envelope)
    });
    let mut used: Vec<u64> = used.map(|(_, entry)| entry.index).collect();
    used.sort_unstable();
    culprits.extend(used.into_iter().map(|index| {
        let source = format!("log entry {index}");
        culprit(&source, REVOKED, text.as_str())
    }));
    Some(text)
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
