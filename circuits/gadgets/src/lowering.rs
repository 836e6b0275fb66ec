//! `Lowering`: the only door through which wires and constraints come into being.
//!
//! One and the same code path runs in two modes. In *shape* mode it emits constraints and computes
//! no value; in *witness* mode it computes values and emits nothing. The sequence of wires is the
//! same in both, because what is allocated may depend on the model only, never on a value.
//!
//! Lowering is two-phase: wires, then (for the committed backend) one commitment to some of them
//! and a challenge drawn from it, then further wires. In witness mode the challenge comes from a
//! [`Challenger`], to which the committed values are handed in order.

use std::collections::HashMap;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, One};

use crate::circuit::{Backend, Circuit};
use crate::error::LowerError;
use crate::lc::{Lc, Wire};
use crate::num::Signal;
use crate::r1cs::R1cs;

/// Draws the challenge from the values committed to (in witness mode).
pub trait Challenger {
    /// The challenge for these committed values, in the order of the circuit's committed wires.
    ///
    /// # Errors
    /// [`LowerError`] when the backend has no challenge.
    fn challenge(&mut self, committed: &[Fr]) -> Result<Fr, LowerError>;
}

/// The challenger of the plain backend: there is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoChallenge;

impl Challenger for NoChallenge {
    fn challenge(&mut self, _committed: &[Fr]) -> Result<Fr, LowerError> {
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
        })
    }

    /// Whether constraints are being emitted (shape mode). Where it is false, linear combinations
    /// are not built at all.
    pub const fn emits(&self) -> bool {
        matches!(self.mode, Mode::Shape { .. })
    }

    /// Constraints emitted so far; 0 in witness mode.
    pub fn num_constraints(&self) -> usize {
        match &self.mode {
            Mode::Shape { r1cs, .. } => r1cs.num_constraints(),
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
    /// [`LowerError::TooLarge`] when there are more than 2^32 wires.
    pub fn hint(
        &mut self,
        step: &'static str,
        value: impl FnOnce() -> Fr,
    ) -> Result<Wire, LowerError> {
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

    /// Commits to `wires` and returns the challenge drawn from the commitment. At most once a
    /// circuit; every wire that the challenge must not be chosen after has to be among `wires`,
    /// and with them one wire of fresh randomness, so that the commitment hides.
    ///
    /// # Errors
    /// [`LowerError::SecondCommitment`] the second time, [`LowerError::NoChallenge`] with the
    /// plain backend, [`LowerError::BadCommitment`] for a wire that is public, repeated or not
    /// made yet.
    pub fn commit(&mut self, wires: &[Wire]) -> Result<Signal, LowerError> {
        if self.backend == Backend::Plain {
            return Err(LowerError::NoChallenge {
                path: self.path("commit"),
            });
        }
        if !self.challenges.is_empty() {
            return Err(LowerError::SecondCommitment {
                path: self.path("commit"),
            });
        }
        let mut sorted = wires.to_vec();
        sorted.sort_unstable();
        let bad = if sorted
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if a == b))
        {
            Some("a wire is committed to twice")
        } else if sorted.first().is_some_and(|w| w.index() <= self.num_public) {
            Some("a public wire is committed to")
        } else if sorted.last().is_none_or(|w| w.0 >= self.next_wire) {
            Some("no wire, or one that does not exist, is committed to")
        } else {
            None
        };
        if let Some(reason) = bad {
            return Err(LowerError::BadCommitment {
                path: self.path("commit"),
                reason: reason.to_owned(),
            });
        }
        let challenge = match &mut self.mode {
            Mode::Shape { .. } => Fr::ZERO,
            Mode::Witness { values, challenger } => {
                let committed: Vec<Fr> = wires
                    .iter()
                    .map(|w| values.get(w.index()).copied().unwrap_or_default())
                    .collect();
                challenger.challenge(&committed)?
            }
        };
        let wire = self.hint("challenge", || challenge)?;
        self.committed = wires.to_vec();
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

    /// Ends shape mode: the circuit. `None` in witness mode.
    pub fn into_circuit(self, epoch: u32, layout: Vec<u8>) -> Option<Circuit> {
        let Mode::Shape {
            mut r1cs, labels, ..
        } = self.mode
        else {
            return None;
        };
        r1cs.num_wires = self.next_wire as usize;
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

    /// Ends witness mode: the full assignment, wire by wire. `None` in shape mode.
    pub fn into_assignment(self) -> Option<Vec<Fr>> {
        match self.mode {
            Mode::Witness { values, .. } => Some(values),
            Mode::Shape { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Num;

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
