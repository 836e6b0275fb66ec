//! The models of `models/third-party`, and what they are measured on.

use std::fs::File;
use std::path::PathBuf;

use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::NpzReader;
use proofmark_tests::samples::folder;
use proofmark_types::manifest::ReferenceLevel;

/// What a model is good at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// The largest output is the class.
    Classes,
    /// Each output above 0 is a pixel of the mask.
    Pixels,
    /// The output is the input again.
    Itself,
}

/// A model that others quantized.
pub(crate) struct ThirdParty {
    /// File name without `.onnx`.
    pub(crate) name: &'static str,
    /// Who wrote it, and how.
    pub(crate) format: &'static str,
    /// Held-out samples, below `models/`.
    heldout: &'static str,
    /// The model takes `raw / divisor`; 0 for one that takes int8, `raw − 128`.
    divisor: f32,
    /// What its output means.
    pub(crate) aim: Aim,
    /// The level at which ONNX Runtime runs the original.
    pub(crate) reference: ReferenceLevel,
}

const DIGITS: (&str, f32, Aim) = ("digits-mlp/heldout.npz", 1.0, Aim::Classes);
const MNIST: (&str, f32, Aim) = ("lenet5-mnist/heldout.npz", 255.0, Aim::Classes);
const ANIMALS: (&str, f32, Aim) = ("resnet-animals/heldout.npz", 255.0, Aim::Classes);
const RISK: (&str, f32, Aim) = ("third-party/risk-heldout.npz", 1.0, Aim::Classes);
const KEYWORDS: (&str, f32, Aim) = ("third-party/keywords-heldout.npz", 255.0, Aim::Classes);
const MASKS: (&str, f32, Aim) = ("third-party/masks-heldout.npz", 255.0, Aim::Pixels);
const RAW: f32 = 1.0;
const INT8: f32 = 0.0;

const fn model(
    name: &'static str,
    format: &'static str,
    (heldout, divisor, aim): (&'static str, f32, Aim),
) -> ThirdParty {
    ThirdParty {
        name,
        format,
        heldout,
        divisor,
        aim,
        reference: ReferenceLevel::All,
    }
}

/// A model that takes its samples otherwise than the task's others.
const fn scaled(mut model: ThirdParty, divisor: f32) -> ThirdParty {
    model.divisor = divisor;
    model
}

/// An autoencoder.
const fn itself(mut model: ThirdParty) -> ThirdParty {
    model.aim = Aim::Itself;
    model
}

/// A model that ONNX Runtime does not load above the basic level.
const fn basic(mut model: ThirdParty) -> ThirdParty {
    model.reference = ReferenceLevel::Basic;
    model
}

/// A model with float weights: above this level ONNX Runtime quantizes them itself, and otherwise.
const fn disabled(mut model: ThirdParty) -> ThirdParty {
    model.reference = ReferenceLevel::Disabled;
    model
}

/// All of them.
pub(crate) const MODELS: [ThirdParty; 37] = [
    itself(model("autoencoder-qdq-u8s8", "ORT QDQ u8s8", MNIST)),
    itself(scaled(
        model("autoencoder-tflite", "TFLite int8 by tf2onnx", DIGITS),
        16.0,
    )),
    model(
        "avgpool-qdq-u8s8-perchannel",
        "ORT QDQ u8s8 per channel",
        MNIST,
    ),
    model("avgpool-qop-u8u8", "ORT QOperator u8u8", MNIST),
    disabled(model("cnn-keras-qat", "Keras QAT by tf2onnx", MNIST)),
    model(
        "cnn-keras-qat-tflite",
        "Keras QAT by TFLite and tf2onnx",
        MNIST,
    ),
    model(
        "darknet-qdq-s8s8-symmetric",
        "ORT QDQ s8s8 symmetric",
        MNIST,
    ),
    model(
        "darknet-qop-u8s8-perchannel",
        "ORT QOperator u8s8 per channel",
        MNIST,
    ),
    scaled(
        model("dscnn-tflite", "TFLite int8 by tf2onnx", KEYWORDS),
        INT8,
    ),
    model(
        "googlenet-torch-pt2e",
        "PyTorch export mode (XNNPACK) by dynamo",
        ANIMALS,
    ),
    scaled(model("lenet-qop-u8s8", "ORT QOperator u8s8", MNIST), RAW),
    scaled(
        model(
            "lenet-qop-u8s8-perchannel",
            "ORT QOperator u8s8 per channel",
            MNIST,
        ),
        RAW,
    ),
    scaled(model("lenet-qop-u8u8", "ORT QOperator u8u8", MNIST), RAW),
    scaled(
        model(
            "lenet-qop-u8u8-perchannel",
            "ORT QOperator u8u8 per channel",
            MNIST,
        ),
        RAW,
    ),
    model("lenet-torch-fx", "PyTorch FX QAT by TorchScript", MNIST),
    model("lenet-torch-pt2e", "PyTorch export mode by dynamo", MNIST),
    model("mlp-qop-u8s8", "ORT QOperator u8s8", DIGITS),
    model(
        "mlp-qop-u8s8-perchannel",
        "ORT QOperator u8s8 per channel",
        DIGITS,
    ),
    model("mlp-qop-u8u8", "ORT QOperator u8u8", DIGITS),
    model(
        "mlp-qop-u8u8-perchannel",
        "ORT QOperator u8u8 per channel",
        DIGITS,
    ),
    model("mobilenet-qdq-u8u8", "ORT QDQ u8u8", ANIMALS),
    model(
        "mobilenet-qop-s8s8-perchannel",
        "ORT QOperator s8s8 per channel",
        ANIMALS,
    ),
    model(
        "mobilenetv3-qdq-u8s8-perchannel",
        "ORT QDQ u8s8 per channel",
        ANIMALS,
    ),
    basic(model(
        "mobilenetv3-torch-fx",
        "PyTorch FX QAT by TorchScript",
        ANIMALS,
    )),
    scaled(model("resnet-qdq-s8s8", "ORT QDQ s8s8", ANIMALS), RAW),
    scaled(
        model(
            "resnet-qop-u8s8-perchannel",
            "ORT QOperator u8s8 per channel",
            ANIMALS,
        ),
        RAW,
    ),
    basic(model(
        "resnet8-torch-fx",
        "PyTorch FX QAT by TorchScript",
        ANIMALS,
    )),
    model(
        "sigmoidtanh-qdq-s8s8-perchannel",
        "ORT QDQ s8s8 per channel",
        RISK,
    ),
    model("sigmoidtanh-qop-u8s8", "ORT QOperator u8s8", RISK),
    model("squeezenet-qdq-u8s8", "ORT QDQ u8s8", MNIST),
    model("squeezenet-qop-u8u8", "ORT QOperator u8u8", MNIST),
    model(
        "tcresnet-qdq-u8s8-perchannel",
        "ORT QDQ u8s8 per channel",
        KEYWORDS,
    ),
    model("tcresnet-qop-s8s8", "ORT QOperator s8s8", KEYWORDS),
    scaled(
        model(
            "transformer-qdq-s8s8-symmetric",
            "ORT QDQ s8s8 symmetric",
            DIGITS,
        ),
        16.0,
    ),
    scaled(
        model("transformer-qop-u8s8", "ORT QOperator u8s8", DIGITS),
        16.0,
    ),
    model("unet-qop-u8u8", "ORT QOperator u8u8", MASKS),
    model("unet-torch-fx", "PyTorch FX QAT by TorchScript", MASKS),
];

/// Held-out samples as a model takes them, one row-major vector each, and their labels (for masks
/// a label a pixel).
pub(crate) struct Heldout {
    pub(crate) x: Vec<Vec<f32>>,
    pub(crate) y: Vec<i64>,
}

impl ThirdParty {
    /// The model's file.
    pub(crate) fn path(&self) -> PathBuf {
        folder("third-party").join(format!("{}.onnx", self.name))
    }

    /// Whether the model takes integers.
    pub(crate) fn takes_integers(&self) -> bool {
        self.divisor == INT8
    }

    /// Its held-out samples.
    pub(crate) fn heldout(&self) -> Heldout {
        let open = || NpzReader::new(File::open(folder(self.heldout)).expect("data")).expect("npz");
        let mut archive = open();
        let raw: ArrayD<f32> = match archive.by_name::<OwnedRepr<f32>, IxDyn>("x") {
            Ok(floats) => floats,
            Err(_) => bytes(&mut archive, "x").mapv(f32::from),
        };
        let x = raw
            .outer_iter()
            .map(|sample| sample.iter().map(|&value| self.scaled(value)).collect())
            .collect();
        let mut archive = open();
        let y = match archive.by_name::<OwnedRepr<i64>, IxDyn>("y") {
            Ok(labels) => labels.iter().copied().collect(),
            Err(_) => bytes(&mut archive, "y")
                .iter()
                .map(|&v| i64::from(v))
                .collect(),
        };
        Heldout { x, y }
    }

    fn scaled(&self, raw: f32) -> f32 {
        if self.takes_integers() {
            raw - 128.0
        } else {
            raw / self.divisor
        }
    }
}

fn bytes(archive: &mut NpzReader<File>, name: &str) -> ArrayD<u8> {
    archive
        .by_name::<OwnedRepr<u8>, IxDyn>(name)
        .expect("bytes")
}
