//! Chains of reshapes become one, and those that change nothing go.

use crate::net::{Net, Op};

pub(super) fn simplify(net: &mut Net) {
    for index in 0..net.layers.len() {
        while let (Op::Reshape(_), Some(input)) =
            (&net.layers[index].op, net.layers[index].inputs.first())
        {
            let Some(producer) = net.producer(input) else {
                break;
            };
            if !matches!(net.layers[producer].op, Op::Reshape(_)) {
                break;
            }
            let source = net.layers[producer].inputs.clone();
            net.layers[index].inputs = source;
        }
    }
    let mut index = 0;
    while index < net.layers.len() {
        let layer = &net.layers[index];
        let (output, input) = (layer.output.clone(), layer.inputs.first().cloned());
        let Some(input) = input else { break };
        let idle = matches!(layer.op, Op::Reshape(_))
            && net.shape(&input) == net.shape(&output)
            && !net.is_output(&output);
        if idle {
            for reader in &mut net.layers {
                for name in reader.inputs.iter_mut().filter(|name| **name == output) {
                    input.clone_into(name);
                }
            }
            net.layers.remove(index);
        } else {
            index += 1;
        }
    }
    net.drop_dead();
}
