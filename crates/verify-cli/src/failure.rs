//! How a command ends: exit codes, and errors for people and for programs.

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use proofmark_recipient::{Kind, Refusal};
use proofmark_types::problem::{PROBLEM_BASE, Problem, lookup};
use proofmark_types::text::printable;
use proofmark_verifier::Rejection;
use serde_json::{Map, Value, json};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or verified.
    Success,
    /// What was given was read and is refused: a receipt, a package, a model.
    Rejected,
    /// The command line or an input does not make sense.
    Usage,
    /// The environment failed: a file that cannot be read, a server that does not answer.
    Environment,
}

impl Exit {
    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Rejected => 1,
            Self::Usage => 2,
            Self::Environment => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// Stable kebab-case code.
    pub code: String,
    /// What happened, lower case.
    pub message: String,
    /// What caused it, outermost first.
    pub causes: Vec<String>,
    /// What to do about it, when the message does not say so already.
    pub hint: Option<String>,
    /// Members that the problem object has beside those of RFC 9457; boxed, because few failures
    /// have any and every result carries the room.
    members: Option<Box<Map<String, Value>>>,
}

impl Failure {
    /// A failure without cause and hint.
    pub fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self {
            exit,
            code: code.to_owned(),
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            members: None,
        }
    }

    /// The command line or an input does not make sense.
    pub fn usage(code: &str, message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, code, message)
    }

    /// The environment failed.
    pub fn environment(code: &str, message: impl Into<String>) -> Self {
        Self::new(Exit::Environment, code, message)
    }

    /// A failure in the words of an error and of its sources.
    pub fn of(exit: Exit, code: &str, error: &(dyn Error + 'static)) -> Self {
        let mut failure = Self::new(exit, code, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            failure.causes.push(cause.to_string());
            source = cause.source();
        }
        failure
    }

    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With a further member of the problem object.
    #[must_use]
    pub fn member(mut self, name: &str, value: Value) -> Self {
        let members = self.members.get_or_insert_default();
        members.insert(name.to_owned(), value);
        self
    }

    /// The problem object that `--json` prints, and its further members.
    fn object(&self) -> Value {
        let mut object = json!(self.problem());
        if let Value::Object(members) = &mut object {
            members.extend(self.members.iter().flat_map(|more| (**more).clone()));
        }
        object
    }

    /// The problem.
    pub fn problem(&self) -> Problem {
        let (status, title) = lookup(&self.code).unwrap_or(match self.exit {
            Exit::Success | Exit::Environment => (500, "The environment failed"),
            Exit::Rejected => (422, "Rejected"),
            Exit::Usage => (400, "The request does not make sense"),
        });
        let mut detail = self.message.clone();
        for cause in &self.causes {
            detail.push_str(": ");
            detail.push_str(cause);
        }
        // A program's user is to be told what to do as well.
        if let Some(hint) = &self.hint {
            detail.push_str("; ");
            detail.push_str(hint);
        }
        Problem {
            kind: format!("{PROBLEM_BASE}{}", self.code),
            title: title.to_owned(),
            status,
            error: detail.clone(),
            detail,
            instance: None,
            code: self.code.clone(),
        }
    }

    /// Prints the failure, as a problem object on stdout under `json`, else on stderr for people,
    /// and gives the exit code. Nothing can be done about a stream that is closed.
    pub fn finish(&self, json: bool) -> ExitCode {
        let text = if json {
            self.object().to_string()
        } else {
            self.text()
        };
        let written = if json {
            writeln!(io::stdout().lock(), "{text}")
        } else {
            writeln!(io::stderr().lock(), "{text}")
        };
        drop(written);
        self.exit.into()
    }

    /// `error: …`, the causes, `hint: …`.
    pub fn text(&self) -> String {
        let mut text = format!("error: {} [{}]", self.message, self.code);
        for cause in &self.causes {
            text.push_str("\n  because: ");
            text.push_str(cause);
        }
        if let Some(hint) = &self.hint {
            text.push_str("\nhint: ");
            text.push_str(hint);
        }
        printable(&text)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let exit = match refusal.kind() {
            Kind::Rejected => Exit::Rejected,
            Kind::Request => Exit::Usage,
            Kind::Environment => Exit::Environment,
        };
        let failure = Self::of(exit, refusal.code(), &refusal);
        match refusal.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Refusal::from(rejection).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_the_same_for_people_and_programs() {
        let missing = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let failure =
            Failure::of(Exit::Environment, "file-unreadable", &missing).hint("look again");
        assert_eq!(
            failure.text(),
            "error: no such file [file-unreadable]\nhint: look again"
        );
        let problem = failure.problem();
        assert_eq!(problem.code, "file-unreadable");
        assert_eq!(problem.status, 500);
        assert_eq!(problem.kind, format!("{PROBLEM_BASE}file-unreadable"));
        assert_eq!(problem.detail, "no such file; look again");
        let object = failure.member("nodes", json!([1])).object();
        assert_eq!(object["code"], "file-unreadable");
        assert_eq!(object["nodes"], json!([1]));
    }

    #[test]
    fn a_rejection_keeps_its_code_and_status() {
        let failure = Failure::from(Rejection::ProofInvalid);
        assert_eq!(failure.exit.code(), 1);
        assert_eq!(failure.code, "proof-invalid");
        assert_eq!(failure.problem().status, 422);
        assert_eq!(failure.problem().title, "Proof does not verify");
        assert!(failure.hint.is_some());
    }

    #[test]
    fn causes_are_listed_in_order() {
        #[derive(Debug)]
        struct Outer(io::Error);
        impl std::fmt::Display for Outer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("outer")
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let failure = Failure::of(Exit::Usage, "x", &Outer(io::Error::other("inner")));
        assert_eq!(failure.text(), "error: outer [x]\n  because: inner");
        assert_eq!(failure.problem().detail, "outer: inner");
    }
}
