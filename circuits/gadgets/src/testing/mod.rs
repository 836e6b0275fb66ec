//! Soundness harness: what every gadget must pass.
//!
//! A [`Subject`] is a gadget with the ranges of its inputs and what it should compute. Inputs are
//! public wires, so that whatever else an assignment holds is the prover's. An assignment is
//! judged by the matrices alone ([`R1cs::violated`]), never by what a lowering says of itself.
//!
//! Every check runs in each of the subject's [`Setting`]s: the plain backend, and the committed one
//! with different tables. There the adversary fixes the wires of phase 1 and has the challenge drawn
//! from them; a mutated wire is tried under the old challenge and under the one that it leads to.
//! Where single rows and all solutions are looked at, the lookup argument is taken at its word
//! (`lookups.rs`).
//!
//! * [`Subject::check_honest`]: the honest witness satisfies the matrices and yields the outputs.
//! * [`Subject::check_mutations`]: no single changed value is accepted, but for wires that are
//!   allow-listed with a reason, and then no output changes.
//! * [`Subject::check_removals`]: without any one constraint, inputs no longer determine outputs.
//! * [`Subject::check_rank`]: the Jacobian `diag(Bz)·A + diag(Az)·B − C` on private wires has full
//!   column rank but for the free wires, so that no set of wires can move jointly.
//! * [`Subject::check_all_solutions`]: every solution over the whole field is enumerated (no bound
//!   on values), for small widths.

mod lookups;
mod system;

use std::collections::BTreeMap;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField};

use crate::circuit::{Backend, Circuit};
use crate::error::LowerError;
use crate::lc::{Lc, Wire};
use crate::lowering::{Challenger, Forced, Lowering, NoChallenge};
use crate::num::{Num, Signal};
use lookups::Argument;
use system::{Outcome, System};

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject}: {finding}")]
pub struct Finding {
    subject: String,
    finding: String,
}

/// A wire that is deliberately not determined, by the step that makes it, and why that is safe.
#[derive(Debug, Clone, Copy)]
pub struct Free {
    /// Step name of the wire.
    pub step: &'static str,
    /// Why it may take any value.
    pub reason: &'static str,
}

/// Wires of the gadgets here that are free at some assignments.
pub const FREE: &[Free] = &[
    Free {
        step: "requantize-inverse",
        reason: "multiplies `over` alone, which is 0 wherever it is free",
    },
    Free {
        step: "is-equal-inverse",
        reason: "multiplies `x − c` alone, which is 0 wherever it is free",
    },
];

/// Mutations of a wire that are followed through the lookup argument.
const TRIED: usize = 3;
/// At so many of the points.
const TRIED_POINTS: usize = 3;
/// Wires of a lookup argument that are mutated.
const ARGUMENT_WIRES: usize = 64;

/// Draws the challenge from all public and committed values, as a proof system does from its commitment.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    /// What was committed to.
    pub committed: Vec<Fr>,
    /// The challenge drawn.
    pub challenge: Fr,
}

impl Challenger for Transcript {
    fn challenge(&mut self, public: &[Fr], committed: &[Fr]) -> Result<Fr, LowerError> {
        self.committed = committed.to_vec();
        self.challenge = drawn_from(public.iter().chain(committed));
        Ok(self.challenge)
    }
}

/// A challenge for these values: SHA-256 of their bytes, modulo the order.
fn drawn_from<'z>(values: impl Iterator<Item = &'z Fr>) -> Fr {
    let mut bytes = Vec::new();
    for value in values {
        bytes.extend(value.into_bigint().to_bytes_le());
    }
    let digest = proofmark_types::Digest::of(&bytes);
    Fr::from_le_bytes_mod_order(digest.as_bytes())
}

/// What is left to a prover whose phase-1 values stand: the challenge is drawn from them, and each
/// wire after it is given the one value that its own row allows.
pub fn continue_after_challenge(circuit: &Circuit, z: &mut [Fr]) {
    let Some(challenge) = circuit.challenges.first().map(|w| w.index()) else {
        return;
    };
    let public = 1..=circuit.r1cs.num_public;
    let bound = public.chain(circuit.committed.iter().map(|w| w.index()));
    let drawn = drawn_from(bound.filter_map(|wire| z.get(wire)));
    if let Some(slot) = z.get_mut(challenge) {
        *slot = drawn;
    }
    for row in 0..circuit.r1cs.num_constraints() {
        // wire · b = c
        let mut terms = circuit.r1cs.a.row(row).map(|(wire, _)| wire as usize);
        let (Some(wire), None) = (terms.next(), terms.next()) else {
            continue;
        };
        if wire <= challenge {
            continue;
        }
        let b = circuit.r1cs.b.row_times(row, z);
        let c = circuit.r1cs.c.row_times(row, z);
        if let (Some(slot), Some(inverse)) = (z.get_mut(wire), b.inverse()) {
            *slot = inverse * c;
        }
    }
}

/// How a subject is lowered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// For messages.
    pub name: &'static str,
    /// The backend.
    pub backend: Backend,
    /// Choices taken from the cost model, so that small subjects have tables at all.
    pub forced: Forced,
}

impl Setting {
    /// The plain backend.
    pub fn plain() -> Self {
        Self {
            name: "plain",
            backend: Backend::Plain,
            forced: Forced::default(),
        }
    }

    /// The committed backend with the tables that pay.
    pub fn committed() -> Self {
        Self {
            name: "committed",
            backend: Backend::Committed,
            forced: Forced::default(),
        }
    }

    /// The committed backend with these range tables, and clamps as pairs or not.
    pub fn with_tables(name: &'static str, widths: &[u32], pairs: bool) -> Self {
        Self {
            name,
            backend: Backend::Committed,
            forced: Forced {
                widths: Some(widths.to_vec()),
                pairs: Some(pairs),
            },
        }
    }

    /// One of each.
    pub fn all() -> Vec<Self> {
        vec![
            Self::plain(),
            Self::committed(),
            Self::with_tables("committed, pairs", &[3], true),
            Self::with_tables("committed, classes", &[4, 2], false),
        ]
    }
}

/// Builds a gadget on its inputs and returns its outputs.
pub type Build<'g> = dyn Fn(&mut Lowering<'_>, &[Num]) -> Result<Vec<Signal>, LowerError> + 'g;
/// Outputs expected for inputs; `None` where there must be no witness at all.
pub type Expected<'g> = dyn Fn(&[i64]) -> Option<Vec<Fr>> + 'g;

/// A gadget under test.
pub struct Subject<'g> {
    /// For messages.
    pub name: &'g str,
    /// Interval of each input.
    pub inputs: Vec<(i64, i64)>,
    /// Whether the gadget itself has to prove the inputs' ranges. Otherwise they are assumed, and
    /// inputs stay as they are.
    pub proves_inputs: bool,
    /// The gadget.
    pub build: &'g Build<'g>,
    /// The function it is to compute.
    pub expected: &'g Expected<'g>,
    /// The ways to lower it that are checked.
    pub settings: Vec<Setting>,
}

/// A compiled subject.
struct Compiled {
    setting: Setting,
    circuit: Circuit,
    outputs: Vec<Lc>,
    argument: Option<Argument>,
    system: System,
}

impl<'g> Subject<'g> {
    /// A gadget that computes integers, under assumed input intervals.
    pub fn new(
        name: &'g str,
        inputs: &[(i64, i64)],
        build: &'g Build<'g>,
        expected: &'g Expected<'g>,
    ) -> Self {
        Self {
            name,
            inputs: inputs.to_vec(),
            proves_inputs: false,
            build,
            expected,
            settings: Setting::all(),
        }
    }

    /// The same subject in one setting.
    #[must_use]
    pub fn in_setting(mut self, setting: Setting) -> Self {
        self.settings = vec![setting];
        self
    }

    /// Runs a check in each setting.
    fn each(&self, mut check: impl FnMut(&Compiled) -> Result<(), Finding>) -> Result<(), Finding> {
        for setting in &self.settings {
            check(&self.compile(setting)?).map_err(|finding| Finding {
                finding: format!("{}: {}", setting.name, finding.finding),
                ..finding
            })?;
        }
        Ok(())
    }

    fn finding(&self, finding: impl Into<String>) -> Finding {
        Finding {
            subject: self.name.to_owned(),
            finding: finding.into(),
        }
    }

    fn nums(&self, cx: &Lowering<'_>, values: Option<&[i64]>) -> Vec<Num> {
        (1_u32..)
            .zip(&self.inputs)
            .enumerate()
            .map(|(at, (wire, &(lo, hi)))| {
                let value = values.and_then(|v| v.get(at)).copied().unwrap_or_default();
                // The harness chooses inputs inside the interval, or tests that the gadget itself
                // proves it.
                Num::claimed(cx, Wire(wire), value, lo, hi)
            })
            .collect()
    }

    fn compile(&self, setting: &Setting) -> Result<Compiled, Finding> {
        let lowered =
            |e: LowerError| self.finding(format!("does not compile: {}: {e}", setting.name));
        let mut cx = Lowering::shape(setting.backend, self.inputs.len()).map_err(lowered)?;
        cx.force(setting.forced.clone());
        let nums = self.nums(&cx, None);
        let outputs = (self.build)(&mut cx, &nums).map_err(lowered)?;
        cx.close().map_err(lowered)?;
        let circuit = cx
            .into_circuit(0, Vec::new())
            .ok_or_else(|| self.finding("is not in shape mode"))?;
        let argument = Argument::read(&circuit).map_err(|e| self.finding(e))?;
        let system = System::new(&circuit.r1cs, argument.as_ref());
        Ok(Compiled {
            setting: setting.clone(),
            argument,
            circuit,
            outputs: outputs.into_iter().map(|s| s.lc.normalised()).collect(),
            system,
        })
    }

    /// Constraints of the gadget with the plain backend.
    ///
    /// # Errors
    /// When it does not compile.
    pub fn constraints(&self) -> Result<usize, Finding> {
        self.constraints_in(&Setting::plain())
    }

    /// Constraints of the gadget in a setting, those of its tables included.
    ///
    /// # Errors
    /// When it does not compile.
    pub fn constraints_in(&self, setting: &Setting) -> Result<usize, Finding> {
        Ok(self.compile(setting)?.circuit.r1cs.num_constraints())
    }

    /// How many constraints of each step the gadget has in a setting, without the tables that
    /// lookups share.
    ///
    /// # Errors
    /// When it does not compile.
    pub fn steps_in(&self, setting: &Setting) -> Result<BTreeMap<&'static str, usize>, Finding> {
        let circuit = self.compile(setting)?.circuit;
        let mut out = BTreeMap::new();
        for row in 0..circuit.r1cs.num_constraints() {
            if let Some(step) = circuit.labels.constraint_step(row)
                && !matches!(step, "logup-entry" | "logup-sum")
            {
                *out.entry(step).or_default() += 1;
            }
        }
        Ok(out)
    }

    /// Constraints, private wires and non-zero entries of the gadget with the plain backend.
    ///
    /// # Errors
    /// When it does not compile.
    pub fn size(&self) -> Result<[usize; 3], Finding> {
        let r1cs = self.compile(&Setting::plain())?.circuit.r1cs;
        Ok([
            r1cs.num_constraints(),
            r1cs.num_wires - r1cs.num_public - 1,
            r1cs.non_zero(),
        ])
    }

    fn witness(&self, setting: &Setting, values: &[i64]) -> Result<(Vec<Fr>, Vec<Fr>), LowerError> {
        let public: Vec<Fr> = values.iter().map(|&v| Fr::from(v)).collect();
        let (mut none, mut transcript) = (NoChallenge, Transcript::default());
        let challenger: &mut dyn Challenger = match setting.backend {
            Backend::Plain => &mut none,
            Backend::Committed => &mut transcript,
        };
        let mut cx = Lowering::witness(setting.backend, &public, challenger)?;
        cx.force(setting.forced.clone());
        let nums = self.nums(&cx, Some(values));
        let outputs = (self.build)(&mut cx, &nums)?;
        cx.close()?;
        let outputs = outputs.into_iter().map(|s| s.value).collect();
        Ok((cx.into_assignment().unwrap_or_default(), outputs))
    }

    /// The honest witness for each input satisfies the matrices, and its outputs are the expected
    /// ones both as computed and as the linear combinations that the constraints bind.
    ///
    /// # Errors
    /// The first difference.
    pub fn check_honest(&self, points: &[Vec<i64>]) -> Result<(), Finding> {
        self.each(|compiled| {
            for point in points {
                self.honest(compiled, point)?;
            }
            Ok(())
        })
    }

    fn honest(&self, compiled: &Compiled, point: &[i64]) -> Result<Vec<Fr>, Finding> {
        let expected = (self.expected)(point);
        let (assignment, outputs) = match (self.witness(&compiled.setting, point), &expected) {
            (Ok(found), Some(_)) => found,
            (Err(_), None) => return Ok(Vec::new()),
            (Ok(_), None) => {
                return Err(self.finding(format!("has a witness for {point:?}")));
            }
            (Err(e), Some(_)) => {
                return Err(self.finding(format!("has no witness for {point:?}: {e}")));
            }
        };
        if assignment.len() != compiled.circuit.r1cs.num_wires {
            return Err(self.finding(format!(
                "the two modes disagree: {} wires, {} values at {point:?}",
                compiled.circuit.r1cs.num_wires,
                assignment.len()
            )));
        }
        if let Some(&row) = compiled.circuit.r1cs.violated(&assignment).first() {
            return Err(self.finding(format!(
                "the honest witness for {point:?} violates {}",
                compiled.circuit.labels.constraint(row)
            )));
        }
        let bound: Vec<Fr> = compiled.outputs(&assignment);
        if Some(&outputs) != expected.as_ref() || Some(&bound) != expected.as_ref() {
            return Err(self.finding(format!(
                "at {point:?} expected {expected:?}, computed {outputs:?}, bound {bound:?}"
            )));
        }
        Ok(assignment)
    }

    /// Whether a satisfying assignment says something false.
    fn false_statement(&self, compiled: &Compiled, assignment: &[Fr]) -> bool {
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for (wire, &(lo, hi)) in self.inputs.iter().enumerate() {
            let value = assignment.get(wire + 1).copied().unwrap_or_default();
            match small(value) {
                Some(v) if (lo..=hi).contains(&v) => inputs.push(v),
                _ => return true,
            }
        }
        (self.expected)(&inputs).is_none_or(|expected| expected != compiled.outputs(assignment))
    }

    fn movable(&self, compiled: &Compiled) -> std::ops::Range<usize> {
        let first = if self.proves_inputs {
            1
        } else {
            self.inputs.len() + 1
        };
        first..compiled.system.wires()
    }

    /// Changes each value of the honest witness in turn.
    ///
    /// # Errors
    /// The first mutation that the matrices accept, unless the wire is one of [`FREE`] and the
    /// statement stays true.
    pub fn check_mutations(&self, points: &[Vec<i64>]) -> Result<(), Finding> {
        self.each(|compiled| {
            for (at, point) in points.iter().enumerate() {
                let honest = self.honest(compiled, point)?;
                let tried = if at < TRIED_POINTS { TRIED } else { 0 };
                for wire in self.movable(compiled) {
                    for (nth, value) in candidates(&honest, wire).into_iter().enumerate() {
                        let mut mutated = honest.clone();
                        if let Some(slot) = mutated.get_mut(wire) {
                            *slot = value;
                        }
                        if !compiled.accepts(&mut mutated, wire, nth < tried) {
                            continue;
                        }
                        let is_input = wire <= self.inputs.len();
                        let listed = is_input || compiled.is_free(wire);
                        if !listed || self.false_statement(compiled, &mutated) {
                            return Err(self.finding(format!(
                                "at {point:?} accepts {value} for {}",
                                compiled.circuit.labels.wire(wire)
                            )));
                        }
                    }
                }
                if at == 0 {
                    self.check_argument(compiled, &honest)?;
                }
            }
            Ok(())
        })
    }

    /// That no wire of the lookup argument can move, whether or not what follows is computed anew.
    fn check_argument(&self, compiled: &Compiled, honest: &[Fr]) -> Result<(), Finding> {
        let circuit = &compiled.circuit;
        let challenge = circuit.challenges.first().map_or(0, |w| w.index());
        // Every wire of small arguments, a share of the like ones of large tables.
        let wires = compiled.system.wires()..honest.len();
        let stride = wires.len().div_ceil(ARGUMENT_WIRES).max(1);
        for wire in wires.step_by(stride) {
            let mut mutated = honest.to_vec();
            if let Some(slot) = mutated.get_mut(wire) {
                *slot += Fr::ONE;
            }
            let mut accepted = circuit.r1cs.is_satisfied_by(&mutated);
            if wire < challenge {
                continue_after_challenge(circuit, &mut mutated);
                accepted |= circuit.r1cs.is_satisfied_by(&mutated);
            }
            // A challenge that nothing reads decides nothing: a circuit without lookups.
            let read = compiled
                .argument
                .as_ref()
                .is_some_and(|a| !a.tables.is_empty());
            if accepted && (wire != challenge || read) {
                return Err(self.finding(format!(
                    "accepts another value for {}",
                    circuit.labels.wire(wire)
                )));
            }
        }
        Ok(())
    }

    /// Removes each constraint in turn.
    ///
    /// # Errors
    /// The first constraint without which, as far as the search sees, the others still determine
    /// the outputs: neither a rank drop lets an output move, nor does the enumeration or a search
    /// by repair find an assignment that the others accept and that says something false.
    pub fn check_removals(&self, points: &[Vec<i64>]) -> Result<(), Finding> {
        self.each(|compiled| self.removals(compiled, points))
    }

    fn removals(&self, compiled: &Compiled, points: &[Vec<i64>]) -> Result<(), Finding> {
        let mut unnoticed: Vec<usize> = (0..compiled.system.rows()).collect();
        let movable = self.movable(compiled);
        let mut witnesses = Vec::new();
        for point in points {
            let honest = self.honest(compiled, point)?;
            if !honest.is_empty() {
                witnesses.push(honest);
            }
        }
        if !self.proves_inputs {
            for honest in &witnesses {
                let moves =
                    compiled
                        .system
                        .rows_that_pin(honest, movable.clone(), &compiled.outputs);
                unnoticed.retain(|row| !moves.contains(row));
            }
        }
        let forge = |unnoticed: &mut Vec<usize>| {
            for honest in &witnesses {
                unnoticed.retain(|&row| {
                    !compiled.system.forge(honest, row, movable.clone(), &|z| {
                        self.false_statement(compiled, z)
                    })
                });
            }
        };
        // With lookups the enumeration is the dearer of the two.
        let lookups = compiled.argument.is_some();
        if lookups {
            forge(&mut unnoticed);
        }
        if !self.proves_inputs {
            for honest in &witnesses {
                unnoticed.retain(|&row| !self.solved_wrongly(compiled, honest, row));
            }
        }
        if !lookups {
            forge(&mut unnoticed);
        }
        match unnoticed.first() {
            None => Ok(()),
            Some(&row) => Err(self.finding(format!(
                "nothing notices the removal of {} ({} of {} constraints)",
                compiled
                    .circuit
                    .labels
                    .constraint(compiled.system.origin(row)),
                unnoticed.len(),
                compiled.system.rows()
            ))),
        }
    }

    /// Whether the enumeration without one constraint comes to a solution with other outputs.
    fn solved_wrongly(&self, compiled: &Compiled, honest: &[Fr], row: usize) -> bool {
        let known = honest.get(..=self.inputs.len()).unwrap_or_default();
        let truth = compiled.outputs(honest);
        let nodes = match compiled.argument {
            Some(_) => system::FEW_NODES,
            None => system::NODES,
        };
        let system = &compiled.system;
        let outcome = system.solutions(known, Some(row), nodes, &mut |z| {
            // Free wires at two values: an output that depends on one differs from the truth.
            [Fr::ZERO, Fr::from(7_u64)].into_iter().all(|free| {
                let full: Vec<Fr> = z.iter().map(|v| v.unwrap_or(free)).collect();
                compiled.outputs(&full) == truth
            })
        });
        outcome == Outcome::Stopped
    }

    /// The rank of the Jacobian at each point.
    ///
    /// # Errors
    /// When it is smaller than the number of private wires without those that are allow-listed
    /// and stand in no constraint to first order.
    pub fn check_rank(&self, points: &[Vec<i64>]) -> Result<(), Finding> {
        self.each(|compiled| {
            for point in points {
                let honest = self.honest(compiled, point)?;
                if honest.is_empty() {
                    continue;
                }
                let private = self.inputs.len() + 1..compiled.system.wires();
                let jacobian = compiled.system.jacobian(&honest, private.clone());
                let free = private
                    .clone()
                    .enumerate()
                    .filter(|&(column, wire)| {
                        compiled.is_free(wire)
                            && jacobian
                                .iter()
                                .all(|row| row.get(column) == Some(&Fr::ZERO))
                    })
                    .count();
                let rank = system::rank(jacobian);
                if rank + free != private.len() {
                    return Err(self.finding(format!(
                        "at {point:?} the rank is {rank}, with {} private wires of which {free} \
                         free",
                        private.len()
                    )));
                }
            }
            Ok(())
        })
    }

    /// Every solution over the whole field at each of these inputs: there is one exactly where one
    /// is expected, and each has the expected outputs. Inputs are held fixed. Returns the number
    /// of solutions.
    ///
    /// # Errors
    /// The first solution that says something false; a determined wire that no constraint fixes;
    /// a system that the solver cannot take apart.
    pub fn check_all_solutions(&self, points: &[Vec<i64>]) -> Result<usize, Finding> {
        let mut counts = Vec::with_capacity(self.settings.len());
        self.each(|compiled| {
            counts.push(self.all_solutions(compiled, points)?);
            Ok(())
        })?;
        match counts.as_slice() {
            [first, rest @ ..] if rest.iter().all(|count| count == first) => Ok(*first),
            _ => Err(self.finding(format!("has {counts:?} solutions by setting"))),
        }
    }

    fn all_solutions(&self, compiled: &Compiled, points: &[Vec<i64>]) -> Result<usize, Finding> {
        let mut count = 0;
        for point in points {
            let known: Vec<Fr> = core::iter::once(Fr::ONE)
                .chain(point.iter().map(|&v| Fr::from(v)))
                .collect();
            let mut solutions = Vec::new();
            let outcome = compiled
                .system
                .solutions(&known, None, system::NODES, &mut |z| {
                    solutions.push(z.to_vec());
                    true
                });
            if outcome != Outcome::Complete {
                return Err(self.finding(format!("cannot be taken apart at {point:?}")));
            }
            let expected = (self.expected)(point);
            if solutions.is_empty() != expected.is_none() {
                return Err(self.finding(format!("has {} solutions at {point:?}", solutions.len())));
            }
            count += solutions.len();
            for solution in solutions {
                let free = solution.iter().enumerate().filter(|(_, v)| v.is_none());
                for (wire, _) in free {
                    let in_output = compiled
                        .outputs
                        .iter()
                        .any(|lc| lc.terms().iter().any(|(w, _)| w.index() == wire));
                    if in_output || !compiled.is_free(wire) {
                        return Err(self.finding(format!(
                            "leaves {} free at {point:?}",
                            compiled.circuit.labels.wire(wire)
                        )));
                    }
                }
                let full: Vec<Fr> = solution
                    .into_iter()
                    .map(Option::unwrap_or_default)
                    .collect();
                if Some(compiled.outputs(&full)) != expected {
                    return Err(self.finding(format!("a solution at {point:?} has other outputs")));
                }
            }
        }
        Ok(count)
    }

    /// All checks but the enumeration.
    ///
    /// # Errors
    /// The first finding.
    pub fn check(&self, points: &[Vec<i64>]) -> Result<(), Finding> {
        self.check_honest(points)?;
        self.check_mutations(points)?;
        self.check_rank(points)?;
        self.check_removals(points)
    }
}

impl Compiled {
    /// Whether the matrices accept an assignment in which one wire of phase 1 was changed, under
    /// the challenge as it was or as the change makes it; the assignment is left as accepted.
    fn accepts(&self, mutated: &mut [Fr], wire: usize, try_it: bool) -> bool {
        // The rows around it mostly decide; the verdict is that of the whole matrices.
        let ideal = self.system.holds_around(mutated, wire) && self.system.holds(mutated);
        let Some(argument) = &self.argument else {
            return ideal && self.circuit.r1cs.is_satisfied_by(mutated);
        };
        // What the argument is taken to prove is tried in earnest for a few values.
        if !ideal && !try_it {
            return false;
        }
        if self.circuit.r1cs.is_satisfied_by(mutated) {
            return true;
        }
        argument.settle(&self.circuit, mutated);
        let real = self.circuit.r1cs.is_satisfied_by(mutated);
        debug_assert_eq!(ideal, real, "the argument proves something else");
        real
    }

    fn outputs(&self, assignment: &[Fr]) -> Vec<Fr> {
        self.outputs
            .iter()
            .map(|lc| lc.evaluate(assignment))
            .collect()
    }

    fn is_free(&self, wire: usize) -> bool {
        let step = self.circuit.labels.wire_step(wire);
        FREE.iter().any(|free| Some(free.step) == step)
    }
}

/// A field element as an integer of absolute value below 2^62, where it is one.
fn small(value: Fr) -> Option<i64> {
    let narrow = |v: Fr| match v.into_bigint().0 {
        [low, 0, 0, 0] if low < 1 << 62 => i64::try_from(low).ok(),
        _ => None,
    };
    narrow(value).or_else(|| narrow(-value).map(|v| -v))
}

/// Wrong values for a wire: near ones, special ones, powers of two and those of its neighbours.
fn candidates(honest: &[Fr], wire: usize) -> Vec<Fr> {
    let Some(&value) = honest.get(wire) else {
        return Vec::new();
    };
    let mut out = vec![
        value + Fr::ONE,
        value - Fr::ONE,
        Fr::ZERO,
        Fr::ONE,
        -Fr::ONE,
        -value,
        Fr::ONE - value,
        value.double(),
        Fr::from(255_u64),
    ];
    out.extend((1..40).map(|k| Fr::from(1_u64 << k)));
    out.extend((1..40).map(|k| value + Fr::from(1_u64 << k)));
    out.extend(honest.get(wire.saturating_sub(1)));
    out.extend(honest.get(wire + 1));
    out.retain(|v| *v != value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::{enforce_equal, product};

    fn points() -> Vec<Vec<i64>> {
        (0..4).map(|x| vec![x]).collect()
    }

    /// The harness has to find these, or its silence about the real gadgets means nothing.
    #[test]
    fn faulty_gadgets_are_found() {
        let square = |v: &[i64]| Some(vec![Fr::from(v[0] * v[0])]);

        // A hint that nothing constrains.
        let unconstrained = |cx: &mut Lowering<'_>, x: &[Num]| {
            let value = x[0].value();
            Ok(vec![cx.hint_signal("square", || Fr::from(value * value))?])
        };
        let subject = Subject::new("unconstrained", &[(0, 3)], &unconstrained, &square);
        subject.check_honest(&points()).unwrap();
        assert!(subject.check_mutations(&points()).is_err());
        assert!(subject.check_rank(&points()).is_err());
        assert!(subject.check_all_solutions(&points()).is_err());

        // Two wires that only move together: single mutations do not see it, the rank does.
        let jointly = |cx: &mut Lowering<'_>, x: &[Num]| {
            let value = x[0].value();
            let a = cx.hint_signal("a", || Fr::from(value * value - 1))?;
            let b = cx.hint_signal("b", || Fr::ONE)?;
            let sum = Signal::linear(cx, [(Fr::ONE, &a), (Fr::ONE, &b)], Fr::ZERO);
            let x = x[0].to_signal(cx);
            let truth = product(cx, "truth", &x, &x)?;
            enforce_equal(cx, "sum", sum.lc, truth.lc)?;
            Ok(vec![a])
        };
        let less = |v: &[i64]| Some(vec![Fr::from(v[0] * v[0] - 1)]);
        let subject = Subject::new("jointly", &[(0, 3)], &jointly, &less);
        subject.check_mutations(&points()).unwrap();
        assert!(subject.check_rank(&points()).is_err());

        // A root where a square was asked for: every derivative is fine, but there are two.
        let root = |cx: &mut Lowering<'_>, x: &[Num]| {
            let value = x[0].value();
            let y = cx.hint_signal("root", || Fr::from(value))?;
            let square = x[0].to_signal(cx);
            let square = product(cx, "square", &square, &square)?;
            cx.enforce("root", y.lc.clone(), y.lc.clone(), square.lc)?;
            Ok(vec![y])
        };
        let same = |v: &[i64]| Some(vec![Fr::from(v[0])]);
        let subject = Subject::new("root", &[(0, 3)], &root, &same);
        subject.check_rank(&[vec![1], vec![2]]).unwrap();
        assert!(subject.check_mutations(&points()).is_err());
        assert!(subject.check_all_solutions(&points()).is_err());

        // A constraint that says nothing new.
        let redundant = |cx: &mut Lowering<'_>, x: &[Num]| {
            let x = x[0].to_signal(cx);
            let y = product(cx, "square", &x, &x)?;
            cx.enforce("again", x.lc.clone(), x.lc, y.lc.clone())?;
            Ok(vec![y])
        };
        let subject = Subject::new("redundant", &[(0, 3)], &redundant, &square);
        subject.check_mutations(&points()).unwrap();
        subject.check_rank(&points()).unwrap();
        assert!(subject.check_removals(&points()).is_err());

        // A wrong function, and a witness where none may be.
        let wrong = |v: &[i64]| (v[0] != 2).then(|| vec![Fr::from(v[0] * v[0])]);
        let honest = |cx: &mut Lowering<'_>, x: &[Num]| {
            let x = x[0].to_signal(cx);
            Ok(vec![product(cx, "square", &x, &x)?])
        };
        let subject = Subject::new("honest", &[(0, 3)], &honest, &wrong);
        assert!(subject.check_honest(&points()).is_err());
        assert!(subject.check_all_solutions(&points()).is_err());
        Subject::new("honest", &[(0, 3)], &honest, &square)
            .check(&points())
            .unwrap();
    }
}
