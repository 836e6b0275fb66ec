//! Every node by itself, in its real shape.

use proofmark_ops::Ranges;

use crate::error::ValidationError;
use crate::inputs::{Pattern, Slot};
use crate::pair::{Compile, Pair, Subject, elements};
use crate::part::Whole;

/// Random vectors of one node, beside the extreme ones.
const RANDOM: u64 = 3;

/// What was run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Runs {
    pub(crate) runs: u64,
    /// Output elements.
    pub(crate) compared: u64,
}

/// Runs one node on extreme and random inputs out of its inputs' proven ranges.
pub(crate) fn check(
    whole: &Whole<'_>,
    ranges: &Ranges,
    index: usize,
    seed: u32,
    compile: Compile<'_>,
) -> Result<Runs, ValidationError> {
    let Some(node) = whole.node(index) else {
        return Ok(Runs::default());
    };
    let unchecked = || ValidationError::Unchecked {
        node: node.name.clone(),
        reason: "the type or range of one of its tensors is not known".to_owned(),
    };
    let subject = Subject {
        node: &node.name,
        op_type: &node.op_type,
    };
    let part = whole.alone(index, compile).ok_or_else(unchecked)?;
    let pair = Pair::part(subject, &part, compile)?;
    let slots: Option<Vec<Slot>> = pair
        .plan
        .inputs()
        .iter()
        .map(|info| Some(Slot::proven(&info.fact, ranges.get(&info.name)?)))
        .collect();
    let slots = slots.ok_or_else(unchecked)?;
    let mut done = Runs::default();
    for pattern in Pattern::list(RANDOM) {
        let inputs = pattern.tensors(&slots, seed, index as u64 + 1);
        let inputs = inputs.map_err(proofmark_ops::OpsError::from)?;
        let outputs = pair
            .run(&inputs)?
            .map_err(|difference| difference.error(&subject, pattern.words(seed)))?;
        done.runs += 1;
        done.compared += elements(&outputs);
    }
    Ok(done)
}
