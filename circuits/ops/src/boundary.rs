//! Where the statement meets the circuit: public inputs become tensors, tensors become public
//! inputs, as the public layout says.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use proofmark_gadgets::limbs::ranged_wire;
use proofmark_gadgets::num::{enforce_equal, product};
use proofmark_gadgets::{Lowering, Num, Signal, poseidon};
use proofmark_tensor::{ElemType, IntTensor};
use proofmark_types::manifest::Visibility;
use proofmark_types::statement::{DIGEST_RATE, MAX_RAW_ELEMENTS, digest_tag, packed_per_element};

use crate::error::OpsError;
use crate::operator::TensorVar;
use crate::plan::TensorInfo;

/// Hands out the public inputs in the order of the layout.
pub(crate) struct Publics {
    next: usize,
}

impl Publics {
    pub(crate) const fn new() -> Self {
        Self { next: 0 }
    }

    pub(crate) const fn used(&self) -> usize {
        self.next
    }

    pub(crate) fn take(&mut self, cx: &Lowering<'_>) -> Result<Signal, OpsError> {
        let signal = cx.public(self.next)?;
        self.next += 1;
        Ok(signal)
    }
}

/// The context: a public input with a constraint of its own, so that no proof can be moved to
/// another context even by someone who re-randomises it.
pub(crate) fn bind_context(cx: &mut Lowering<'_>, publics: &mut Publics) -> Result<(), OpsError> {
    let context = publics.take(cx)?;
    // The square is fixed by its constraint and read by nothing.
    product(cx, "context-square", &context, &context)?;
    Ok(())
}

/// An input tensor, each element's range proven, tied to its public inputs.
pub(crate) fn bind_input(
    cx: &mut Lowering<'_>,
    publics: &mut Publics,
    info: &TensorInfo,
    values: Option<&IntTensor>,
    salt: Option<Fr>,
) -> Result<TensorVar, OpsError> {
    let (elem, bits) = (info.fact.elem, info.fact.elem.bits());
    let minimum = i64::from(elem.min());
    let offset = |at: usize| {
        values
            .and_then(|t| t.data().get(at))
            .map_or(0, |&v| i64::from(v) - minimum)
    };
    let count = info.fact.len();
    let raw = info.visibility == Visibility::Public && count <= MAX_RAW_ELEMENTS;
    let mut elements = Vec::with_capacity(count);
    for at in 0..count {
        let value = offset(at);
        if raw {
            let public = publics.take(cx)?;
            elements.push(ranged_public(cx, &public, value, bits)?);
        } else {
            // Constrained: its range by the bits, its value by the packing below.
            let wire = cx.hint("input", || Fr::from(value))?;
            elements.push(ranged_wire(cx, "input-range", wire, value, bits)?);
        }
    }
    if !raw {
        let packed = pack(cx, &elements, elem);
        match info.visibility {
            Visibility::Public => {
                for field in packed {
                    let public = publics.take(cx)?;
                    enforce_equal(cx, "input-packing", field.lc, public.lc)?;
                }
            }
            Visibility::Hashed | Visibility::Private => {
                bind_digest(cx, publics, info, &packed, salt)?;
            }
        }
    }
    let nums = elements
        .iter()
        .map(|e| e.plus(cx, minimum))
        .collect::<Result<_, _>>()?;
    Ok(TensorVar {
        fact: info.fact.clone(),
        nums,
    })
}

/// Ties an output tensor to its public inputs.
pub(crate) fn bind_output(
    cx: &mut Lowering<'_>,
    publics: &mut Publics,
    info: &TensorInfo,
    tensor: &TensorVar,
    salt: Option<Fr>,
) -> Result<(), OpsError> {
    let (elem, bits) = (info.fact.elem, info.fact.elem.bits());
    let minimum = i64::from(elem.min());
    let mut elements = Vec::with_capacity(tensor.nums.len());
    for num in &tensor.nums {
        let element = num.plus(cx, -minimum)?;
        // The packing is unique because every element is proven to fit its slot.
        if element.lo() < 0 || element.hi() >= 1_i64 << bits {
            return Err(OpsError::AccumulatorOverflow {
                node: info.name.clone(),
                lo: num.lo(),
                hi: num.hi(),
            });
        }
        elements.push(element);
    }
    let public = info.visibility == Visibility::Public;
    if public && elements.len() <= MAX_RAW_ELEMENTS {
        for element in elements {
            let public = publics.take(cx)?;
            enforce_equal(cx, "output", element.into_lc(), public.lc)?;
        }
        return Ok(());
    }
    let packed = pack(cx, &elements, elem);
    if public {
        for field in packed {
            let public = publics.take(cx)?;
            enforce_equal(cx, "output-packing", field.lc, public.lc)?;
        }
        return Ok(());
    }
    bind_digest(cx, publics, info, &packed, salt)
}

/// Little-endian packing of offset-binary elements, as many a field element as fit 248 bits of
/// 8-bit values (31) or 224 bits of 32-bit values (7).
fn pack(cx: &Lowering<'_>, elements: &[Num], elem: ElemType) -> Vec<Signal> {
    let per_field = packed_per_element(elem);
    let base = Fr::from(1_u64 << elem.bits());
    elements
        .chunks(per_field)
        .map(|chunk| {
            let signals: Vec<Signal> = chunk.iter().map(|e| e.to_signal(cx)).collect();
            let mut weight = Fr::ONE;
            let weights: Vec<Fr> = chunk
                .iter()
                .map(|_| {
                    let here = weight;
                    weight *= base;
                    here
                })
                .collect();
            Signal::linear(cx, weights.into_iter().zip(&signals), Fr::ZERO)
        })
        .collect()
}

/// The Poseidon digest of a hashed or private tensor, tied to its public input:
/// `H_0 = Poseidon(tag, salt)`, `H_{i+1} = Poseidon(H_i, e_{15i} … e_{15i+14})`.
fn bind_digest(
    cx: &mut Lowering<'_>,
    publics: &mut Publics,
    info: &TensorInfo,
    packed: &[Signal],
    salt: Option<Fr>,
) -> Result<(), OpsError> {
    let tag = Signal::constant(cx, digest_tag(info.fact.elem, info.fact.len()));
    let salt = if info.visibility == Visibility::Private {
        // Deliberately unconstrained but for the digest: any salt is a fair salt, and the public
        // commitment fixes it together with the values.
        cx.hint_signal("salt", || salt.unwrap_or(Fr::ZERO))?
    } else {
        Signal::constant(cx, Fr::ZERO)
    };
    let mut state = poseidon::hash(cx, &[tag, salt])?;
    for chunk in packed.chunks(DIGEST_RATE) {
        let mut block = Vec::with_capacity(DIGEST_RATE + 1);
        block.push(state);
        block.extend_from_slice(chunk);
        block.resize_with(DIGEST_RATE + 1, || Signal::constant(cx, Fr::ZERO));
        state = poseidon::hash(cx, &block)?;
    }
    let public = publics.take(cx)?;
    enforce_equal(cx, "digest", state.lc, public.lc)?;
    Ok(())
}

/// A number that is a raw public input, its range proven.
fn ranged_public(
    cx: &mut Lowering<'_>,
    public: &Signal,
    value: i64,
    bits: u32,
) -> Result<Num, OpsError> {
    // The public input is not trusted to be in range: a contract may pass any field element. The
    // element is a ranged wire that equals it.
    let wire = cx.hint("input", || Fr::from(value))?;
    let num = ranged_wire(cx, "input-range", wire, value, bits)?;
    enforce_equal(cx, "input-public", num.lc().clone(), public.lc.clone())?;
    Ok(num)
}
