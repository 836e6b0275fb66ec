//! The committed `src/proto.rs` is what `proto/onnx-ml.proto` generates. `UPDATE_EXPECT=1` rewrites
//! it. No external protobuf compiler is needed: protox parses, prost-build prints.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

const HEADER: &str = "// Generated from proto/onnx-ml.proto by tests/generated_code_is_current.rs. Do not edit:\n\
                      // UPDATE_EXPECT=1 cargo test -p proofmark-onnx --test generated_code_is_current\n";

fn generate(root: &Path) -> Result<String, Box<dyn Error>> {
    let descriptors = protox::compile([root.join("proto/onnx-ml.proto")], [root.join("proto")])?;
    let out = tempfile::tempdir()?;
    prost_build::Config::new()
        .out_dir(out.path())
        // the standard's prose stays in the .proto, where it is licensed and readable
        .disable_comments(["."])
        // rarely set, and large: inline they would make every attribute seven times its size
        .boxed(".onnx.AttributeProto.g")
        .boxed(".onnx.AttributeProto.t")
        .boxed(".onnx.AttributeProto.tp")
        .boxed(".onnx.AttributeProto.sparse_tensor")
        .compile_fds(descriptors)?;
    let code = fs::read_to_string(out.path().join("onnx.rs"))?;
    Ok(format!(
        "{HEADER}
{code}"
    ))
}

#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = root.join("src/proto.rs");
    let fresh = generate(root).unwrap();
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&committed, &fresh).unwrap();
    }
    assert!(
        fs::read_to_string(&committed).unwrap_or_default() == fresh,
        "src/proto.rs is not what proto/onnx-ml.proto generates; run with UPDATE_EXPECT=1"
    );
}
