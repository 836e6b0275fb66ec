//! `Cast`.

use proofmark_onnx::{Attribute, Node};
use proofmark_types::ElemType;

use super::Importer;
use super::value::{Grid, Value};
use crate::read::{Stop, only_attributes, refuse};

impl Importer<'_> {
    /// A conversion of the element type.
    pub(super) fn cast(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(node, &["saturate", "to"])?;
        let to = node.attr_int("to")?.unwrap_or_default();
        let elem = match to {
            2 => Some(ElemType::Uint8),
            3 => Some(ElemType::Int8),
            6 => Some(ElemType::Int32),
            _ => None,
        };
        match (self.value(node, 0)?.clone(), to, elem) {
            (Value::Int(int), 1, _) => {
                if let Some(linear) = self.products.get(&int.name) {
                    let mut linear = linear.clone();
                    linear.float = Some("its accumulators are scaled in floats");
                    node.output(0)
                        .unwrap_or_default()
                        .clone_into(&mut linear.output);
                    return Ok(Self::pending(linear));
                }
                Ok(Value::Shown(super::value::Shown {
                    source: int,
                    grid: Grid {
                        scale: 1.0,
                        zero_point: 0,
                    },
                    name: node.output(0).unwrap_or_default().to_owned(),
                    head: crate::net::Head::default(),
                }))
            }
            (Value::Int(int), _, Some(elem)) if int.elem == elem => Ok(Value::Int(int)),
            (Value::Int(int), _, Some(elem)) if int.elem.bits() == 8 && elem.bits() == 8 => {
                self.integer_elementwise(node)
            }
            (Value::Int(int), _, Some(elem)) => {
                let made = Node::new("", "Cast", &[], &[]).with("to", Attribute::Int(to));
                self.push(node, made, vec![int.name], elem, int.shape)
            }
            (value @ (Value::Shown(_) | Value::Pending(_)), 1, _) => Ok(value),
            (other, ..) => Err(refuse(
                format!("it casts {} to the ONNX type {to}", other.kind()),
                "quantize with QuantizeLinear",
            )),
        }
    }
}
