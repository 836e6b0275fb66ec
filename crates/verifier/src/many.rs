//! Many receipts of one package, with their proofs verified as one batch.

use crate::batch::BatchItem;
use crate::receipt::{Expectations, TrustedPackage, Unproven, Verdict};
use crate::rejection::Rejection;

impl TrustedPackage {
    /// Verifies many receipts: for each, in order, what [`verify`](Self::verify) answers for it
    /// alone, at a fraction of the price. The proofs of all receipts that pass every other check
    /// form one batch, whose weights are drawn from a hash of the key and of every statement and
    /// proof in it ([`PreparedKey::verify_batch`](crate::PreparedKey::verify_batch)); false proofs
    /// are found one by one and do not spoil the others.
    pub fn verify_many<E: AsRef<[u8]> + Sync>(
        &self,
        envelopes: &[E],
        expectations: &Expectations,
    ) -> Vec<Result<Verdict, Rejection>> {
        let mut verdicts = self.admit_many(envelopes, expectations);
        let batch: Vec<BatchItem<'_>> = verdicts
            .iter()
            .flatten()
            .map(|receipt| BatchItem {
                public_inputs: &receipt.claimed.public_inputs,
                proof: &receipt.proof,
            })
            .collect();
        let culprits = self.key().verify_batch(&batch).err().unwrap_or_default();
        drop(batch);
        let mut culprits = culprits.into_iter().peekable();
        let mut position = 0_usize;
        for verdict in &mut verdicts {
            if verdict.is_err() {
                continue;
            }
            if let Some(culprit) = culprits.next_if(|culprit| culprit.index == position) {
                *verdict = Err(culprit.rejection);
            }
            position = position.saturating_add(1);
        }
        verdicts
            .into_iter()
            .map(|verdict| verdict.map(|receipt| receipt.claimed))
            .collect()
    }

    #[cfg(feature = "parallel")]
    fn admit_many<E: AsRef<[u8]> + Sync>(
        &self,
        envelopes: &[E],
        expectations: &Expectations,
    ) -> Vec<Result<Unproven, Rejection>> {
        use rayon::prelude::*;
        envelopes
            .par_iter()
            .map(|envelope| self.admit(envelope.as_ref(), expectations))
            .collect()
    }

    #[cfg(not(feature = "parallel"))]
    fn admit_many<E: AsRef<[u8]> + Sync>(
        &self,
        envelopes: &[E],
        expectations: &Expectations,
    ) -> Vec<Result<Unproven, Rejection>> {
        envelopes
            .iter()
            .map(|envelope| self.admit(envelope.as_ref(), expectations))
            .collect()
    }
}
