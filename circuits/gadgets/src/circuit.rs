//! A compiled circuit: the constraint system, what is public in it, and its digest.

use std::io::{self, Write};

use proofmark_types::Digest;
use proofmark_types::digest::DigestStream;

use crate::lc::Wire;
use crate::lowering::Labels;
use crate::r1cs::R1cs;

/// Which proof system a circuit is lowered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// Groth16 over BN254 without a commitment: ranges by bit decomposition.
    Plain,
    /// Groth16 with one commitment: ranges and tables by LogUp.
    Committed,
}

impl Backend {
    /// Stable name, part of the circuit digest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "groth16-bn254",
            Self::Committed => "groth16-bn254-logup",
        }
    }
}

/// A circuit, compiled deterministically from an integer model and a visibility policy.
#[derive(Debug, Clone)]
pub struct Circuit {
    /// Proof system it is lowered for.
    pub backend: Backend,
    /// Version of the compiler's output: two epochs may lower one model differently.
    pub epoch: u32,
    /// Canonical encoding of the public layout (what each public input means).
    pub layout: Vec<u8>,
    /// Wires committed to before the challenge is drawn; empty for [`Backend::Plain`].
    pub committed: Vec<Wire>,
    /// Wires that carry challenges; empty for [`Backend::Plain`].
    pub challenges: Vec<Wire>,
    /// The constraints.
    pub r1cs: R1cs,
    /// Path of each wire and constraint, for people; not part of the digest.
    pub labels: Labels,
}

/// What decides about a circuit's proving time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Constraints: each has a value of full size in the h query.
    pub constraints: usize,
    /// Wires with values of full size: inverses, quotients of lookup tables, the challenge, the
    /// states of a hash. Each is in two queries of the first group.
    pub dense_wires: usize,
    /// All other private wires: bits and small integers.
    pub small_wires: usize,
}

impl Estimate {
    /// Scalars of full size in the multi-scalar multiplications of the first group, which take
    /// most of a proof's time.
    pub const fn dense_scalars(&self) -> usize {
        self.constraints + 2 * self.dense_wires
    }
}

/// Steps whose wires carry values of full size before any challenge.
const DENSE_STEPS: [&str; 3] = ["requantize-inverse", "is-equal-inverse", "poseidon"];

impl Circuit {
    /// What a proof costs, counted from the wires; for choosing between backends.
    pub fn estimate(&self) -> Estimate {
        let private = self.r1cs.num_public + 1..self.r1cs.num_wires;
        let challenge = self
            .challenges
            .first()
            .map_or(self.r1cs.num_wires, |wire| wire.index());
        let is_dense = |wire: usize| {
            wire >= challenge
                || self
                    .labels
                    .wire_step(wire)
                    .is_some_and(|step| DENSE_STEPS.iter().any(|dense| step.starts_with(dense)))
        };
        let wires = private.len();
        let dense_wires = private.filter(|&wire| is_dense(wire)).count();
        Estimate {
            constraints: self.r1cs.num_constraints(),
            dense_wires,
            small_wires: wires - dense_wires,
        }
    }

    /// SHA-256 of a versioned header followed by the canonical `.r1cs` bytes, hashed as a stream.
    ///
    /// The header is: `"proofmark/circuit/v1\0"`; backend name (u32 LE length, bytes); epoch
    /// (u32 LE); public layout (u64 LE length, bytes); committed wires and challenge wires (u32
    /// LE count, u32 LE each).
    pub fn digest(&self) -> Digest {
        let mut sink = HashWriter(DigestStream::new());
        // Writing into a hash does not fail.
        let written = self.write_header(&mut sink).and_then(|()| {
            let mut buffered = io::BufWriter::with_capacity(1 << 16, &mut sink);
            self.r1cs.write_iden3(&mut buffered)?;
            buffered.flush()
        });
        debug_assert!(written.is_ok());
        sink.0.finish()
    }

    fn write_header(&self, out: &mut impl Write) -> io::Result<()> {
        let too_large = |_| io::Error::new(io::ErrorKind::InvalidInput, "header too large");
        out.write_all(b"proofmark/circuit/v1\0")?;
        let name = self.backend.name().as_bytes();
        out.write_all(&u32::try_from(name.len()).map_err(too_large)?.to_le_bytes())?;
        out.write_all(name)?;
        out.write_all(&self.epoch.to_le_bytes())?;
        out.write_all(&(self.layout.len() as u64).to_le_bytes())?;
        out.write_all(&self.layout)?;
        for wires in [&self.committed, &self.challenges] {
            out.write_all(&u32::try_from(wires.len()).map_err(too_large)?.to_le_bytes())?;
            for wire in wires {
                out.write_all(&wire.0.to_le_bytes())?;
            }
        }
        Ok(())
    }
}

struct HashWriter(DigestStream);

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lc::Lc;
    use crate::lowering::Lowering;
    use ark_bn254::Fr;

    fn circuit(coefficient: u64) -> Circuit {
        let mut cx = Lowering::shape(Backend::Committed, 1).unwrap();
        let x = cx.hint("x", Fr::default).unwrap();
        let mut a = Lc::zero();
        a.push(x, Fr::from(coefficient));
        cx.enforce("c", a, Lc::wire(x), Lc::wire(Wire(1))).unwrap();
        cx.close().unwrap();
        cx.into_circuit(3, b"layout".to_vec()).unwrap()
    }

    #[test]
    fn the_digest_covers_header_and_constraints() {
        let base = circuit(5);
        assert_eq!(base.digest(), circuit(5).digest());
        let mut others = vec![circuit(6); 6];
        others[1..].fill(base.clone());
        others[1].backend = Backend::Plain;
        others[2].epoch += 1;
        others[3].layout.push(0);
        others[4].committed.clear();
        others[5].challenges.clear();
        let mut digests: Vec<_> = others.iter().map(Circuit::digest).collect();
        digests.push(base.digest());
        for (at, digest) in digests.iter().enumerate() {
            assert!(!digests[..at].contains(digest), "variant {at}");
        }
        // Names are for people and stay out.
        let mut renamed = base.clone();
        renamed.labels = Labels::default();
        assert_eq!(renamed.digest(), base.digest());
    }
}
