use std::collections::BTreeSet;

use super::{TEXT_BYTES_MAX, rules};
use crate::codec::flatbuffers::Table;
use crate::core::{FormatError, Inspection};
use crate::formats::tf_graphdef::ops::{self, Class};

/// Most kinds of operators in one model.
const CODES_MAX: u32 = 65_536;
/// Custom operators named in the facts.
const NAMES_MAX: usize = 100;
/// `BuiltinOperator_CUSTOM`.
const CUSTOM: i32 = 32;

/// Custom operators of runtimes that their vendors ship: TensorFlow Lite
/// itself, MediaPipe, TensorFlow Text, Coral, Arm Ethos-U, LiteRT.
const SHIPPED: &[&str] = &[
    "TFLite_Detection_PostProcess",
    "AudioSpectrogram",
    "Mfcc",
    "NumericVerify",
    "Multinomial",
    "RandomStandardNormal",
    "RandomUniform",
    "HashTableV2",
    "AvgPool3D",
    "MaxPool3D",
    "AddN",
    "SignalRfft",
    "Convolution2DTransposeBias",
    "MaxPoolingWithArgmax2D",
    "MaxUnpooling2D",
    "TransformTensorBilinear",
    "TransformLandmarks",
    "Landmarks2TransformMatrix",
    "Resampler",
    "edgetpu-custom-op",
    "ethos-u",
    "DISPATCH_OP",
    "VhloToStablehlo",
];
/// Families of such operators.
const SHIPPED_PREFIXES: &[&str] = &["TFText>", "TFSentencepiece", "TFLite_", "odml.", "stablehlo."];

/// One entry of the table that operators refer to.
pub struct Code {
    /// Number of the built-in operator.
    pub builtin: i32,
}

/// Reads the table and judges the custom operators in it.
pub fn read(ctx: &mut Inspection<'_>, model: &Table<'_>) -> Result<Vec<Code>, FormatError> {
    let Some(entries) = model.vector(1, 4, "operator_codes")? else { return Ok(Vec::new()) };
    if entries.len() > CODES_MAX {
        return Err(FormatError::limit("tflite_operator_codes_max", CODES_MAX.into()));
    }
    let mut codes = Vec::new();
    let mut names = BTreeSet::new();
    for entry in entries.tables("operator code") {
        ctx.work(1)?;
        let entry = entry?;
        // Numbers above 126 only fit the newer field.
        let builtin = i32::from(entry.i8(0, 0, "deprecated_builtin_code")?).max(entry.i32(3, 0, "builtin_code")?);
        let custom = entry.string(1, TEXT_BYTES_MAX, "custom_code")?;
        if builtin == CUSTOM || custom.is_some() {
            let name = custom.unwrap_or_default();
            if names.len() < NAMES_MAX && names.insert(name.clone()) {
                judge(ctx, &name, entry.position());
            }
        }
        codes.push(Code { builtin });
    }
    if !names.is_empty() {
        ctx.fact("custom_operators", names.into_iter().collect::<Vec<_>>());
    }
    Ok(codes)
}

fn judge(ctx: &mut Inspection<'_>, name: &str, at: u64) {
    if let Some(op) = name.strip_prefix("Flex").filter(|op| ops::is_known(op)) {
        match ops::reaching(op) {
            Some(reaching) if leaves(reaching.class) => {
                ctx.find(&rules::FLEX_REACHING, at, format!("`{name}` {}", reaching.does));
            }
            Some(reaching) => ctx.find(&rules::FLEX, at, format!("`{name}` {}", reaching.does)),
            None => ctx.find(&rules::FLEX, at, format!("`{name}`: TensorFlow's `{op}`")),
        }
    } else if SHIPPED.contains(&name) || SHIPPED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        ctx.find(&rules::SHIPPED, at, format!("`{name}`"));
    } else {
        ctx.find(&rules::CUSTOM, at, format!("`{name}` is no operator of TensorFlow Lite"));
    }
}

/// Classes that no model for a device needs. Checkpoints are not among them:
/// models that train on the device save and restore their own.
fn leaves(class: Class) -> bool {
    matches!(class, Class::Read | Class::Write | Class::Python | Class::Network | Class::Native | Class::Mmap)
}
