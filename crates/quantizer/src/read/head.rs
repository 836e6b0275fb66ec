//! Softmax and arg-max at the end of a model: they become views of the integer output.

use proofmark_onnx::Node;

use super::{Known, Reader, Stop, axis_of, only_attributes, refuse};
use crate::net::Head;

/// The value that the node looks at, and what was already taken off it.
fn source(cx: &mut Reader<'_>, node: &Node) -> Result<(String, Head), Stop> {
    if let Some(Known::Headed { source, head, .. }) =
        node.input(0).and_then(|name| cx.values.get(name))
        && !head.arg_max
        && node.op_type == "ArgMax"
    {
        // The largest probability stands where the largest logit stands.
        return Ok((source.clone(), head.clone()));
    }
    Ok((cx.data(node, 0)?.0, Head::default()))
}

fn set(cx: &mut Reader<'_>, index: usize, node: &Node, source: String, head: Head) {
    if let Some(output) = node.output(0) {
        let known = Known::Headed {
            source,
            head,
            node: index,
        };
        cx.values.insert(output.to_owned(), known);
    }
}

pub(super) fn softmax(cx: &mut Reader<'_>, index: usize, node: &Node) -> Result<(), Stop> {
    only_attributes(node, &["axis"])?;
    let (source, mut head) = source(cx, node)?;
    let rank = cx.net.shape(&source).len();
    // Before operator set 13 the default was 1, and everything behind the axis was flattened.
    let old = cx.opset < 13;
    let axis = axis_of(
        node.attr_int("axis")?.unwrap_or(if old { 1 } else { -1 }),
        rank,
    )?;
    if old && axis + 1 != rank {
        return Err(refuse(
            "before operator set 13 it flattens all dimensions behind the axis",
            "export with operator set 13 or later",
        ));
    }
    head.softmax = Some(axis);
    set(cx, index, node, source, head);
    Ok(())
}

pub(super) fn arg_max(cx: &mut Reader<'_>, index: usize, node: &Node) -> Result<(), Stop> {
    only_attributes(node, &["axis", "keepdims", "select_last_index"])?;
    if node.attr_int("select_last_index")?.unwrap_or(0) != 0 {
        return Err(refuse(
            "select_last_index = 1 is not supported",
            "export with select_last_index = 0",
        ));
    }
    let (source, mut head) = source(cx, node)?;
    let rank = cx.net.shape(&source).len();
    if axis_of(node.attr_int("axis")?.unwrap_or(0), rank)? + 1 != rank {
        return Err(refuse(
            "it does not run along the last dimension",
            "take the arg-max along the last dimension",
        ));
    }
    head.arg_max = true;
    set(cx, index, node, source, head);
    Ok(())
}
