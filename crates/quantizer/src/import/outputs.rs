//! The ends of the integer model: which integers are served, under which names and views.

use proofmark_onnx::{Node, ValueInfo, ValueType, encode};
use proofmark_types::manifest::{OutputSpec, View, Visibility};

use super::Importer;
use super::value::{Int, Shown, Value};
use crate::emit::views;
use crate::read::{Stop, refuse};
use crate::{Options, Quantized};

impl Importer<'_> {
    /// A graph output: the integers behind it, and how they are shown.
    pub(super) fn output(
        &mut self,
        name: &str,
        options: &Options,
        outputs: &mut Vec<(Int, OutputSpec)>,
    ) -> Result<(), Stop> {
        self.end_product(name)?;
        let (source, views, shown) = match self.values.get(name) {
            Some(Value::Int(int)) => {
                let last = int.shape.last().copied().unwrap_or_default();
                let fits = !options.labels.is_empty() && last == options.labels.len();
                let views = fits.then(|| View::ArgMax {
                    labels: options.labels.clone(),
                });
                (int.clone(), views.into_iter().collect(), name.to_owned())
            }
            Some(Value::Shown(Shown {
                source,
                grid,
                name,
                head,
            })) => {
                let last = source.shape.len().saturating_sub(1);
                if self.opset < 13 && head.softmax.is_some_and(|axis| axis != last) {
                    return Err(refuse(
                        "its softmax runs over several dimensions",
                        "place one Softmax along the last dimension at the end",
                    ));
                }
                let pair = (f64::from(grid.scale), grid.zero_point);
                let views = views(&source.shape, pair, head, &options.labels);
                (source.clone(), views, name.clone())
            }
            Some(Value::FloatInput { .. }) => {
                return Err(refuse(
                    "it is an input of the model",
                    "remove the output; there is nothing to prove about it",
                ));
            }
            Some(Value::Pending(_)) => {
                return Err(refuse(
                    "it is a float tensor that no QuantizeLinear makes integers",
                    "quantize the output of the model as well",
                ));
            }
            _ if self.is_constant(name) => {
                return Err(refuse(
                    "it is a constant",
                    "remove the output; there is nothing to prove about it",
                ));
            }
            Some(Value::Unknown | Value::ConstantShown(_)) | None => return Err(Stop::Unknown),
        };
        let made = self
            .writer
            .graph
            .nodes
            .iter()
            .any(|node| node.outputs.contains(&source.name));
        let source = if made {
            source
        } else {
            self.input_again(&source, name)?
        };
        if let Some((_, spec)) = outputs.iter_mut().find(|(int, _)| *int == source) {
            let dequantize = |views: &[View]| {
                let found = views.iter().find(|v| matches!(v, View::Dequantize { .. }));
                found.cloned()
            };
            let (old, new) = (dequantize(&spec.views), dequantize(&views));
            if old.is_some() && new.is_some() && old != new {
                return Err(refuse(
                    "it shows the same integers with another scale",
                    "keep one of the two outputs",
                ));
            }
            for view in views {
                if !spec.views.contains(&view) {
                    spec.views.push(view);
                }
            }
            return Ok(());
        }
        if shown != source.name {
            self.renamed.insert(source.name.clone(), shown.clone());
        }
        let spec = OutputSpec {
            name: shown,
            elem: source.elem,
            shape: source.shape.clone(),
            visibility: Visibility::Public,
            views,
        };
        outputs.push((source, spec));
        Ok(())
    }

    /// An integer input of the model that is an output of another name as well. What the input's
    /// quantizer made is no answer of the model.
    fn input_again(&mut self, source: &Int, name: &str) -> Result<Int, Stop> {
        let mut inputs = self.inputs.iter();
        let quantized = inputs.any(|input| input.name == source.name && input.quantizer.is_some());
        if quantized || source.name == name || !matches!(self.values.get(name), Some(Value::Int(_)))
        {
            return Err(refuse(
                "it only quantizes and shows an input of the model",
                "remove the output; there is nothing to prove about it",
            ));
        }
        let identity = Node::new(
            self.writer.fresh(&format!("{name}.identity")),
            "Identity",
            &[],
            &[],
        );
        self.writer.node(identity, vec![source.name.clone()], name);
        Ok(Int {
            name: name.to_owned(),
            ..source.clone()
        })
    }

    /// The model as it is written, its outputs under their names of the original.
    pub(super) fn finish(mut self, outputs: Vec<(Int, OutputSpec)>) -> Quantized {
        for (source, _) in &outputs {
            let ty = ValueType::Int(source.elem);
            let info = ValueInfo::fixed(source.name.clone(), ty, &source.shape);
            self.writer.graph.outputs.push(info);
        }
        let infos = self.inputs.iter().map(|spec| {
            ValueInfo::fixed(spec.name.clone(), ValueType::Int(spec.elem), &spec.shape)
        });
        self.writer.graph.inputs = infos.collect();
        self.writer.drop_dead();
        let mut model = self.writer.finish();
        let graph = &mut model.graph;
        let nodes = graph.nodes.iter_mut();
        let values = nodes.flat_map(|node| node.inputs.iter_mut().chain(&mut node.outputs));
        for name in values.chain(graph.outputs.iter_mut().map(|info| &mut info.name)) {
            if let Some(new) = self.renamed.get(name) {
                new.clone_into(name);
            }
        }
        let mut notes = Vec::new();
        if !self.rewritten.is_empty() {
            notes.push(format!(
                "weights of {} layers were rewritten to the signedness of their input (w + 128, zero point + 128, or back)",
                self.rewritten.len()
            ));
        }
        Quantized {
            model: encode(&model),
            inputs: self.inputs,
            outputs: outputs.into_iter().map(|(_, spec)| spec).collect(),
            notes,
            reference: Some(self.reference),
            inexact: self.inexact,
        }
    }
}
