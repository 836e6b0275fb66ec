//! Functions of one or two 8-bit tensors as tables: filled by running the original's own nodes in
//! ONNX Runtime on every input, written as `Gather` from a constant.
//!
//! * one tensor: `Clip` where the function is that; else `Cast` to int32, `Add` 128 for int8, `Gather` from 256 entries;
//! * a function for each of several constants: `Add` a constant `256 · c` more, `Gather` from 256
//!   entries each;
//! * two tensors: index `256 · a + b` over 65,536 entries, each offset-binary.

use proofmark_onnx::{Attribute, Node, Tensor};
use proofmark_types::{ElemType, IntTensor};

use super::cut::Cut;
use super::value::Int;
use super::{Importer, internal};
use crate::emit::ints;
use crate::read::{Stop, check_shape, refuse};

/// Values of an 8-bit type.
const VALUES: usize = 256;
/// Most entries of one table: a function for each of 1,024 channels.
const MAX_ENTRIES: usize = 1 << 18;
/// Number of int32 in `TensorProto.DataType`.
const INT32: i64 = 6;

/// Which function a table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// One function of one tensor.
    Unary,
    /// A function of one tensor for each element of a shape that broadcasts over the output.
    Each(Vec<usize>),
    /// A function of two tensors.
    Binary,
}

/// All values of a function, in the order of the index of its [`Form`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    pub(super) form: Form,
    /// Type of the values, uint8 or int8.
    pub(super) elem: ElemType,
    pub(super) data: Vec<i32>,
    /// Whether each value came out alike at two positions of the tensor. Vectorised float kernels
    /// may treat the last elements otherwise; then there is no function to tabulate.
    pub(super) stable: bool,
}

impl Table {
    /// The bounds between which the table gives back what it is asked with, if it does.
    fn bounds(&self, source: ElemType) -> Option<(i32, i32)> {
        let (&low, &high) = (self.data.first()?, self.data.last()?);
        let clamps = self.form == Form::Unary
            && self.elem == source
            && low <= high
            && self.data.len() == VALUES
            && (0..VALUES)
                .all(|at| self.data.get(at).copied() == Some(value(at, source).clamp(low, high)));
        clamps.then_some((low, high))
    }
}

/// Indices `0 .. count`, some more, and back down to 0: each index at two positions that differ in
/// everything a vectorised kernel goes by.
fn there_and_back(count: usize) -> impl Iterator<Item = usize> {
    (0..count).chain([1, 0, 1]).chain((0..count).rev())
}

/// Tensors that hold every input of a function.
struct Enumeration {
    feeds: Vec<IntTensor>,
    shape: Vec<usize>,
    channels: usize,
    /// Inputs a channel.
    count: usize,
    /// Elements a channel: each input twice, and three more.
    long: usize,
}

impl Enumeration {
    /// Position in the tensors of the input `at` of a channel.
    const fn position(&self, channel: usize, at: usize) -> usize {
        at * self.channels + channel
    }
}

fn value(index: usize, elem: ElemType) -> i32 {
    i32::try_from(index % VALUES).unwrap_or_default() + elem.min()
}

/// Every input of a form, as tensors of a rank that the constants of the cut broadcast over.
fn enumerate(cut: &Cut, form: &Form, rank: usize) -> Result<Enumeration, Stop> {
    let mut shape = match form {
        Form::Each(dims) => dims.clone(),
        Form::Unary | Form::Binary => vec![1; rank],
    };
    let channels = shape.iter().product::<usize>();
    let wanted = if *form == Form::Binary { 2 } else { 1 };
    if cut.inputs.len() != wanted || cut.inputs.iter().any(|(_, elem)| elem.bits() != 8) {
        return Err(refuse(
            "it is no function of 8-bit tensors",
            "quantize the model to 8 bits",
        ));
    }
    let count = if wanted == 2 { VALUES * VALUES } else { VALUES };
    if channels
        .checked_mul(count)
        .is_none_or(|all| all > MAX_ENTRIES)
    {
        return Err(refuse(
            format!("its constants make {channels} functions of 256 values"),
            format!("use at most {} channels", MAX_ENTRIES / VALUES),
        ));
    }
    let order: Vec<usize> = there_and_back(count).collect();
    let long = order.len();
    // The values run along the batch, or along a dimension in front of all others.
    match shape.first_mut() {
        Some(first) if *first == 1 => *first = long,
        _ => shape.insert(0, long),
    }
    let mut made = Enumeration {
        feeds: Vec::with_capacity(wanted),
        shape: shape.clone(),
        channels,
        count,
        long,
    };
    for (which, (_, elem)) in cut.inputs.iter().enumerate() {
        // Of two, the first has the high digit.
        let divisor = if which + 1 < wanted { VALUES } else { 1 };
        let mut data = vec![0; channels * long];
        for channel in 0..channels {
            for (at, &index) in order.iter().enumerate() {
                if let Some(slot) = data.get_mut(made.position(channel, at)) {
                    *slot = value(index / divisor, *elem);
                }
            }
        }
        made.feeds
            .push(IntTensor::new(*elem, shape.clone(), data).map_err(internal)?);
    }
    Ok(made)
}

impl Importer<'_> {
    /// Whether the float result of a cut is not a number for some input.
    pub(super) fn makes_nan(&self, cut: &Cut, form: &Form, rank: usize) -> Result<bool, Stop> {
        let inputs = enumerate(cut, form, rank)?;
        let made = self.run_float_cut(cut, &inputs.feeds)?;
        Ok(made.iter().any(|v| v.is_nan()))
    }

    /// Runs a cut on every input of the form. `rank` is that of the output, with the constants of
    /// the cut broadcast over it.
    pub(super) fn tabulate(
        &self,
        cut: &Cut,
        form: Form,
        rank: usize,
        elem: ElemType,
    ) -> Result<Table, Stop> {
        let inputs = enumerate(cut, &form, rank)?;
        let Enumeration {
            channels,
            count,
            long,
            ..
        } = inputs;
        let made = self.run_cut(cut, &inputs.feeds, elem)?;
        if made.len() != channels * long || made.elem() != elem {
            return Err(refuse(
                format!(
                    "its result has shape {:?} for {:?}",
                    made.shape(),
                    inputs.shape
                ),
                "use element-wise operators between DequantizeLinear and QuantizeLinear",
            ));
        }
        let entry = |channel: usize, at: usize| {
            let position = inputs.position(channel, at);
            made.data().get(position).copied()
        };
        let mut data = Vec::with_capacity(channels * count);
        let mut stable = true;
        for channel in 0..channels {
            for at in 0..count {
                stable &= entry(channel, at) == entry(channel, long - 1 - at);
                data.extend(entry(channel, at));
            }
        }
        Ok(Table {
            form,
            elem,
            data,
            stable,
        })
    }

    /// Writes a table over its sources, under the output name given; the sources broadcast to
    /// `shape`.
    pub(super) fn write_table(
        &mut self,
        node_name: &str,
        output: &str,
        sources: &[Int],
        table: Table,
        shape: Vec<usize>,
    ) -> Result<Int, Stop> {
        check_shape(&shape)?;
        let (sources, table) = self.composed(sources, table, &shape);
        let sources = sources.as_slice();
        if let [source] = sources
            && source.shape == shape
            && table.form == Form::Unary
        {
            let function = (source.clone(), table.data.clone());
            self.functions.insert(output.to_owned(), function);
        }
        if let [source] = sources
            && source.shape == shape
            && let Some(bounds) = table.bounds(source.elem)
        {
            if bounds == (source.elem.min(), source.elem.max()) {
                return Ok(source.clone());
            }
            return self.write_clip(node_name, output, source, bounds);
        }
        let index = match sources {
            [source] => {
                // All constants in one sum: int8 to offset-binary, and where the channel's
                // function begins.
                let start = -source.elem.min();
                let (begin, from) = match &table.form {
                    Form::Each(dims) => {
                        let each = (0..dims.iter().product()).map(|channel: usize| {
                            let first = i32::try_from(channel * VALUES).unwrap_or(i32::MAX);
                            first.saturating_add(start)
                        });
                        (each.collect(), dims.clone())
                    }
                    Form::Unary | Form::Binary => (vec![start], Vec::new()),
                };
                let cast = self.write_cast(node_name, output, source);
                let mut index = self.write_add(node_name, output, cast, from, begin)?;
                if source.shape.len() < shape.len() && table.form == Form::Unary {
                    let wide = self.writer.fresh(&format!("{output}.shaped"));
                    let name = self.writer.fresh(&format!("{node_name}.shape"));
                    self.writer.reshape(&name, &index, &wide, &shape);
                    index = wide;
                }
                index
            }
            [left, right] => {
                let high = self.offset_binary(node_name, output, left)?;
                let high = self.write_times(node_name, output, high)?;
                let low = self.offset_binary(node_name, output, right)?;
                let index = self.writer.fresh(&format!("{output}.index"));
                let name = self.writer.fresh(&format!("{node_name}.pair"));
                let add = Node::new(name, "Add", &[], &[]);
                self.writer.node(add, vec![high, low], &index);
                index
            }
            _ => return Err(internal("a table of no tensor")),
        };
        let length = table.data.len();
        let stored = ints(table.elem, vec![length], table.data).map_err(internal)?;
        let stored = self.writer.constant(&format!("{node_name}.table"), stored);
        let gather = Node::new(self.node_name(node_name), "Gather", &[], &[])
            .with("axis", Attribute::Int(0));
        self.writer.node(gather, vec![stored, index], output);
        Ok(Int {
            name: output.to_owned(),
            elem: table.elem,
            shape,
        })
    }

    /// Writes a tensor in another 8-bit type, each value as many steps from the type's minimum,
    /// clamped to bounds of the new type.
    pub(super) fn write_clamp(
        &mut self,
        node_name: &str,
        output: &str,
        source: &Int,
        elem: ElemType,
        (low, high): (i32, i32),
    ) -> Result<Int, Stop> {
        let table = Table {
            form: Form::Unary,
            elem,
            data: (0..VALUES)
                .map(|index| value(index, elem).clamp(low, high))
                .collect(),
            stable: true,
        };
        let name = self.writer.fresh(&format!("{node_name}.clamp"));
        let sources = std::slice::from_ref(source);
        self.write_table(&name, output, sources, table, source.shape.clone())
    }

    /// The table over the tensor that its sources are functions of themselves, where they are all
    /// functions of one: one table is cheaper than two behind each other, and than one of two.
    fn composed(&self, sources: &[Int], table: Table, shape: &[usize]) -> (Vec<Int>, Table) {
        let identity = |int: &Int| {
            let data = (0..VALUES).map(|at| value(at, int.elem)).collect();
            (int.clone(), data)
        };
        let known = |int: &Int| self.functions.get(&int.name).cloned();
        let unchanged = |table: Table| (sources.to_vec(), table);
        let index = |of: i32, int: &Int| usize::try_from(of - int.elem.min()).unwrap_or_default();
        let (base, digits): (Int, Vec<Vec<usize>>) = match sources {
            [one] => {
                let Some((base, first)) = known(one) else {
                    return unchanged(table);
                };
                (base, vec![first.iter().map(|&v| index(v, one)).collect()])
            }
            [left, right] => {
                let [a, b] = [left, right].map(|int| known(int).unwrap_or_else(|| identity(int)));
                if a.0 != b.0 || left.shape != right.shape {
                    return unchanged(table);
                }
                let digits = [(left, a.1), (right, b.1)]
                    .map(|(int, data)| data.iter().map(|&v| index(v, int)).collect());
                (a.0, digits.to_vec())
            }
            _ => return unchanged(table),
        };
        if base.shape != shape || matches!(table.form, Form::Each(_)) {
            return unchanged(table);
        }
        let data = (0..VALUES).map(|at| {
            let mut each = digits.iter().map(|digit| digit.get(at).copied());
            let entry = each.try_fold(0, |entry, digit| Some(entry * VALUES + digit?));
            entry.and_then(|entry| table.data.get(entry).copied())
        });
        match data.collect::<Option<Vec<i32>>>() {
            Some(data) => {
                let composed = Table {
                    form: Form::Unary,
                    data,
                    ..table
                };
                (vec![base], composed)
            }
            None => unchanged(table),
        }
    }

    fn write_clip(
        &mut self,
        node_name: &str,
        output: &str,
        source: &Int,
        (low, high): (i32, i32),
    ) -> Result<Int, Stop> {
        let elem = source.elem;
        let mut inputs = vec![source.name.clone()];
        for (bound, free) in [(low, elem.min()), (high, elem.max())] {
            let name = if bound == free {
                String::new()
            } else {
                let tensor = ints(elem, Vec::new(), vec![bound]).map_err(internal)?;
                self.writer.shared(&format!("bound_{elem}_{bound}"), tensor)
            };
            inputs.push(name);
        }
        while inputs.last().is_some_and(String::is_empty) {
            inputs.pop();
        }
        let clip = Node::new(self.node_name(node_name), "Clip", &[], &[]);
        self.writer.node(clip, inputs, output);
        Ok(Int {
            name: output.to_owned(),
            ..source.clone()
        })
    }

    fn write_cast(&mut self, node_name: &str, output: &str, source: &Int) -> String {
        let cast = self.writer.fresh(&format!("{output}.int32"));
        let name = self.writer.fresh(&format!("{node_name}.cast"));
        let node = Node::new(name, "Cast", &[], &[]).with("to", Attribute::Int(INT32));
        self.writer.node(node, vec![source.name.clone()], &cast);
        cast
    }

    /// The sum with a constant; nothing where that is 0.
    fn write_add(
        &mut self,
        node_name: &str,
        output: &str,
        input: String,
        shape: Vec<usize>,
        constant: Vec<i32>,
    ) -> Result<String, Stop> {
        if constant.len() == 1 && constant == [0] && shape.iter().all(|&dim| dim == 1) {
            return Ok(input);
        }
        let tensor: Tensor = ints(ElemType::Int32, shape, constant).map_err(internal)?;
        let constant = self.writer.constant(&format!("{node_name}.offset"), tensor);
        let sum = self.writer.fresh(&format!("{output}.index"));
        let name = self.writer.fresh(&format!("{node_name}.add_offset"));
        let node = Node::new(name, "Add", &[], &[]);
        self.writer.node(node, vec![input, constant], &sum);
        Ok(sum)
    }

    /// An 8-bit tensor as int32 from 0 to 255.
    fn offset_binary(
        &mut self,
        node_name: &str,
        output: &str,
        source: &Int,
    ) -> Result<String, Stop> {
        let cast = self.write_cast(node_name, output, source);
        let offset = vec![-source.elem.min()];
        self.write_add(node_name, output, cast, Vec::new(), offset)
    }

    fn write_times(
        &mut self,
        node_name: &str,
        output: &str,
        input: String,
    ) -> Result<String, Stop> {
        let tensor = ints(ElemType::Int32, Vec::new(), vec![256]).map_err(internal)?;
        let constant = self.writer.shared("table_row", tensor);
        let high = self.writer.fresh(&format!("{output}.row"));
        let name = self.writer.fresh(&format!("{node_name}.row"));
        let node = Node::new(name, "Mul", &[], &[]);
        self.writer.node(node, vec![input, constant], &high);
        Ok(high)
    }
}
