//! `Lowering`: the only door through which wires and constraints come into being.
//!
//! One and the same code path runs in two modes. In *shape* mode it emits constraints and computes
//! no value; in *witness* mode it computes values and emits nothing. The sequence of wires is the
//! same in both, because what is allocated may depend on the model only, never on a value.
//!
//! Lowering is two-phase for the committed backend: wires, then one commitment to all of them and
//! a challenge drawn from it, then further wires. Gadgets live in the first phase; what they look
//! up and range-check ([`Lowering::lookup`], [`Lowering::range`]) is kept until
//! [`Lowering::close`] ends it, since only then is known which tables pay. In witness mode the
//! challenge comes from a [`Challenger`], to which the committed values are handed in order.

use std::collections::HashMap;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, One};

use crate::circuit::{Backend, Circuit};
use crate::error::LowerError;
use crate::lc::{Lc, Wire};
use crate::logup::requests::{Label, LookupRow, RangeRequest, Requests};
use crate::logup::table::LookupTable;
use crate::num::{Num, Signal, enforce_equal};
use crate::r1cs::R1cs;

/// Draws the challenge from the values committed to (in witness mode).
pub trait Challenger {
    /// The challenge for these values: those of the public inputs, the constant 1 not counted, and
    /// those committed to, in the order of the circuit's committed wires. Each must bind it.
    ///
    /// # Errors
    /// [`LowerError`] when the backend has no challenge.
    fn challenge(&mut self, public: &[Fr], committed: &[Fr]) -> Result<Fr, LowerError>;
}

/// The challenger of the plain backend: there is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoChallenge;

impl Challenger for NoChallenge {
    fn challenge(&mut self, _public: &[Fr], _committed: &[Fr]) -> Result<Fr, LowerError> {
        Err(LowerError::NoChallenge {
            path: "challenge".to_owned(),
        })
    }
}

/// Paths of wires and constraints: `scope/step[i]`.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    scopes: Vec<String>,
    wires: Vec<(u32, &'static str)>,
    constraints: Vec<(u32, &'static str)>,
}

impl Labels {
    /// Path of a constraint, for messages.
    pub fn constraint(&self, index: usize) -> String {
        Self::path(&self.scopes, &self.constraints, index)
    }

    /// Path of a wire, for messages.
    pub fn wire(&self, index: usize) -> String {
        Self::path(&self.scopes, &self.wires, index)
    }

    fn path(scopes: &[String], labels: &[(u32, &'static str)], index: usize) -> String {
        let name = |scope: u32| scopes.get(scope as usize).map_or("", String::as_str);
        match (labels.get(index), labels.get(..index)) {
            (Some(&(scope, step)), Some(before)) => {
                // The running number tells repetitions of one step in one scope apart.
                let nth = before
                    .iter()
                    .filter(|&&(other, label)| {
                        label == step && (other == scope || name(other) == name(scope))
                    })
                    .count();
                format!("{}/{step}[{nth}]", name(scope))
            }
            _ => format!("#{index}"),
        }
    }

    /// How many constraints were made in the scopes of these numbers, whenever they were emitted.
    pub fn constraints_in(&self, scopes: core::ops::Range<usize>) -> usize {
        self.constraints
            .iter()
            .filter(|(scope, _)| scopes.contains(&(*scope as usize)))
            .count()
    }

    /// The step under which a wire was made, without its scope.
    pub fn wire_step(&self, index: usize) -> Option<&'static str> {
        self.wires.get(index).map(|&(_, step)| step)
    }

    /// The step under which a constraint was emitted, without its scope.
    pub fn constraint_step(&self, index: usize) -> Option<&'static str> {
        self.constraints.get(index).map(|&(_, step)| step)
    }
}

enum Mode<'a> {
    Shape {
        r1cs: Box<R1cs>,
        labels: Labels,
        scope_id: u32,
    },
    Witness {
        values: Vec<Fr>,
        challenger: &'a mut dyn Challenger,
    },
}

/// The lowering of one circuit. See the module documentation.
pub struct Lowering<'a> {
    mode: Mode<'a>,
    backend: Backend,
    num_public: usize,
    next_wire: u32,
    scope: Vec<String>,
    committed: Vec<Wire>,
    challenges: Vec<Wire>,
    inverses: HashMap<i64, Fr>,
    pub(crate) requests: Requests,
    closed: bool,
    forced: Forced,
}

/// Choices that tests take over from the cost model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forced {
    /// Widths of the range tables.
    pub widths: Option<Vec<u32>>,
    /// Whether clamps are proven by pairs, as far as they can be, or not.
    pub pairs: Option<bool>,
}

impl<'a> Lowering<'a> {
    /// Shape mode: emits the constraints of a circuit with `num_public` public inputs.
    ///
    /// # Errors
    /// [`LowerError::TooLarge`] when there are more than 2^32 wires.
    pub fn shape(backend: Backend, num_public: usize) -> Result<Self, LowerError> {
        let mut labels = Labels {
            scopes: vec!["public".to_owned(), String::new()],
            ..Labels::default()
        };
        labels.wires = vec![(0, "one")];
        labels.wires.resize(num_public + 1, (0, "input"));
        let r1cs = Box::new(R1cs {
            num_public,
            ..R1cs::default()
        });
        Self::new(
            Mode::Shape {
                r1cs,
                labels,
                scope_id: 1,
            },
            backend,
            num_public,
        )
    }

    /// Witness mode: computes the values of all wires, given those of the public inputs.
    ///
    /// # Errors
    /// [`LowerError::TooLarge`] when there are more than 2^32 wires.
    pub fn witness(
        backend: Backend,
        public: &[Fr],
        challenger: &'a mut dyn Challenger,
    ) -> Result<Self, LowerError> {
        let mut values = Vec::with_capacity(public.len() + 1);
        values.push(Fr::one());
        values.extend_from_slice(public);
        Self::new(Mode::Witness { values, challenger }, backend, public.len())
    }

    fn new(mode: Mode<'a>, backend: Backend, num_public: usize) -> Result<Self, LowerError> {
        Ok(Self {
            mode,
            backend,
            num_public,
            next_wire: u32::try_from(num_public + 1).map_err(|_| LowerError::TooLarge)?,
            scope: Vec::new(),
            committed: Vec::new(),
            challenges: Vec::new(),
            inverses: HashMap::new(),
            requests: Requests::default(),
            closed: false,
            forced: Forced::default(),
        })
    }

    /// Whether constraints are being emitted (shape mode). Where it is false, linear combinations
    /// are not built at all.
    pub const fn emits(&self) -> bool {
        matches!(self.mode, Mode::Shape { .. })
    }

    /// Constraints emitted so far; 0 in witness mode. What the committed backend puts off until
    /// [`close`](Self::close) is not among them: [`Labels::constraints_in`] counts that.
    pub fn num_constraints(&self) -> usize {
        match &self.mode {
            Mode::Shape { r1cs, .. } => r1cs.num_constraints(),
            Mode::Witness { .. } => 0,
        }
    }

    /// Scopes entered so far; 0 in witness mode. With [`Labels::constraints_in`], what was made
    /// between two points.
    pub const fn num_scopes(&self) -> usize {
        match &self.mode {
            Mode::Shape { labels, .. } => labels.scopes.len(),
            Mode::Witness { .. } => 0,
        }
    }

    /// The proof system lowered for.
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// Runs `body` inside a named scope, so that everything it makes carries the path.
    ///
    /// # Errors
    /// Those of `body`.
    pub fn scoped<T, E>(
        &mut self,
        name: impl FnOnce() -> String,
        body: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.scope.push(name());
        let outer = self.enter_scope();
        let result = body(self);
        self.scope.pop();
        if let Mode::Shape { scope_id, .. } = &mut self.mode {
            *scope_id = outer;
        }
        result
    }

    /// Registers the current scope and returns the number of the one before.
    fn enter_scope(&mut self) -> u32 {
        match &mut self.mode {
            Mode::Shape {
                labels, scope_id, ..
            } => {
                labels.scopes.push(self.scope.join("/"));
                let number = u32::try_from(labels.scopes.len() - 1).unwrap_or(u32::MAX);
                core::mem::replace(scope_id, number)
            }
            Mode::Witness { .. } => 0,
        }
    }

    /// The current path, for errors.
    pub fn path(&self, step: &str) -> String {
        format!("{}/{step}", self.scope.join("/"))
    }

    /// The `index`-th public input (0-based, the constant 1 not counted).
    ///
    /// # Errors
    /// [`LowerError::PublicInputCount`] when there is no such input.
    pub fn public(&self, index: usize) -> Result<Signal, LowerError> {
        let missing = LowerError::PublicInputCount {
            expected: index + 1,
            got: self.num_public,
        };
        if index >= self.num_public {
            return Err(missing);
        }
        let wire = Wire(u32::try_from(index + 1).map_err(|_| LowerError::TooLarge)?);
        Ok(self.signal(wire))
    }

    fn signal(&self, wire: Wire) -> Signal {
        match &self.mode {
            Mode::Shape { .. } => Signal {
                lc: Lc::wire(wire),
                value: Fr::ZERO,
            },
            Mode::Witness { values, .. } => Signal {
                lc: Lc::zero(),
                value: values.get(wire.index()).copied().unwrap_or_default(),
            },
        }
    }

    /// Allocates a private wire and puts an **unconstrained** value in it (the closure runs in
    /// witness mode only). This is the only way a prover's choice enters a circuit; every caller
    /// must constrain the wire, and says how beside the call.
    ///
    /// # Errors
    /// [`LowerError::TooLarge`] when there are more than 2^32 wires; [`LowerError::Closed`] after
    /// [`close`](Self::close).
    pub fn hint(
        &mut self,
        step: &'static str,
        value: impl FnOnce() -> Fr,
    ) -> Result<Wire, LowerError> {
        if self.closed {
            return Err(self.is_closed(step));
        }
        let wire = Wire(self.next_wire);
        self.next_wire = self.next_wire.checked_add(1).ok_or(LowerError::TooLarge)?;
        match &mut self.mode {
            Mode::Shape {
                labels, scope_id, ..
            } => labels.wires.push((*scope_id, step)),
            Mode::Witness { values, .. } => values.push(value()),
        }
        Ok(wire)
    }

    /// A [`hint`](Self::hint) as a field element.
    ///
    /// # Errors
    /// Those of [`hint`](Self::hint).
    pub fn hint_signal(
        &mut self,
        step: &'static str,
        value: impl FnOnce() -> Fr,
    ) -> Result<Signal, LowerError> {
        let wire = self.hint(step, value)?;
        Ok(self.signal(wire))
    }

    /// Emits the constraint `a · b = c` (nothing in witness mode).
    ///
    /// # Errors
    /// [`LowerError::TooLarge`] when there are more than 2^32 terms.
    pub fn enforce(&mut self, step: &'static str, a: Lc, b: Lc, c: Lc) -> Result<(), LowerError> {
        if let Mode::Shape {
            r1cs,
            labels,
            scope_id,
        } = &mut self.mode
        {
            r1cs.a.push_row(a)?;
            r1cs.b.push_row(b)?;
            r1cs.c.push_row(c)?;
            labels.constraints.push((*scope_id, step));
        }
        Ok(())
    }

    fn is_closed(&self, step: &str) -> LowerError {
        LowerError::Closed {
            path: self.path(step),
        }
    }

    /// That `value` is one of the keys of `table`. One row, one dense wire and one inverse after
    /// the challenge, none of them before; a table costs three dense scalars an entry, once.
    ///
    /// What is proven is that the field element is a key: `value`'s interval is used in no way,
    /// and a combination with fractions is no integer for being looked up.
    ///
    /// # Errors
    /// [`LowerError::NoChallenge`] with the plain backend, [`LowerError::Closed`] after
    /// [`close`](Self::close), in witness mode [`LowerError::NotInTable`].
    pub fn lookup(
        &mut self,
        step: &'static str,
        table: &LookupTable,
        value: &Num,
    ) -> Result<(), LowerError> {
        self.lookup_shifted(step, table, value, 0)
    }

    /// As [`lookup`](Self::lookup), for the field element `value / 2^shift` (`shift` up to 62).
    ///
    /// # Errors
    /// Those of [`lookup`](Self::lookup); in witness mode also where the division leaves a rest.
    pub fn lookup_shifted(
        &mut self,
        step: &'static str,
        table: &LookupTable,
        value: &Num,
        shift: u32,
    ) -> Result<(), LowerError> {
        self.may_ask(step)?;
        let missing = |cx: &Self| LowerError::NotInTable {
            path: cx.path(step),
            value: value.value(),
        };
        if shift > 62 {
            return Err(missing(self));
        }
        let number = self.requests.table(table);
        let label = self.label(step);
        let kept = if self.emits() {
            Some(self.requests.keep(value.clone())?)
        } else {
            None
        };
        let Some(used) = self.requests.tables.get_mut(number) else {
            return Err(missing(self));
        };
        if let Some(value) = kept {
            used.rows.push(LookupRow {
                label,
                value,
                shift,
            });
            return Ok(());
        }
        let quotient = value.value() >> shift;
        let exact = quotient << shift == value.value();
        let Some(place) = used.table.place(quotient).filter(|_| exact) else {
            return Err(missing(self));
        };
        if used.counts.is_empty() {
            used.counts = vec![0; used.table.len()];
        }
        if let Some(count) = used.counts.get_mut(place as usize) {
            *count += 1;
        }
        used.places.push(place);
        Ok(())
    }

    /// That `0 ≤ value < 2^bits` as an integer, for `bits` up to 62: at [`close`](Self::close) it
    /// becomes lookups in range tables and bits, as is cheapest for the whole circuit. `value` may
    /// be any field element before; its interval is used in no way, and it stands in one row.
    ///
    /// # Errors
    /// Those of [`lookup`](Self::lookup), [`LowerError::IntervalUnfit`] for more bits, in witness
    /// mode [`LowerError::ValueOutsideInterval`].
    pub fn range(&mut self, step: &'static str, value: &Num, bits: u32) -> Result<(), LowerError> {
        self.may_ask(step)?;
        if bits > 62 {
            return Err(LowerError::IntervalUnfit {
                path: self.path(step),
                lo: value.lo(),
                hi: value.hi(),
                bits,
            });
        }
        let hi = (1_i64 << bits) - 1;
        if !self.emits() && !(0..=hi).contains(&value.value()) {
            return Err(LowerError::ValueOutsideInterval {
                path: self.path(step),
                value: value.value(),
                lo: 0,
                hi,
            });
        }
        if bits == 0 {
            return enforce_equal(self, step, value.lc().clone(), Lc::zero());
        }
        let label = self.label(step);
        let x = self.requests.keep(value.clone())?;
        self.requests.ranges.push(RangeRequest { label, x, bits });
        Ok(())
    }

    fn may_ask(&self, step: &str) -> Result<(), LowerError> {
        if self.backend == Backend::Plain {
            return Err(LowerError::NoChallenge {
                path: self.path(step),
            });
        }
        if self.closed {
            return Err(self.is_closed(step));
        }
        Ok(())
    }

    pub(crate) const fn label(&self, step: &'static str) -> Label {
        match &self.mode {
            Mode::Shape { scope_id, .. } => (*scope_id, step),
            Mode::Witness { .. } => (0, step),
        }
    }

    /// Runs `body` as if where the label comes from.
    pub(crate) fn relabelled<T>(
        &mut self,
        label: Label,
        body: impl FnOnce(&mut Self, &'static str) -> Result<T, LowerError>,
    ) -> Result<T, LowerError> {
        let outer = self.enter(label.0);
        let result = body(self, label.1);
        self.enter(outer);
        result
    }

    const fn enter(&mut self, scope: u32) -> u32 {
        match &mut self.mode {
            Mode::Shape { scope_id, .. } => core::mem::replace(scope_id, scope),
            Mode::Witness { .. } => 0,
        }
    }

    /// Takes choices from the cost model, for tests: which tables there are never matters to what
    /// is proven.
    pub fn force(&mut self, forced: Forced) {
        self.forced = forced;
    }

    pub(crate) const fn forced_pairs(&self) -> Option<bool> {
        self.forced.pairs
    }

    pub(crate) fn forced_widths(&self) -> Option<Vec<u32>> {
        self.forced.widths.clone()
    }

    /// Ends the first phase: once, after the last gadget. With the committed backend everything
    /// asked for becomes wires, every private wire is committed to, the challenge is drawn and the
    /// lookup argument emitted. Nothing happens with the plain backend. Afterwards no wire can be
    /// made.
    ///
    /// # Errors
    /// [`LowerError::SecondCommitment`] the second time; in witness mode those of the
    /// [`Challenger`], and [`LowerError::ChallengePole`].
    pub fn close(&mut self) -> Result<(), LowerError> {
        if self.closed {
            return Err(LowerError::SecondCommitment {
                path: self.path("close"),
            });
        }
        if self.backend == Backend::Committed {
            self.scoped(|| "lookup".to_owned(), crate::logup::close)?;
        }
        self.closed = true;
        Ok(())
    }

    /// Commits to every private wire there is and returns the challenge drawn from the
    /// commitment. At most once a circuit.
    pub(crate) fn commit(&mut self) -> Result<Signal, LowerError> {
        if !self.challenges.is_empty() {
            return Err(LowerError::SecondCommitment {
                path: self.path("commit"),
            });
        }
        let first = u32::try_from(self.num_public + 1).map_err(|_| LowerError::TooLarge)?;
        self.committed = (first..self.next_wire).map(Wire).collect();
        let challenge = match &mut self.mode {
            Mode::Shape { .. } => Fr::ZERO,
            Mode::Witness { values, challenger } => {
                let public = values.get(1..first as usize).unwrap_or_default();
                let committed = values.get(first as usize..).unwrap_or_default();
                challenger.challenge(public, committed)?
            }
        };
        let wire = self.hint("challenge", || challenge)?;
        self.challenges.push(wire);
        Ok(self.signal(wire))
    }

    /// The inverse of a small non-zero integer, 0 for 0; computed once a value.
    pub fn small_inverse(&mut self, value: i64) -> Fr {
        *self
            .inverses
            .entry(value)
            .or_insert_with(|| Fr::from(value).inverse().unwrap_or_default())
    }

    /// Whether nothing is left that was asked for and not emitted.
    const fn is_complete(&self) -> bool {
        self.closed || matches!(self.backend, Backend::Plain)
    }

    /// Ends shape mode: the circuit. `None` in witness mode, and with the committed backend before
    /// [`close`](Self::close).
    pub fn into_circuit(self, epoch: u32, layout: Vec<u8>) -> Option<Circuit> {
        if !self.is_complete() {
            return None;
        }
        let Mode::Shape {
            mut r1cs, labels, ..
        } = self.mode
        else {
            return None;
        };
        r1cs.num_wires = self.next_wire as usize;
        r1cs.seal();
        Some(Circuit {
            backend: self.backend,
            epoch,
            layout,
            committed: self.committed,
            challenges: self.challenges,
            r1cs: *r1cs,
            labels,
        })
    }

    /// Ends witness mode: the full assignment, wire by wire. `None` in shape mode, and with the
    /// committed backend before [`close`](Self::close).
    pub fn into_assignment(self) -> Option<Vec<Fr>> {
        if !self.is_complete() {
            return None;
        }
        match self.mode {
            Mode::Witness { values, .. } => Some(values),
            Mode::Shape { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_scope_step_and_repetition() {
        let mut cx = Lowering::shape(Backend::Plain, 2).unwrap();
        for name in ["conv", "pool", "conv"] {
            cx.scoped(
                || name.to_owned(),
                |cx| {
                    let wire = cx.hint("bit", || Fr::ZERO)?;
                    cx.scoped(
                        || "inner".to_owned(),
                        |cx| cx.hint("bit", || Fr::ZERO).map(drop),
                    )?;
                    cx.enforce("bit", Lc::wire(wire), Lc::wire(wire), Lc::wire(wire))
                },
            )
            .unwrap();
        }
        cx.hint("last", || Fr::ZERO).unwrap();
        let circuit = cx.into_circuit(0, Vec::new()).unwrap();
        let wires: Vec<String> = (0..circuit.r1cs.num_wires)
            .map(|w| circuit.labels.wire(w))
            .collect();
        assert_eq!(
            wires,
            [
                "public/one[0]",
                "public/input[0]",
                "public/input[1]",
                "conv/bit[0]",
                "conv/inner/bit[0]",
                "pool/bit[0]",
                "pool/inner/bit[0]",
                "conv/bit[1]",
                "conv/inner/bit[1]",
                "/last[0]",
            ]
        );
        let rows: Vec<String> = (0..4).map(|r| circuit.labels.constraint(r)).collect();
        assert_eq!(rows, ["conv/bit[0]", "pool/bit[0]", "conv/bit[1]", "#3"]);
    }

    #[test]
    fn witness_mode_emits_nothing_and_shape_mode_computes_nothing() {
        let mut challenger = NoChallenge;
        let public = [Fr::from(4_u64)];
        let mut cx = Lowering::witness(Backend::Plain, &public, &mut challenger).unwrap();
        assert_eq!(cx.public(0).unwrap().value, public[0]);
        assert_eq!(cx.public(1).unwrap_err().code(), "public-input-count");
        cx.hint("x", || Fr::from(9_u64)).unwrap();
        assert!(Num::constant(&cx, 3).lc().terms().is_empty());
        let values = [Fr::one(), Fr::from(4_u64), Fr::from(9_u64)];
        assert_eq!(cx.into_assignment().unwrap(), values);

        let mut cx = Lowering::shape(Backend::Plain, 1).unwrap();
        cx.hint("x", || unreachable!("no value in shape mode"))
            .unwrap();
        assert!(cx.into_assignment().is_none());
    }

    #[test]
    fn intervals_follow_the_weights_and_stay_below_63_bits() {
        let cx = Lowering::shape(Backend::Plain, 2).unwrap();
        let x = Num::claimed(&cx, Wire(1), 0, -3, 10);
        let y = Num::claimed(&cx, Wire(2), 0, 0, 7);
        let sum = Num::linear(&cx, [(-2, &x), (5, &y), (0, &x)], 4).unwrap();
        assert_eq!((sum.lo(), sum.hi()), (-20 + 4, 6 + 35 + 4));
        let wide = Num::claimed(&cx, Wire(1), 0, 0, 1 << 40);
        let error = Num::linear(&cx, [(1 << 22, &wide)], 0).unwrap_err();
        assert_eq!(error.code(), "interval-too-wide");
        let error = Num::linear(&cx, [(i64::MIN, &wide)], i64::MIN).unwrap_err();
        assert_eq!(error.code(), "interval-too-wide");
    }
}
