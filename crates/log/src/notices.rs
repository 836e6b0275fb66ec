//! The notices of a log that count, and what they hold against a receipt.

use core::fmt;

use proofmark_types::{Digest, Receipt};

use crate::chain::{KeyChain, Link};
use crate::error::LogError;
use crate::notice::{Notice, SignedNotice, Statement, Subject};

/// An entry that a reader cannot honour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its index.
    pub index: u64,
    /// Why.
    pub error: LogError,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}: {}", self.index, self.error)
    }
}

/// A notice and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedNotice {
    /// Its index.
    pub index: u64,
    /// What it says.
    pub notice: Notice,
}

/// The notices of a log that the service signed, each with the key in force at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notices {
    keys: KeyChain,
    list: Vec<LoggedNotice>,
}

impl Notices {
    /// Takes the notices, in the log's order, that the key in force at their place signed for this
    /// log; the others become problems.
    pub(crate) fn honoured(
        origin: &str,
        pinned: [u8; 32],
        found: Vec<(u64, SignedNotice)>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let rotations: Vec<Link> = found
            .iter()
            .filter_map(|(index, signed)| match signed.notice().statement {
                Statement::Rotation { old, new, .. }
                    if signed.notice().log == origin && signed.verify(&old).is_ok() =>
                {
                    let index = *index;
                    Some(Link { index, old, new })
                }
                _ => None,
            })
            .collect();
        let keys = KeyChain::new(pinned, &rotations);
        let mut list = Vec::new();
        for (index, signed) in found {
            match Self::check(origin, &keys, index, &signed) {
                Ok(()) => list.push(LoggedNotice {
                    index,
                    notice: signed.notice().clone(),
                }),
                Err(error) => problems.push(Problem { index, error }),
            }
        }
        Self { keys, list }
    }

    fn check(
        origin: &str,
        keys: &KeyChain,
        index: u64,
        signed: &SignedNotice,
    ) -> Result<(), LogError> {
        if signed.notice().log != origin {
            return Err(LogError::notice(format!(
                "it is for log {:?}",
                signed.notice().log
            )));
        }
        let wrong = LogError::NoticeSignature {
            wanted: "the service key in force",
        };
        let Some(period) = keys.at(index) else {
            return Err(wrong);
        };
        signed.verify(&period.key)?;
        // A rotation by the key in force ends its period, unless it leads nowhere.
        let rotates = matches!(signed.notice().statement, Statement::Rotation { .. });
        if rotates && period.until != Some(index) {
            return Err(LogError::notice(
                "it rotates to a key that was in force before",
            ));
        }
        Ok(())
    }

    /// Whether a reader will honour this notice at the end of the log.
    #[cfg(feature = "writer")]
    pub(crate) fn would_honour(&self, origin: &str, signed: &SignedNotice) -> Result<(), LogError> {
        let Some(last) = self.keys.periods().last() else {
            return Err(LogError::NoticeSignature {
                wanted: "the service key in force",
            });
        };
        // A rotation that is honoured would end the last period there.
        match &signed.notice().statement {
            Statement::Rotation { new, .. } if self.keys.of(new).is_some() => Err(
                LogError::notice("it rotates to a key that was in force before"),
            ),
            _ if signed.notice().log != origin => Err(LogError::notice(format!(
                "it is for log {:?}",
                signed.notice().log
            ))),
            _ => signed.verify(&last.key),
        }
    }

    /// The service's keys with their periods.
    pub const fn keys(&self) -> &KeyChain {
        &self.keys
    }

    /// All notices, in the log's order.
    pub fn list(&self) -> &[LoggedNotice] {
        &self.list
    }

    /// What the log holds against a receipt, whose envelope has this digest and which is logged at
    /// `index` (`None`: not logged, or unknown). Empty is good.
    pub fn judge(
        &self,
        receipt: &Receipt,
        envelope: &Digest,
        index: Option<u64>,
    ) -> Vec<Objection> {
        let mut objections = Vec::new();
        match (self.keys.of(&receipt.signer), index) {
            (None, _) => objections.push(Objection::SignerUnknown),
            (Some(period), Some(index)) if !period.holds(index) => {
                objections.push(Objection::SignerNotInForce {
                    index,
                    from: period.from,
                    until: period.until,
                });
            }
            (Some(_), _) => {}
        }
        for logged in &self.list {
            match &logged.notice.statement {
                Statement::Revocation {
                    subject,
                    from,
                    reason,
                } if subject.covers(receipt, envelope) && index.is_none_or(|i| i >= *from) => {
                    objections.push(Objection::Revoked {
                        notice: logged.index,
                        subject: *subject,
                        reason: reason.clone(),
                    });
                }
                Statement::Advisory {
                    title, subjects, ..
                } if subjects.iter().any(|s| s.covers(receipt, envelope)) => {
                    objections.push(Objection::Advised {
                        notice: logged.index,
                        title: title.clone(),
                    });
                }
                _ => {}
            }
        }
        objections
    }
}

/// What a log holds against a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Objection {
    /// Its signer is no key of the service: not the pinned one, nor one that rotations lead to.
    SignerUnknown,
    /// It was logged when its signer's key was not in force: before it was announced, or after it
    /// was replaced.
    SignerNotInForce {
        /// Where it was logged.
        index: u64,
        /// First index of the key's period.
        from: u64,
        /// Last index of the key's period.
        until: Option<u64>,
    },
    /// What it rests on was revoked.
    Revoked {
        /// Index of the revocation.
        notice: u64,
        /// What is revoked.
        subject: Subject,
        /// Why, in the service's words.
        reason: String,
    },
    /// The service has something to say of it; the receipt stays valid.
    Advised {
        /// Index of the advisory.
        notice: u64,
        /// In the service's words.
        title: String,
    },
}

impl Objection {
    /// Whether the receipt is not to be relied on.
    pub const fn is_fatal(&self) -> bool {
        !matches!(self, Self::Advised { .. })
    }

    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SignerUnknown => "log-signer-unknown",
            Self::SignerNotInForce { .. } => "log-signer-retired",
            Self::Revoked { .. } => "log-revoked",
            Self::Advised { .. } => "log-advised",
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignerUnknown => f.write_str(
                "the receipt is signed by a key that the log does not know as the service's",
            ),
            Self::SignerNotInForce { index, from, until } => {
                write!(
                    f,
                    "the receipt was logged at {index}, its signer's key was in force from {from}"
                )?;
                until.map_or(Ok(()), |until| write!(f, " to {until}"))
            }
            Self::Revoked {
                notice,
                subject,
                reason,
            } => {
                let (what, digest) = match subject {
                    Subject::Circuit(digest) => ("circuit", digest),
                    Subject::VerifyingKey(digest) => ("verifying key", digest),
                    Subject::Package(digest) => ("package", digest),
                    Subject::ServiceKey(digest) => ("service key", digest),
                    Subject::Receipt(digest) => ("receipt", digest),
                };
                write!(
                    f,
                    "the {what} {digest} was revoked in entry {notice}: {reason}"
                )
            }
            Self::Advised { notice, title } => write!(f, "advisory in entry {notice}: {title}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Entry;
    use crate::log::testing::entry;
    use crate::reader::tests::{ORIGIN, open, reader};
    use ed25519_dalek::SigningKey;
    use proofmark_types::manifest::{Backend, RuntimePin, SetupKind};
    use proofmark_types::receipt::{ModelRef, SetupRef, Software, TensorRecord};
    use proofmark_types::{Context, ElemType, IntTensor, ProofBytes};

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn public(seed: u8) -> [u8; 32] {
        key(seed).verifying_key().to_bytes()
    }

    fn notice(statement: Statement, seed: u8, log: &str) -> Entry {
        let notice = Notice {
            log: log.to_owned(),
            issued_at: 1,
            statement,
        };
        Entry::Notice(SignedNotice::sign(notice, &key(seed)).unwrap())
    }

    fn rotation(old: u8, new: u8) -> Entry {
        let notice = Notice::rotation(ORIGIN, 1, &key(old), &key(new), "").unwrap();
        Entry::Notice(SignedNotice::sign(notice, &key(old)).unwrap())
    }

    fn revocation(subject: Subject, from: u64, seed: u8) -> Entry {
        let reason = "found unsound".to_owned();
        notice(
            Statement::Revocation {
                subject,
                from,
                reason,
            },
            seed,
            ORIGIN,
        )
    }

    /// A receipt by this signer.
    fn receipt(signer: u8) -> Receipt {
        let output = IntTensor::new(ElemType::Int32, vec![1], vec![7]).unwrap();
        Receipt {
            package: Digest::of(b"package"),
            model: ModelRef {
                name: "m".into(),
                version: "1".into(),
                integer_model: Digest::of(b"onnx"),
            },
            circuit: Digest::of(b"circuit"),
            verifying_key: Digest::of(b"vk"),
            setup: SetupRef {
                kind: SetupKind::SingleParty,
                transcript: Digest::of(b"transcript"),
            },
            runtime: RuntimePin::current(),
            software: Software {
                name: "proofmark".into(),
                version: "0.1.0".into(),
            },
            context: Context::off_chain([3; 32]),
            inputs: vec![TensorRecord::public("x", output.clone())],
            outputs: vec![TensorRecord::public("y", output)],
            proof: ProofBytes::new(Backend::Groth16, &[1; 256]).unwrap(),
            proved_at: 5,
            signer: public(signer),
        }
    }

    #[test]
    fn notices_count_when_the_key_in_force_signed_them() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        let circuit = receipt(1).circuit;
        let advisory = |seed| {
            let statement = Statement::Advisory {
                title: "slow".to_owned(),
                text: String::new(),
                subjects: vec![Subject::Circuit(circuit)],
            };
            notice(statement, seed, ORIGIN)
        };
        let list = [
            entry(0),                                    // 0
            advisory(1),                                 // 1
            revocation(Subject::Circuit(circuit), 3, 1), // 2
            rotation(1, 2),                              // 3
            revocation(Subject::Package(circuit), 0, 1), // 4: by the retired key
            rotation(1, 9),                              // 5: by the retired key
            advisory(9),                                 // 6: by a stranger
            revocation(
                Subject::ServiceKey(proofmark_types::dsse::key_id(&public(1))),
                4,
                2,
            ), // 7
        ];
        log.append_unchecked(&list).unwrap();
        let statement = Statement::Advisory {
            title: "elsewhere".to_owned(),
            text: String::new(),
            subjects: vec![Subject::Circuit(circuit)],
        };
        log.append_unchecked(&[notice(statement, 2, "example.com/other")])
            .unwrap();
        let scan = reader(&log).scan(&public(1)).unwrap();
        let by_new = reader(&log).scan(&public(2)).unwrap();
        assert_eq!(
            scan, by_new,
            "any pinned key of the service leads to the same"
        );
        let good: Vec<u64> = scan.notices.list().iter().map(|n| n.index).collect();
        assert_eq!(good, [1, 2, 3, 7]);
        let bad: Vec<(u64, &str)> = scan
            .problems
            .iter()
            .map(|p| (p.index, p.error.code()))
            .collect();
        assert_eq!(
            bad,
            [
                (4, "log-notice-signature"),
                (5, "log-notice-signature"),
                (6, "log-notice-signature"),
                (8, "log-notice-invalid"),
            ]
        );
        let periods = scan.notices.keys().periods();
        assert_eq!(periods.len(), 2);
        let judge = |signer: u8, index: Option<u64>| -> Vec<&'static str> {
            let found = scan
                .notices
                .judge(&receipt(signer), &Digest::of(b"e"), index);
            assert!(found.iter().all(|o| !o.to_string().is_empty()));
            found.iter().map(Objection::code).collect()
        };
        assert_eq!(judge(1, Some(0)), ["log-advised"]);
        assert_eq!(judge(1, Some(3)), ["log-advised", "log-revoked"]);
        assert_eq!(
            judge(1, Some(4)),
            [
                "log-signer-retired",
                "log-advised",
                "log-revoked",
                "log-revoked"
            ]
        );
        assert_eq!(
            judge(1, None),
            ["log-advised", "log-revoked", "log-revoked"]
        );
        assert_eq!(
            judge(2, Some(3)),
            ["log-signer-retired", "log-advised", "log-revoked"]
        );
        assert_eq!(judge(2, Some(4)), ["log-advised", "log-revoked"]);
        assert_eq!(
            judge(9, Some(6)),
            ["log-signer-unknown", "log-advised", "log-revoked"]
        );
        assert!(
            !Objection::Advised {
                notice: 0,
                title: String::new()
            }
            .is_fatal()
        );
        assert!(Objection::SignerUnknown.is_fatal());
    }

    /// Nothing gets in that readers would stop at.
    #[test]
    fn a_log_takes_the_notices_that_readers_honour() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        let subject = Subject::Package(Digest::of(b"package"));
        let add = |entry: Entry| {
            assert_eq!(
                log.append(&entry).unwrap_err().code(),
                "log-notice-invalid",
                "unchecked"
            );
            let Entry::Notice(notice) = entry else {
                panic!("a notice");
            };
            log.append_notice(notice, &public(1)).map_err(|e| e.code())
        };
        assert_eq!(add(revocation(subject, 0, 1)).unwrap().index, 0);
        assert_eq!(
            add(revocation(subject, 0, 2)).unwrap_err(),
            "log-notice-signature"
        );
        assert_eq!(add(rotation(1, 2)).unwrap().index, 1);
        assert_eq!(
            add(revocation(subject, 0, 1)).unwrap_err(),
            "log-notice-signature"
        );
        assert_eq!(add(rotation(1, 3)).unwrap_err(), "log-notice-signature");
        assert_eq!(add(rotation(2, 1)).unwrap_err(), "log-notice-invalid");
        assert_eq!(add(revocation(subject, 0, 2)).unwrap().index, 2);
        let statement = Statement::Revocation {
            subject,
            from: 0,
            reason: "x".to_owned(),
        };
        let foreign = notice(statement, 2, "example.com/other");
        assert_eq!(add(foreign).unwrap_err(), "log-notice-invalid");
        let scan = reader(&log).scan(&public(2)).unwrap();
        assert_eq!((scan.notices.list().len(), scan.problems.len()), (3, 0));
        // A log with a problem takes no more.
        log.append_unchecked(&[revocation(subject, 0, 1)]).unwrap();
        assert_eq!(
            add(revocation(subject, 0, 2)).unwrap_err(),
            "log-notice-signature"
        );
    }
}
