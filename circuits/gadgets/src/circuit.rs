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

impl Circuit {
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
