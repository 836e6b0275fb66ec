//! What one check found.

use std::collections::BTreeMap;

use proofmark_types::Digest;
use serde::Serialize;

use crate::check::{Check, Step};

/// Culprits that a finding names; of more it says how many there are.
pub const MAX_CULPRITS: usize = 100;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// What was asked holds.
    Pass,
    /// It does not.
    Fail,
    /// It could not be found out with what the auditor has.
    NotChecked,
}

impl Status {
    /// Kebab-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotChecked => "not-checked",
        }
    }
}

/// A fact that a finding rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// What it is.
    pub label: String,
    /// Its value.
    pub value: String,
}

/// A file or receipt because of which a check failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Culprit {
    /// Where it was found: the file, or its place in the log.
    pub source: String,
    /// The receipt's id, when it could be read.
    pub receipt: Option<Digest>,
    /// Stable kebab-case code of the reason.
    pub code: String,
    /// The reason.
    pub reason: String,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's id.
    pub id: Check,
    /// Its step.
    pub step: Step,
    /// How it ended.
    pub status: Status,
    /// The question.
    pub title: &'static str,
    /// The answer and what it means, in plain words.
    pub meaning: String,
    /// What the auditor can do about it; for what passed nothing.
    pub remedy: Option<String>,
    /// What the answer rests on.
    pub evidence: Vec<Evidence>,
    /// What it failed for, at most [`MAX_CULPRITS`].
    pub culprits: Vec<Culprit>,
    /// How many there are.
    pub culprits_total: usize,
}

impl Finding {
    fn new(id: Check, status: Status, meaning: impl Into<String>) -> Self {
        Self {
            id,
            step: id.step(),
            status,
            title: id.title(),
            meaning: meaning.into(),
            remedy: None,
            evidence: Vec::new(),
            culprits: Vec::new(),
            culprits_total: 0,
        }
    }

    pub(crate) fn pass(id: Check, meaning: impl Into<String>) -> Self {
        Self::new(id, Status::Pass, meaning)
    }

    pub(crate) fn fail(id: Check, meaning: impl Into<String>) -> Self {
        Self::new(id, Status::Fail, meaning)
    }

    pub(crate) fn not_checked(
        id: Check,
        meaning: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(id, Status::NotChecked, meaning).remedy(remedy)
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "temporaries, mostly, which would all want a borrow"
    )]
    pub(crate) fn evidence(mut self, label: &str, value: impl ToString) -> Self {
        self.evidence.push(Evidence {
            label: label.to_owned(),
            value: value.to_string(),
        });
        self
    }

    pub(crate) fn culprits(mut self, culprits: Vec<Culprit>) -> Self {
        self.culprits_total = culprits.len();
        self.culprits = culprits;
        self.culprits.truncate(MAX_CULPRITS);
        self
    }
}

/// The findings made so far: one a check.
#[derive(Debug, Default)]
pub(crate) struct Findings(BTreeMap<Check, Finding>);

impl Findings {
    pub(crate) fn add(&mut self, finding: Finding) {
        self.0.insert(finding.id, finding);
    }

    /// Marks the checks among these that have no finding yet.
    pub(crate) fn not_reached(&mut self, checks: &[Check], meaning: &str, remedy: &str) {
        for &check in checks {
            self.0
                .entry(check)
                .or_insert_with(|| Finding::not_checked(check, meaning, remedy));
        }
    }

    /// One finding for every check there is.
    pub(crate) fn finish(mut self) -> Vec<Finding> {
        self.not_reached(
            Check::ALL,
            "not reached: an earlier check failed",
            "see the findings that fail",
        );
        self.0.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_finding_for_each_check_whatever_happened() {
        let mut findings = Findings::default();
        findings.add(Finding::fail(Check::Accuracy, "worse"));
        findings.not_reached(&[Check::Accuracy, Check::LogOrder], "no log", "give one");
        let all = findings.finish();
        let ids: Vec<Check> = all.iter().map(|finding| finding.id).collect();
        assert_eq!(ids, Check::ALL);
        let accuracy = all.iter().find(|finding| finding.id == Check::Accuracy);
        assert_eq!(accuracy.map(|finding| finding.status), Some(Status::Fail));
        assert!(all[0].meaning.starts_with("not reached"));
    }

    #[test]
    fn a_long_list_of_culprits_is_counted_and_cut() {
        let culprit = Culprit {
            source: "r.json".to_owned(),
            receipt: None,
            code: "proof-invalid".to_owned(),
            reason: "no".to_owned(),
        };
        let finding = Finding::fail(Check::ReceiptsProof, "").culprits(vec![culprit; 250]);
        assert_eq!((finding.culprits.len(), finding.culprits_total), (100, 250));
    }
}
