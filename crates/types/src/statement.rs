//! The statement's public inputs: their order and their encoding as field elements.
//!
//! Order: the context digest, then the inputs, then the outputs, each in graph order. Integers
//! enter offset-binary (value minus the type's minimum). A public tensor of at most 8 elements
//! stands raw, one field element each; a larger one is packed. A hashed or private tensor is one
//! Poseidon digest. `docs/spec/statement.md` is the normative text with test vectors.

use ark_ff::{AdditiveGroup, BigInteger, PrimeField};

use crate::digest::Digest;
use crate::field::{Fr, fr_to_bytes};
use crate::manifest::{InputSpec, OutputSpec, Visibility};
use crate::poseidon;
use crate::tensor::{ElemType, IntTensor, TensorError, element_count};

/// Largest public tensor that stands raw, one field element for each of its elements.
pub const MAX_RAW_ELEMENTS: usize = 8;
/// Version of the packing format, in the tag of every tensor digest.
pub const PACKING_VERSION: u8 = 1;
/// Packed field elements that one step of the tensor digest absorbs.
pub const DIGEST_RATE: usize = 15;

/// Elements of this type that one field element holds when packed: 31 of 8 bits, 7 of 32 bits.
pub const fn packed_per_element(elem: ElemType) -> usize {
    match elem {
        ElemType::Uint8 | ElemType::Int8 => 31,
        ElemType::Int32 => 7,
    }
}

/// `value − minimum of the type`, below `2^bits`.
pub const fn offset_binary(elem: ElemType, value: i32) -> u32 {
    value.abs_diff(elem.min())
}

/// The value whose offset-binary form is `raw`; `None` when it is outside the type.
pub fn from_offset_binary(elem: ElemType, raw: u32) -> Option<i32> {
    elem.min()
        .checked_add_unsigned(raw)
        .filter(|v| *v <= elem.max())
}

/// Why values do not fit the statement, or field elements are not values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// Another number of inputs or outputs than the layout has.
    #[error("expected {expected} {role}s, got {got}")]
    Count {
        /// `input` or `output`.
        role: Role,
        /// As the layout has.
        expected: usize,
        /// Given.
        got: usize,
    },
    /// A tensor of another type or shape than the layout says.
    #[error("{role} {name:?} is {elem} {shape:?}, got {got_elem} {got_shape:?}")]
    Tensor {
        /// `input` or `output`.
        role: Role,
        /// Its name.
        name: String,
        /// The declared element type.
        elem: ElemType,
        /// The declared shape.
        shape: Vec<usize>,
        /// The element type given.
        got_elem: ElemType,
        /// The shape given.
        got_shape: Vec<usize>,
    },
    /// A commitment for a public tensor, or values for a hidden one.
    #[error("{role} {name:?} is {}: it enters as {}", visibility.name(), if *visibility == Visibility::Public { "values" } else { "a commitment" })]
    Kind {
        /// `input` or `output`.
        role: Role,
        /// Its name.
        name: String,
        /// Its declared visibility.
        visibility: Visibility,
    },
    /// Another number of field elements than the tensor packs to.
    #[error("expected {expected} field elements, got {got}")]
    PackedLength {
        /// As the shape says.
        expected: usize,
        /// Given.
        got: usize,
    },
    /// A field element with bits set where no element stands, or an element outside its type.
    #[error("field element {index} is not the canonical packing of its elements")]
    NotCanonical {
        /// Index among the field elements.
        index: usize,
    },
    /// A shape that is no shape.
    #[error(transparent)]
    Shape(#[from] TensorError),
}

impl StatementError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Count { .. }
            | Self::Tensor { .. }
            | Self::Kind { .. }
            | Self::PackedLength { .. } => "statement-mismatch",
            Self::NotCanonical { .. } => "public-input-not-canonical",
            Self::Shape(error) => error.code(),
        }
    }
}

/// The tensor as packed field elements: offset-binary, little-endian, row-major, the last field
/// element filled up with zeros.
pub fn pack(tensor: &IntTensor) -> Vec<Fr> {
    let elem = tensor.elem();
    tensor
        .data()
        .chunks(packed_per_element(elem))
        .map(|chunk| {
            let bytes: Vec<u8> = chunk
                .iter()
                .flat_map(|&v| {
                    offset_binary(elem, v)
                        .to_le_bytes()
                        .into_iter()
                        .take(elem.width())
                })
                .collect();
            // At most 31 bytes, so nothing is reduced.
            Fr::from_le_bytes_mod_order(&bytes)
        })
        .collect()
}

/// The tensor that packs to `elements`.
///
/// # Errors
/// [`StatementError`] for a wrong number of field elements, and for one that no tensor packs to:
/// every bit outside the elements must be 0.
pub fn unpack(
    elem: ElemType,
    shape: &[usize],
    elements: &[Fr],
) -> Result<IntTensor, StatementError> {
    let count = element_count(shape)?;
    let per = packed_per_element(elem);
    let expected = count.div_ceil(per);
    if elements.len() != expected {
        return Err(StatementError::PackedLength {
            expected,
            got: elements.len(),
        });
    }
    let mut data = Vec::with_capacity(count);
    for (index, element) in elements.iter().enumerate() {
        let refuse = || StatementError::NotCanonical { index };
        let here = per.min(count.saturating_sub(data.len()));
        let bytes = element.into_bigint().to_bytes_le();
        let used = here.saturating_mul(elem.width());
        if bytes.iter().skip(used).any(|b| *b != 0) {
            return Err(refuse());
        }
        for word in bytes.chunks_exact(elem.width()).take(here) {
            let raw = word
                .iter()
                .rev()
                .fold(0_u32, |n, &b| (n << 8) | u32::from(b));
            data.push(from_offset_binary(elem, raw).ok_or_else(refuse)?);
        }
    }
    Ok(IntTensor::new(elem, shape.to_vec(), data)?)
}

/// The field elements that a public tensor enters the statement as: raw up to
/// [`MAX_RAW_ELEMENTS`] elements, packed above.
pub fn public_elements(tensor: &IntTensor) -> Vec<Fr> {
    if tensor.len() <= MAX_RAW_ELEMENTS {
        return tensor
            .data()
            .iter()
            .map(|&v| Fr::from(offset_binary(tensor.elem(), v)))
            .collect();
    }
    pack(tensor)
}

/// The public tensor that enters the statement as `elements`: the inverse of [`public_elements`].
///
/// # Errors
/// As [`unpack`].
pub fn from_public_elements(
    elem: ElemType,
    shape: &[usize],
    elements: &[Fr],
) -> Result<IntTensor, StatementError> {
    let count = element_count(shape)?;
    if count > MAX_RAW_ELEMENTS {
        return unpack(elem, shape, elements);
    }
    if elements.len() != count {
        return Err(StatementError::PackedLength {
            expected: count,
            got: elements.len(),
        });
    }
    let read = |(index, element): (usize, &Fr)| {
        let limbs = element.into_bigint();
        let low = limbs.0.first().copied().unwrap_or_default();
        let small = limbs.0.iter().skip(1).all(|l| *l == 0);
        u32::try_from(low)
            .ok()
            .filter(|_| small)
            .and_then(|raw| from_offset_binary(elem, raw))
            .ok_or(StatementError::NotCanonical { index })
    };
    let data = elements
        .iter()
        .enumerate()
        .map(read)
        .collect::<Result<_, _>>()?;
    Ok(IntTensor::new(elem, shape.to_vec(), data)?)
}

/// First element of the tensor digest's first hash:
/// `packing version + element tag · 2^8 + element count · 2^16`.
pub fn digest_tag(elem: ElemType, count: usize) -> Fr {
    let count = u128::try_from(count).unwrap_or(u128::MAX >> 16);
    Fr::from(u128::from(PACKING_VERSION) | (u128::from(elem.tag()) << 8) | (count << 16))
}

/// The digest that a hashed (`salt` 0) or private (`salt` random) tensor enters the statement as.
///
/// `H_0 = Poseidon(tag, salt)`, `H_{i+1} = Poseidon(H_i, e_{15i} … e_{15i+14})` over the packed
/// elements `e`, the last step filled up with zeros. The tag fixes the number of elements, so the
/// zeros are not ambiguous. The shape is not hashed: the circuit fixes it.
pub fn tensor_digest(tensor: &IntTensor, salt: Fr) -> Fr {
    let absorb = |inputs: &[Fr]| {
        // 2 or 16 inputs, for which parameters exist.
        poseidon::hash(inputs).unwrap_or_default()
    };
    let start = absorb(&[digest_tag(tensor.elem(), tensor.len()), salt]);
    pack(tensor)
        .chunks(DIGEST_RATE)
        .fold(start, |state, chunk| {
            let mut block = [Fr::ZERO; poseidon::MAX_INPUTS];
            for (slot, value) in block.iter_mut().zip(core::iter::once(&state).chain(chunk)) {
                *slot = *value;
            }
            absorb(&block)
        })
}

/// Whether a tensor goes into the model or comes out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Goes in.
    Input,
    /// Comes out.
    Output,
}

impl core::fmt::Display for Role {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

/// What the statement needs to know of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutTensor {
    /// Name in the graph. It does not enter the layout's encoding.
    pub name: String,
    /// Element type.
    pub elem: ElemType,
    /// Static dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Who learns the values.
    pub visibility: Visibility,
}

impl From<&InputSpec> for LayoutTensor {
    fn from(spec: &InputSpec) -> Self {
        let InputSpec {
            name,
            elem,
            shape,
            visibility,
            ..
        } = spec.clone();
        Self {
            name,
            elem,
            shape,
            visibility,
        }
    }
}

impl From<&OutputSpec> for LayoutTensor {
    fn from(spec: &OutputSpec) -> Self {
        let OutputSpec {
            name,
            elem,
            shape,
            visibility,
            ..
        } = spec.clone();
        Self {
            name,
            elem,
            shape,
            visibility,
        }
    }
}

impl LayoutTensor {
    /// Number of elements.
    fn count(&self) -> Result<usize, TensorError> {
        element_count(&self.shape)
    }

    /// Number of public inputs it takes, given its number of elements.
    fn positions(&self, count: usize) -> usize {
        match self.visibility {
            Visibility::Public if count <= MAX_RAW_ELEMENTS => count,
            Visibility::Public => count.div_ceil(packed_per_element(self.elem)),
            Visibility::Hashed | Visibility::Private => 1,
        }
    }
}

/// What an input or output enters the statement as.
#[derive(Debug, Clone, Copy)]
pub enum PublicValue<'a> {
    /// The values of a public tensor.
    Tensor(&'a IntTensor),
    /// The digest of a hashed or private tensor.
    Commitment(Fr),
}

/// Order and encoding of the public inputs of one circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicLayout {
    inputs: Vec<LayoutTensor>,
    outputs: Vec<LayoutTensor>,
    len: usize,
}

impl PublicLayout {
    /// The layout of a model with these inputs and outputs, in graph order.
    ///
    /// # Errors
    /// [`StatementError::Shape`] for a shape with more elements than can be addressed.
    pub fn new(
        inputs: Vec<LayoutTensor>,
        outputs: Vec<LayoutTensor>,
    ) -> Result<Self, StatementError> {
        let mut len = 1_usize;
        for slot in inputs.iter().chain(&outputs) {
            len = len.saturating_add(slot.positions(slot.count()?));
        }
        Ok(Self {
            inputs,
            outputs,
            len,
        })
    }

    /// Inputs in graph order.
    pub fn inputs(&self) -> &[LayoutTensor] {
        &self.inputs
    }

    /// Outputs in graph order.
    pub fn outputs(&self) -> &[LayoutTensor] {
        &self.outputs
    }

    /// Number of public inputs, the context included, the constant one not.
    #[expect(clippy::len_without_is_empty, reason = "the context is always there")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// The public inputs of a statement: `context`, then the inputs, then the outputs.
    ///
    /// # Errors
    /// [`StatementError`] when the values are not those that the layout declares.
    pub fn public_inputs(
        &self,
        context: Fr,
        inputs: &[PublicValue<'_>],
        outputs: &[PublicValue<'_>],
    ) -> Result<Vec<Fr>, StatementError> {
        let mut all = Vec::with_capacity(self.len);
        all.push(context);
        for (role, slots, values) in [
            (Role::Input, &self.inputs, inputs),
            (Role::Output, &self.outputs, outputs),
        ] {
            if slots.len() != values.len() {
                return Err(StatementError::Count {
                    role,
                    expected: slots.len(),
                    got: values.len(),
                });
            }
            for (slot, value) in slots.iter().zip(values) {
                match (slot.visibility, value) {
                    (Visibility::Public, PublicValue::Tensor(tensor)) => {
                        if tensor.elem() != slot.elem || tensor.shape() != slot.shape {
                            return Err(StatementError::Tensor {
                                role,
                                name: slot.name.clone(),
                                elem: slot.elem,
                                shape: slot.shape.clone(),
                                got_elem: tensor.elem(),
                                got_shape: tensor.shape().to_vec(),
                            });
                        }
                        all.extend(public_elements(tensor));
                    }
                    (Visibility::Hashed | Visibility::Private, PublicValue::Commitment(digest)) => {
                        all.push(*digest);
                    }
                    (visibility, _) => {
                        return Err(StatementError::Kind {
                            role,
                            name: slot.name.clone(),
                            visibility,
                        });
                    }
                }
            }
        }
        Ok(all)
    }

    /// What stands at each position, in words.
    pub fn describe(&self) -> Vec<String> {
        let mut words = vec!["context digest".to_owned()];
        let slots = self.inputs.iter().map(|s| (Role::Input, s));
        for (role, slot) in slots.chain(self.outputs.iter().map(|s| (Role::Output, s))) {
            let LayoutTensor {
                name,
                elem,
                visibility,
                ..
            } = slot;
            let count = slot.count().unwrap_or_default();
            match visibility {
                Visibility::Public if count <= MAX_RAW_ELEMENTS => {
                    words.extend(
                        (0..count).map(|k| {
                            format!("{role} {name:?} element {k} ({elem}, offset-binary)")
                        }),
                    );
                }
                Visibility::Public => {
                    let per = packed_per_element(*elem);
                    words.extend((0..count).step_by(per).map(|k| {
                        let last = k.saturating_add(per).min(count).saturating_sub(1);
                        format!("{role} {name:?} elements {k} to {last} ({elem}, packed)")
                    }));
                }
                Visibility::Hashed | Visibility::Private => {
                    words.push(format!(
                        "Poseidon digest of {} {role} {name:?}",
                        visibility.name()
                    ));
                }
            }
        }
        words
    }

    /// The canonical bytes of the layout, part of the circuit digest's header:
    /// `"proofmark/layout/v1\0"`, number of inputs and of outputs (u32 LE each), then for every
    /// input and output visibility (1 byte: 0 public, 1 hashed, 2 private), element tag (1 byte),
    /// rank (u32 LE) and dimensions (u64 LE each). Names are not part of it.
    pub fn encode(&self) -> Vec<u8> {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = b"proofmark/layout/v1\0".to_vec();
        bytes.extend_from_slice(&count(self.inputs.len()));
        bytes.extend_from_slice(&count(self.outputs.len()));
        for slot in self.inputs.iter().chain(&self.outputs) {
            bytes.push(match slot.visibility {
                Visibility::Public => 0,
                Visibility::Hashed => 1,
                Visibility::Private => 2,
            });
            bytes.push(slot.elem.tag());
            bytes.extend_from_slice(&count(slot.shape.len()));
            for &dim in &slot.shape {
                bytes.extend_from_slice(&u64::try_from(dim).unwrap_or(u64::MAX).to_le_bytes());
            }
        }
        bytes
    }
}

/// The digest of a statement within one package: SHA-256 of `"proofmark/statement/v1\0"`, the
/// package digest, the number of public inputs (u64 LE) and their 32 big-endian bytes each.
///
/// It names what was proven, so replay protection and idempotency are keyed by it. Never by proof
/// bytes: anyone can turn a Groth16 proof into another valid proof of the same statement.
pub fn statement_digest(package: &Digest, public_inputs: &[Fr]) -> Digest {
    let mut stream = crate::digest::DigestStream::new();
    stream.update(b"proofmark/statement/v1\0");
    stream.update(package.as_bytes());
    stream.update(
        &u64::try_from(public_inputs.len())
            .unwrap_or(u64::MAX)
            .to_le_bytes(),
    );
    for x in public_inputs {
        stream.update(&fr_to_bytes(x));
    }
    stream.finish()
}

#[cfg(test)]
mod tests {
    use super::PublicValue::{Commitment, Tensor};
    use super::*;
    use crate::field::fr_to_hex;
    use ark_ff::Field;

    const ELEMS: [ElemType; 3] = [ElemType::Uint8, ElemType::Int8, ElemType::Int32];

    fn ramp(elem: ElemType, count: usize) -> IntTensor {
        let data = (0..count)
            .map(|k| match k % 3 {
                0 => elem.min() + i32::try_from(k).unwrap(),
                1 => elem.max() - i32::try_from(k).unwrap(),
                _ => i32::try_from(k).unwrap(),
            })
            .collect();
        IntTensor::new(elem, vec![count], data).unwrap()
    }

    fn slot(name: &str, elem: ElemType, shape: &[usize], visibility: Visibility) -> LayoutTensor {
        LayoutTensor {
            name: name.into(),
            elem,
            shape: shape.to_vec(),
            visibility,
        }
    }

    #[test]
    fn packs_and_unpacks_at_every_length() {
        for elem in ELEMS {
            for count in 0..70 {
                let tensor = ramp(elem, count);
                let packed = pack(&tensor);
                assert_eq!(packed.len(), count.div_ceil(packed_per_element(elem)));
                assert_eq!(unpack(elem, &[count], &packed).unwrap(), tensor);
                let public = public_elements(&tensor);
                assert_eq!(
                    from_public_elements(elem, &[count], &public).unwrap(),
                    tensor
                );
                assert_eq!(public.len(), if count <= 8 { count } else { packed.len() });
            }
        }
    }

    #[test]
    fn packing_is_little_endian_offset_binary() {
        let tensor = IntTensor::new(ElemType::Int8, vec![3], vec![-128, 127, 0]).unwrap();
        assert_eq!(pack(&tensor), [Fr::from(0x0080_ff00)]);
        assert_eq!(
            public_elements(&tensor),
            [Fr::from(0), Fr::from(255), Fr::from(128)]
        );
        let wide = IntTensor::new(ElemType::Int32, vec![2], vec![i32::MIN + 1, i32::MAX]).unwrap();
        assert_eq!(pack(&wide), [Fr::from(0xffff_ffff_0000_0001_u64)]);
    }

    #[test]
    fn unused_bits_must_be_zero() {
        for elem in ELEMS {
            let per = packed_per_element(elem);
            for count in [9, per, per + 1, 2 * per - 1] {
                let packed = pack(&ramp(elem, count));
                let last = packed.len() - 1;
                let used = u64::from(elem.bits()) * u64::try_from(count - last * per).unwrap();
                for bit in [used, 248, 253] {
                    let mut bad = packed.clone();
                    bad[last] += Fr::from(2).pow([bit]);
                    assert!(
                        matches!(
                            unpack(elem, &[count], &bad),
                            Err(StatementError::NotCanonical { index }) if index == last
                        ),
                        "{elem} {count} bit {bit}"
                    );
                }
                assert!(unpack(elem, &[count], &packed[1..]).is_err());
            }
            for bad in [
                Fr::from(-1),
                Fr::from(1_u64 << elem.bits()),
                Fr::from(2).pow([64_u64]),
            ] {
                let error = from_public_elements(elem, &[2], &[Fr::from(1), bad]).unwrap_err();
                assert_eq!(error, StatementError::NotCanonical { index: 1 });
            }
        }
    }

    #[test]
    fn digest_follows_its_definition() {
        // 31 · 15 + 1 elements: two steps, the second nearly empty.
        let tensor = ramp_u8(31 * 15 + 1);
        let e = pack(&tensor);
        assert_eq!(e.len(), 16);
        let salt = Fr::from(5);
        let tag = Fr::from(1_u64 + (1 << 8) + (466 << 16));
        let h0 = poseidon::hash(&[tag, salt]).unwrap();
        let mut first = vec![h0];
        first.extend(&e[..15]);
        let h1 = poseidon::hash(&first).unwrap();
        let mut second = vec![h1, e[15]];
        second.resize(16, Fr::ZERO);
        assert_eq!(
            tensor_digest(&tensor, salt),
            poseidon::hash(&second).unwrap()
        );
    }

    fn ramp_u8(count: usize) -> IntTensor {
        let data = (0..count)
            .map(|k| i32::try_from(k % 256).unwrap())
            .collect();
        IntTensor::new(ElemType::Uint8, vec![count], data).unwrap()
    }

    #[test]
    fn digest_vectors() {
        // Computed with the JavaScript package poseidon-lite from the text of the specification.
        let four = IntTensor::new(ElemType::Int8, vec![1, 4], vec![-128, -1, 0, 127]).unwrap();
        let wide = IntTensor::new(ElemType::Int32, vec![2], vec![i32::MIN, i32::MAX]).unwrap();
        for (tensor, salt, want) in [
            (
                &four,
                0_u64,
                "0x0a36b03e03826a1b8214cc0bd41e121f69219345cb69b4d9072155159985f8fa",
            ),
            (
                &four,
                1_234_567_890,
                "0x0f042a61d37434baf627588ca9338c07b2859b8508f3fa38b06375c35d0afe0e",
            ),
            (
                &wide,
                0,
                "0x269976e59414f5063564dd96e280e5eb82d12b9f907250f0439568b3b0e77cd5",
            ),
            (
                &ramp_u8(466),
                7,
                "0x23faa41f9a6e49f4cb292defda40dc362d45bfbcfa7f93f845a484acd25acba2",
            ),
        ] {
            assert_eq!(fr_to_hex(&tensor_digest(tensor, Fr::from(salt))), want);
        }
    }

    #[test]
    fn digest_tells_type_count_and_salt_apart() {
        let one = IntTensor::new(ElemType::Uint8, vec![1], vec![0]).unwrap();
        let two = IntTensor::new(ElemType::Uint8, vec![2], vec![0, 0]).unwrap();
        let signed = IntTensor::new(ElemType::Int8, vec![1], vec![-128]).unwrap();
        let all = [
            tensor_digest(&one, Fr::ZERO),
            tensor_digest(&one, Fr::from(1)),
            tensor_digest(&two, Fr::ZERO),
            tensor_digest(&signed, Fr::ZERO),
        ];
        for (k, a) in all.iter().enumerate() {
            assert!(all.iter().skip(k + 1).all(|b| a != b));
        }
    }

    #[test]
    fn layout_orders_and_checks() {
        let layout = PublicLayout::new(
            vec![
                slot("a", ElemType::Uint8, &[1, 32], Visibility::Public),
                slot("b", ElemType::Int8, &[4], Visibility::Private),
            ],
            vec![slot("y", ElemType::Int32, &[2], Visibility::Public)],
        )
        .unwrap();
        assert_eq!(layout.len(), 1 + 2 + 1 + 2);
        let words = layout.describe();
        assert_eq!(words.len(), layout.len());
        assert_eq!(words[2], "input \"a\" elements 31 to 31 (uint8, packed)");
        let a = ramp_u8(32).reshaped(vec![1, 32]).unwrap();
        let y = IntTensor::new(ElemType::Int32, vec![2], vec![-1, 0]).unwrap();
        let (c, h) = (Fr::from(9), Fr::from(11));
        let all = layout
            .public_inputs(c, &[Tensor(&a), Commitment(h)], &[Tensor(&y)])
            .unwrap();
        assert_eq!(all.len(), layout.len());
        assert_eq!((all[0], all[3]), (c, h));
        assert_eq!(
            all[4..],
            [Fr::from(0x7fff_ffff_u32), Fr::from(0x8000_0000_u32)]
        );
        let flat = a.clone().reshaped(vec![32]).unwrap();
        for (inputs, outputs, code) in [
            (vec![Tensor(&a)], vec![Tensor(&y)], "statement-mismatch"),
            (
                vec![Tensor(&a), Commitment(h)],
                vec![],
                "statement-mismatch",
            ),
            (
                vec![Tensor(&flat), Commitment(h)],
                vec![Tensor(&y)],
                "statement-mismatch",
            ),
            (
                vec![Commitment(h), Commitment(h)],
                vec![Tensor(&y)],
                "statement-mismatch",
            ),
            (
                vec![Tensor(&a), Tensor(&y)],
                vec![Tensor(&y)],
                "statement-mismatch",
            ),
        ] {
            assert_eq!(
                layout
                    .public_inputs(c, &inputs, &outputs)
                    .unwrap_err()
                    .code(),
                code
            );
        }
    }

    #[test]
    fn layout_bytes() {
        let layout = PublicLayout::new(
            vec![slot("a", ElemType::Uint8, &[1, 32], Visibility::Public)],
            vec![slot("y", ElemType::Int32, &[2], Visibility::Private)],
        )
        .unwrap();
        assert_eq!(
            hex::encode(layout.encode()),
            "70726f6f666d61726b2f6c61796f75742f763100\
             0100000001000000\
             00010200000001000000000000002000000000000000\
             0203010000000200000000000000"
        );
    }

    #[test]
    fn statement_digest_separates() {
        let package = Digest::of(b"p");
        let x = [Fr::from(1), Fr::from(2)];
        let base = statement_digest(&package, &x);
        assert_ne!(base, statement_digest(&Digest::of(b"q"), &x));
        assert_ne!(base, statement_digest(&package, &x[..1]));
        assert_ne!(
            base,
            statement_digest(&package, &[Fr::from(2), Fr::from(1)])
        );
    }
}
