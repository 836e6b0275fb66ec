//! A random graph that grows node by node.

use std::collections::{BTreeMap, BTreeSet};

use proofmark_onnx::{Attribute, Model};
use proofmark_tensor::{ElemType, IntTensor};
use proofmark_tests::Random;
use proofmark_tests::build::Builder;

/// Most elements of one tensor.
pub(crate) const MOST: usize = 400;
/// Most graph inputs.
const INPUTS: usize = 5;

/// A tensor that exists at run time.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) name: String,
    pub(crate) elem: ElemType,
    pub(crate) shape: Vec<usize>,
    /// Smallest and largest value, as far as the generator knows.
    pub(crate) range: (i64, i64),
}

impl Value {
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub(crate) fn is_8_bit(&self) -> bool {
        self.elem.bits() == 8
    }
}

/// A finished graph.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) model: Model,
    /// Type and shape of every tensor that exists at run time.
    pub(crate) facts: BTreeMap<String, (ElemType, Vec<usize>)>,
}

/// A graph under construction.
pub(crate) struct Growing {
    pub(crate) b: Builder,
    pub(crate) random: Random,
    values: Vec<Value>,
    inputs: usize,
    read: BTreeSet<String>,
}

impl Growing {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            b: Builder::new(),
            random: Random::new(seed),
            values: Vec::new(),
            inputs: 0,
            read: BTreeSet::new(),
        }
    }

    /// A graph input.
    pub(crate) fn input(&mut self, elem: ElemType, shape: &[usize]) -> Value {
        let value = Value {
            name: self.b.input(elem, shape),
            elem,
            shape: shape.to_vec(),
            range: (elem.min().into(), elem.max().into()),
        };
        self.inputs += 1;
        self.values.push(value.clone());
        value
    }

    /// A tensor that exists and fits, later ones more often, so that chains grow; or, where none
    /// does, sometimes a new input.
    pub(crate) fn pick(
        &mut self,
        fits: impl Fn(&Value) -> bool,
        input: impl FnOnce(&mut Random) -> (ElemType, Vec<usize>),
    ) -> Option<Value> {
        let fitting: Vec<&Value> = self.values.iter().filter(|v| fits(v)).collect();
        if let Some(last) = fitting.last() {
            let value = if self.random.one_in(2) {
                (*last).clone()
            } else {
                (*self.random.pick(&fitting)).clone()
            };
            return Some(value);
        }
        if self.inputs >= INPUTS {
            return None;
        }
        let (elem, shape) = input(&mut self.random);
        let value = self.input(elem, &shape);
        fits(&value).then_some(value)
    }

    /// All tensors that fit.
    pub(crate) fn all(&self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.values.iter().filter(|v| fits(v)).cloned().collect()
    }

    /// A node whose result is 8-bit over its whole type.
    pub(crate) fn bytes(
        &mut self,
        op: (&str, &str),
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
        (elem, shape): (ElemType, Vec<usize>),
    ) -> Value {
        let range = (elem.min().into(), elem.max().into());
        self.node(op, inputs, attributes, (elem, shape, range))
    }

    /// A node and its result.
    pub(crate) fn node(
        &mut self,
        (domain, op_type): (&str, &str),
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
        (elem, shape, range): (ElemType, Vec<usize>, (i64, i64)),
    ) -> Value {
        let name = self.b.node(domain, op_type, inputs, attributes);
        self.read.extend(inputs.iter().map(|&i| i.to_owned()));
        let value = Value {
            name,
            elem,
            shape,
            range,
        };
        self.values.push(value.clone());
        value
    }

    /// Notes that a node reads a tensor, for nodes that are added past [`node`](Self::node).
    pub(crate) fn reads(&mut self, name: &str) {
        self.read.insert(name.to_owned());
    }

    /// The graph: what nothing reads becomes an output, and some inner tensors too.
    pub(crate) fn finish(mut self, seed: u64) -> Case {
        for value in &self.values {
            let inner = self.read.contains(&value.name);
            if !inner || self.random.one_in(3) {
                self.b.output(&value.name, value.elem, &value.shape);
            }
        }
        let facts = self
            .values
            .iter()
            .map(|v| (v.name.clone(), (v.elem, v.shape.clone())))
            .collect();
        Case {
            seed,
            model: self.b.finish(),
            facts,
        }
    }
}

/// A zero point: both ends are likely.
pub(crate) fn zero_point(random: &mut Random, elem: ElemType) -> i32 {
    let choice = [
        elem.min(),
        elem.max(),
        0,
        random.between(elem.min().into(), elem.max().into()) as i32,
    ];
    *random.pick(&choice)
}

/// Dimensions of any rank from 1 to 5, one of them often 1.
pub(crate) fn any_shape(random: &mut Random) -> Vec<usize> {
    let rank = random.size(1, 5);
    let most = [12, 7, 5, 3, 3][rank - 1];
    (0..rank)
        .map(|_| {
            if random.one_in(4) {
                1
            } else {
                random.size(1, most)
            }
        })
        .collect()
}

/// `[1, channels, …]` with one or two spatial dimensions.
pub(crate) fn image_shape(random: &mut Random) -> Vec<usize> {
    let mut shape = vec![1, random.size(1, 6)];
    let rank = random.size(1, 2);
    shape.extend((0..rank).map(|_| random.size(1, 7)));
    shape
}

/// An 8-bit type; uint8 more often.
pub(crate) fn byte(random: &mut Random) -> ElemType {
    if random.one_in(3) {
        ElemType::Int8
    } else {
        ElemType::Uint8
    }
}

/// Inputs that reach ends: all smallest, all largest, alternating, one hot, and random ones.
pub(crate) fn points(
    infos: &[(ElemType, Vec<usize>)],
    random: &mut Random,
    randoms: usize,
) -> Vec<Vec<IntTensor>> {
    let all = |pick: &dyn Fn(ElemType, usize, usize) -> i32| -> Vec<IntTensor> {
        infos
            .iter()
            .map(|(elem, shape)| {
                let count = shape.iter().product();
                let data = (0..count).map(|i| pick(*elem, i, count)).collect();
                IntTensor::new(*elem, shape.clone(), data).expect("in range")
            })
            .collect()
    };
    let hot = random.bits() as usize;
    let mut out = vec![
        all(&|elem, _, _| elem.min()),
        all(&|elem, _, _| elem.max()),
        all(&|elem, i, _| if i % 2 == 0 { elem.min() } else { elem.max() }),
        all(&|elem, i, n| {
            if i == hot % n.max(1) {
                elem.max()
            } else {
                elem.min()
            }
        }),
        all(&|elem, i, n| i32::from(i == hot % n.max(1)) * elem.max()),
    ];
    out.extend((0..randoms).map(|_| {
        infos
            .iter()
            .map(|(elem, shape)| proofmark_tests::build::random_tensor(random, *elem, shape))
            .collect()
    }));
    out
}
