//! `proofmark-bindgen IN.wasm OUT_DIR`: writes `proofmark.js`, `proofmark.d.ts` and `proofmark_bg.wasm`
//! for any place that runs ES modules.
#![forbid(unsafe_code)]

use anyhow::{Result, bail};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, out] = arguments.as_slice() else {
        bail!("usage: proofmark-bindgen IN.wasm OUT_DIR");
    };
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(input)
        .out_name("proofmark")
        .web(true)?
        .typescript(true)
        .omit_default_module_path(true)
        // After a trap the module is started anew.
        .reset_state_function(true)
        .remove_producers_section(true)
        .generate(out)
}
