//! Functions of one or two 8-bit tensors as tables: filled by running the original's own nodes in
//! ONNX Runtime on every input, written as `Gather` from a constant.
//!
//! * one tensor: `Cast` to int32, `Add` 128 for int8, `Gather` from 256 entries;
//! * a function a channel: `Add` a constant `256 · c` more, `Gather` from 256 entries a channel;
//! * two tensors: index `256 · a + b` over 65,536 entries, each offset-binary.

use proofmark_onnx::{Attribute, Node, Tensor};
use proofmark_types::{ElemType, IntTensor};

use super::Importer;
use super::cut::Cut;
use super::value::Int;
use crate::emit::ints;
use crate::num::i64_of_dim;
use crate::read::{Stop, check_shape, refuse};

/// Values of an 8-bit type.
const VALUES: usize = 256;
/// Most entries of one table: a function for each of 1,024 channels.
const MAX_ENTRIES: usize = 1 << 18;
/// Number of int32 in `TensorProto.DataType`.
const INT32: i64 = 6;

/// Which function a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One function of one tensor.
    Unary,
    /// A function of one tensor for each index of an axis of the output.
    Channel { axis: usize, count: usize },
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
    /// Whether the table gives back what it is asked with.
    pub(super) fn is_identity(&self, source: ElemType) -> bool {
        let entry = |at: usize| i64_of_dim(at) + i64::from(source.min());
        self.form == Form::Unary
            && self.elem == source
            && (0..VALUES).all(|at| self.data.get(at).map(|&v| i64::from(v)) == Some(entry(at)))
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
    /// Whether the channels run along the last dimension.
    last: bool,
}

impl Enumeration {
    /// Position in the tensors of the input `at` of a channel.
    const fn position(&self, channel: usize, at: usize) -> usize {
        if self.last {
            at * self.channels + channel
        } else {
            channel * self.long + at
        }
    }
}

fn value(index: usize, elem: ElemType) -> i32 {
    i32::try_from(index % VALUES).unwrap_or_default() + elem.min()
}

fn internal(error: impl ToString) -> Stop {
    refuse(error.to_string(), "report this model")
}

impl Importer<'_> {
    /// Every input of a form, as tensors of a rank that the constants of the cut broadcast over.
    fn enumerate(&self, cut: &Cut, form: Form, rank: usize) -> Result<Enumeration, Stop> {
        let (channels, axis) = match form {
            Form::Channel { axis, count } => (count, Some(axis)),
            Form::Unary | Form::Binary => (1, None),
        };
        let wanted = if form == Form::Binary { 2 } else { 1 };
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
        // The values run along the last dimension, or along the one before where that has the
        // channels.
        let rank = rank.max(if axis.is_some() { 2 } else { 1 });
        let last = axis.is_some_and(|axis| axis + 1 == rank);
        let mut shape = vec![1; rank];
        if let Some(axis) = axis {
            *shape.get_mut(axis).ok_or(Stop::Unknown)? = channels;
        }
        let along = if last { rank - 2 } else { rank - 1 };
        *shape.get_mut(along).ok_or(Stop::Unknown)? = long;
        let mut made = Enumeration {
            feeds: Vec::with_capacity(wanted),
            shape: shape.clone(),
            channels,
            count,
            long,
            last,
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

    /// Whether the float result of a cut is not a number for some input.
    pub(super) fn makes_nan(&self, cut: &Cut, form: Form, rank: usize) -> Result<bool, Stop> {
        let inputs = self.enumerate(cut, form, rank)?;
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
        let inputs = self.enumerate(cut, form, rank)?;
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
        if let [source] = sources
            && source.shape == shape
            && table.is_identity(source.elem)
        {
            return Ok(source.clone());
        }
        let index = match sources {
            [source] => {
                // All constants in one sum: int8 to offset-binary, and where the channel's
                // function begins.
                let start = -source.elem.min();
                let (begin, from) = match table.form {
                    Form::Channel { axis, count } => {
                        let mut dims = vec![1; shape.len()];
                        *dims.get_mut(axis).ok_or(Stop::Unknown)? = count;
                        let each = (0..count).map(|channel| {
                            let first = i32::try_from(channel * VALUES).unwrap_or(i32::MAX);
                            first.saturating_add(start)
                        });
                        (each.collect(), dims)
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
