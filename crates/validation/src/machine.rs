//! What of a processor ONNX Runtime chooses its kernels by.

use serde::{Deserialize, Serialize};

/// A class of machines: processors that run the same kernels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Architecture, as Rust names it (`x86_64`, `aarch64`).
    pub architecture: String,
    /// Those instruction-set extensions that the processor has and ONNX Runtime's integer and
    /// float kernels are chosen by, in the order of the architecture's list.
    pub features: Vec<String>,
}

impl Machine {
    /// The machine that this program runs on.
    pub fn current() -> Self {
        Self {
            architecture: std::env::consts::ARCH.to_owned(),
            features: features().into_iter().map(str::to_owned).collect(),
        }
    }
}

macro_rules! detected {
    ($test:ident: $($feature:tt)*) => {
        [$(($feature, std::arch::$test!($feature))),*]
            .into_iter()
            .filter_map(|(name, present)| present.then_some(name))
            .collect()
    };
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    detected!(is_x86_feature_detected:
        "sse4.1" "avx" "f16c" "fma" "avx2" "avxvnni"
        "avx512f" "avx512bw" "avx512dq" "avx512vl" "avx512vnni" "avx512bf16"
    )
}

#[cfg(target_arch = "aarch64")]
fn features() -> Vec<&'static str> {
    detected!(is_aarch64_feature_detected: "neon" "dotprod" "i8mm" "fp16" "bf16" "sve")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_is_one_class() {
        let machine = Machine::current();
        assert_eq!(machine, Machine::current());
        assert_eq!(machine.architecture, std::env::consts::ARCH);
        let mut unique = machine.features.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), machine.features.len());
    }
}
