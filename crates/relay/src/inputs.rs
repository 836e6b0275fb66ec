//! From what a request carries to the model's tensors.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use proofmark_types::field::fr_from_bytes;
use proofmark_types::manifest::Visibility;
use proofmark_types::statement::{
    LayoutTensor, MAX_RAW_ELEMENTS, from_public_elements, packed_per_element, tensor_digest,
};
use proofmark_types::tensor::element_count;
use proofmark_types::{Fr, IntTensor};

/// The tensors that `words` (public inputs of the model's inputs) and `data` (elements of hashed
/// inputs) stand for.
///
/// # Errors
/// What does not fit, in words.
pub(crate) fn tensors(
    inputs: &[LayoutTensor],
    words: &[U256],
    data: &[u8],
) -> Result<BTreeMap<String, IntTensor>, String> {
    let (mut words, mut data) = (words, data);
    let mut found = BTreeMap::new();
    for input in inputs {
        let tensor = match input.visibility {
            Visibility::Public => public(input, &mut words)?,
            Visibility::Hashed => hashed(input, &mut words, &mut data)?,
            Visibility::Private => {
                return Err(format!(
                    "input {:?} is private: who knows it proves with `proofmark prove`",
                    input.name
                ));
            }
        };
        found.insert(input.name.clone(), tensor);
    }
    if !words.is_empty() || !data.is_empty() {
        return Err("it has more inputs or data than the model".to_owned());
    }
    Ok(found)
}

fn public(input: &LayoutTensor, words: &mut &[U256]) -> Result<IntTensor, String> {
    let count = element_count(&input.shape).map_err(|error| error.to_string())?;
    let positions = if count <= MAX_RAW_ELEMENTS {
        count
    } else {
        count.div_ceil(packed_per_element(input.elem))
    };
    let elements: Vec<Fr> = (0..positions)
        .map(|_| element(words))
        .collect::<Result<_, _>>()?;
    from_public_elements(input.elem, &input.shape, &elements)
        .map_err(|error| format!("input {:?}: {error}", input.name))
}

fn hashed(
    input: &LayoutTensor,
    words: &mut &[U256],
    data: &mut &[u8],
) -> Result<IntTensor, String> {
    let digest = element(words)?;
    let count = element_count(&input.shape).map_err(|error| error.to_string())?;
    let length = count.saturating_mul(input.elem.width());
    let (head, rest) = data
        .split_at_checked(length)
        .ok_or_else(|| format!("the data end before input {:?} does", input.name))?;
    *data = rest;
    let tensor = IntTensor::from_le_bytes(input.elem, input.shape.clone(), head)
        .map_err(|error| format!("input {:?}: {error}", input.name))?;
    if tensor_digest(&tensor, Fr::from(0)) != digest {
        return Err(format!("the data are not those of input {:?}", input.name));
    }
    Ok(tensor)
}

fn element(words: &mut &[U256]) -> Result<Fr, String> {
    let (first, rest) = words
        .split_first()
        .ok_or("it has fewer inputs than the model")?;
    *words = rest;
    fr_from_bytes(&first.to_be_bytes()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proofmark_types::ElemType;
    use proofmark_types::field::fr_to_bytes;
    use proofmark_types::statement::public_elements;

    fn layout(name: &str, elem: ElemType, count: usize, visibility: Visibility) -> LayoutTensor {
        LayoutTensor {
            name: name.to_owned(),
            elem,
            shape: vec![1, count],
            visibility,
        }
    }

    fn word(element: &Fr) -> U256 {
        U256::from_be_bytes(fr_to_bytes(element))
    }

    #[test]
    fn public_and_hashed_inputs_come_back() {
        let inputs = [
            layout("a", ElemType::Uint8, 40, Visibility::Public),
            layout("b", ElemType::Int8, 3, Visibility::Hashed),
            layout("c", ElemType::Int32, 2, Visibility::Public),
            layout("d", ElemType::Int32, 9, Visibility::Hashed),
        ];
        let tensor =
            |elem, values: Vec<i32>| IntTensor::new(elem, vec![1, values.len()], values).unwrap();
        let a = tensor(ElemType::Uint8, (0..40).collect());
        let b = tensor(ElemType::Int8, vec![-128, 0, 127]);
        let c = tensor(ElemType::Int32, vec![i32::MIN, 5]);
        let d = tensor(ElemType::Int32, (-4..5).collect());
        let mut elements = public_elements(&a);
        elements.push(tensor_digest(&b, Fr::from(0)));
        elements.extend(public_elements(&c));
        elements.push(tensor_digest(&d, Fr::from(0)));
        let words: Vec<U256> = elements.iter().map(word).collect();
        let data = [b.to_le_bytes(), d.to_le_bytes()].concat();
        let found = tensors(&inputs, &words, &data).unwrap();
        let expected = [("a", a), ("b", b), ("c", c), ("d", d)];
        let expected = expected.map(|(name, tensor)| (name.to_owned(), tensor));
        assert_eq!(found, BTreeMap::from(expected));

        for cut in 0..words.len() {
            assert!(tensors(&inputs, &words[..cut], &data).is_err());
        }
        for cut in 0..data.len() {
            assert!(tensors(&inputs, &words, &data[..cut]).is_err());
        }
        assert!(tensors(&inputs, &words, &[&data[..], &[0]].concat()).is_err());
        assert!(tensors(&inputs, &[&words[..], &[U256::ZERO]].concat(), &data).is_err());
        for index in 0..words.len() {
            let mut other = words.clone();
            other[index] = U256::MAX;
            assert!(tensors(&inputs, &other, &data).is_err(), "{index}");
        }
        for index in 0..data.len() {
            let mut other = data.clone();
            other[index] ^= 1;
            let error = tensors(&inputs, &words, &other).unwrap_err();
            assert!(error.contains("are not those"), "{error}");
        }
    }

    #[test]
    fn private_inputs_are_not_requested() {
        let inputs = [layout("x", ElemType::Uint8, 3, Visibility::Private)];
        let error = tensors(&inputs, &[U256::ONE], &[1, 2, 3]).unwrap_err();
        assert!(error.contains("proofmark prove"));
    }
}
