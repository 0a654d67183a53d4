use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::flatbuffers::rules::{TRAILING_BYTES, TRAILING_CONTENT};

pub static ALL: &[&Rule] = &[
    &FLEX_REACHING,
    &FLEX,
    &CUSTOM,
    &SHIPPED,
    &INDEX_OUTSIDE,
    &SUBGRAPH_CYCLE,
    &BUFFER_OUTSIDE,
    &TRAILING_CONTENT,
    &TRAILING_BYTES,
];

const OP_SELECT: &str = "https://ai.google.dev/edge/litert/conversion/tensorflow/ops_select";
const SECURITY: &str = "https://github.com/tensorflow/tensorflow/blob/master/SECURITY.md";

/// A TensorFlow operator that reaches outside the model.
pub static FLEX_REACHING: Rule = Rule {
    id: "tflite-flex-reaching",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "operator that reaches files, the network or Python",
    what: "The model uses a TensorFlow operator (`Flex…`) that reads or writes files, opens connections, calls Python or \
           native code by name.",
    why: "With the Flex delegate, running the model does so on the user's device, with the app's rights.",
    false_positives: "Models that take the path of an image as input.",
    remedy: "Do not run the model. If it is yours, take the input pipeline out before converting it.",
    references: &[OP_SELECT, SECURITY, "TensorAbuse (IEEE S&P 2025): abusing TensorFlow operators in models", "CWE-73"],
};

/// A TensorFlow operator.
pub static FLEX: Rule = Rule {
    id: "tflite-flex-operator",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "operator of full TensorFlow",
    what: "The model uses TensorFlow kernels through the Flex delegate (`Flex…` operators).",
    why: "The delegate brings all of TensorFlow's kernels within reach of the model: far more code than TensorFlow Lite \
          has, files and networks among it.",
    false_positives: "Models converted with `SELECT_TF_OPS`: text models, models that train on the device.",
    remedy: "Make sure you expect it of this model; convert with built-in operators only where you can.",
    references: &[OP_SELECT, SECURITY],
};

/// An unknown custom operator.
pub static CUSTOM: Rule = Rule {
    id: "tflite-custom-operator",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "custom operator",
    what: "The model names an operator that no known runtime has.",
    why: "It runs only after an app has registered native code for it: code that was not inspected here.",
    false_positives: "Models for one vendor's runtime.",
    remedy: "Find out who publishes the operator's code; take it from its publisher alone.",
    references: &["https://ai.google.dev/edge/litert/models/ops_custom"],
};

/// A custom operator that comes with a known runtime.
pub static SHIPPED: Rule = Rule {
    id: "tflite-runtime-operator",
    severity: Severity::Info,
    verdict: Verdict::Clean,
    title: "operator of a known runtime",
    what: "The model names a custom operator that TensorFlow Lite, MediaPipe, TensorFlow Text, LiteRT, Coral or Arm ship.",
    why: "The model needs that runtime.",
    false_positives: "Not applicable: it is a note.",
    remedy: "None.",
    references: &["https://ai.google.dev/edge/litert/models/ops_custom"],
};

/// An index beyond its table.
pub static INDEX_OUTSIDE: Rule = Rule {
    id: "tflite-index-out-of-range",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "index outside its table",
    what: "An operator or tensor names a tensor, buffer, operator code or subgraph that does not exist.",
    why: "Runtimes that trust the index read or write outside their arrays.",
    false_positives: "None: no converter writes it.",
    remedy: "Do not load the file.",
    references: &["CVE-2020-15211", "CVE-2020-15212", "CWE-129"],
};

/// Subgraphs in a circle.
pub static SUBGRAPH_CYCLE: Rule = Rule {
    id: "tflite-subgraph-cycle",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "subgraph that runs itself",
    what: "`IF`, `WHILE` or `CALL_ONCE` operators run subgraphs in a circle.",
    why: "Runtimes follow it until the stack overflows.",
    false_positives: "None: the language has no recursion.",
    remedy: "Do not load the file.",
    references: &["CVE-2021-29591", "CWE-674"],
};

/// Weights outside the file.
pub static BUFFER_OUTSIDE: Rule = Rule {
    id: "tflite-buffer-outside",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "weights outside the file",
    what: "A buffer of a large model gives an offset and size beyond the end of the file.",
    why: "Runtimes map the file and read there.",
    false_positives: "A download that was cut off.",
    remedy: "Fetch the file again and compare its digest.",
    references: &["CWE-125"],
};
