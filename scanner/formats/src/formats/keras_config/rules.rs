use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::marshal;

/// Every rule that a Keras configuration can raise.
pub const ALL: &[&Rule] = &[
    &LAMBDA,
    &DANGEROUS_CODE,
    &UNSAFE_REFERENCE,
    &CUSTOM_OBJECT,
    &UNKNOWN_OBJECT,
    &TORCH_MODULE,
    &FILE_OUTSIDE,
    &FILE_BESIDE,
    &REMOTE_LAYER,
    &EMBEDDED_CONTENT,
    &CODE_TEXT,
    &DUPLICATE_KEYS,
    &marshal::DANGEROUS_CODE,
];

pub static LAMBDA: Rule = Rule {
    id: "keras-lambda",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a Lambda layer carries Python code",
    what: "A Lambda layer, or a `__lambda__` value, holds the bytecode of a Python function or calls one that the \
           configuration does not bring along.",
    why: "Loading rebuilds the function and calls it. Bytecode can do whatever Python can; this code names nothing \
          that is known to be dangerous, which is not the same as being harmless.",
    false_positives: "Lambda layers that scale, slice or normalise tensors are common in older models. Look at the \
                      names in the evidence.",
    remedy: "Ask for a model without Lambda layers, or load it in isolation. Keras 3 refuses such models unless \
             `safe_mode=False` is given; leave it alone.",
    references: &["CVE-2024-3660", "CVE-2025-9905", "https://keras.io/api/layers/core_layers/lambda/", "CWE-502"],
};

pub static DANGEROUS_CODE: Rule = Rule {
    id: "keras-dangerous-code",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "a stored function runs commands or imports modules",
    what: "The stored function of a Lambda layer is no readable code object, but what it holds names ways to start \
           programs, import modules or run text as code.",
    why: "Loaders of other versions may still rebuild and call it.",
    false_positives: "None known.",
    remedy: "Do not load the file.",
    references: &["CVE-2024-3660", "CWE-502"],
};

pub static UNSAFE_REFERENCE: Rule = Rule {
    id: "keras-unsafe-reference",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "the configuration names a function that reaches outside the model",
    what: "An object of the configuration names a Python module, builtin, Keras utility or TensorFlow operation that \
           runs programs, reads or writes files, opens connections, loads other models or switches safety off.",
    why: "Loading imports the module, finds the name and calls it with arguments from the same file; `safe_mode` did \
          not stop this in Keras up to 3.11.",
    false_positives: "None known: models are made of layers, losses, metrics and tensor operations.",
    remedy: "Do not load the file. Update Keras to 3.12 or newer.",
    references: &[
        "CVE-2025-1550",
        "CVE-2025-8747",
        "CVE-2025-9906",
        "CVE-2025-12060",
        "https://keras.io/api/models/model_saving_apis/",
        "CWE-502",
    ],
};

pub static CUSTOM_OBJECT: Rule = Rule {
    id: "keras-custom-object",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the model needs code that does not come with Keras",
    what: "A layer, function or other object is of a class that is registered by a program, or of a module outside \
           Keras and its sister libraries.",
    why: "To load the model its user must run the publisher's code; Keras up to 3.8 imported the named module by \
          itself (CVE-2025-1550).",
    false_positives: "Research models with layers of their own. Find out where the code comes from and read it.",
    remedy: "Get the code from the publisher's repository, read it, and pin it; or ask for a model of built-in layers.",
    references: &["CVE-2025-1550", "https://keras.io/guides/serialization_and_saving/"],
};

pub static UNKNOWN_OBJECT: Rule = Rule {
    id: "keras-unknown-object",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the configuration names something Keras is not known to have",
    what: "An object claims a module of Keras or TensorFlow, but its class or function is none that models are made \
           of.",
    why: "Loading looks the name up in that module and calls what it finds: helpers, imported modules, test code.",
    false_positives: "A version of Keras newer than this release, or one of its rarer wrappers.",
    remedy: "Compare the name with the documentation of the Keras version in the file's metadata.",
    references: &["CVE-2025-8747", "CVE-2025-9906"],
};

pub static TORCH_MODULE: Rule = Rule {
    id: "keras-torch-module",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "a pickled PyTorch module inside the configuration",
    what: "A `TorchModuleWrapper` layer holds the bytes of a pickled module.",
    why: "Loading unpickles them with `torch.load(weights_only=False)`: any code in the pickle runs, `safe_mode` or \
          not, in Keras up to 3.11.2.",
    false_positives: "Models that wrap a PyTorch module and were saved with Keras 3; there is no telling them apart \
                      by the wrapper. See what the pickle itself was found to do.",
    remedy: "Do not load the file. Ask for the PyTorch weights as safetensors.",
    references: &["CVE-2025-49655", "CWE-502"],
};

pub static FILE_OUTSIDE: Rule = Rule {
    id: "keras-file-outside",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "loading reads a file or address of the publisher's choice",
    what: "A layer takes its vocabulary, or a whole SavedModel, from an absolute path, a path that leads upwards, or a \
           URL.",
    why: "Loading reads the file into the model, from where it can be published with the next upload, or sends a \
          request from inside the network.",
    false_positives: "Older TensorFlow wrote the path of the vocabulary file on the machine that trained the model.",
    remedy: "Do not load the file. Ask for a model that keeps its vocabulary as an asset.",
    references: &["CVE-2025-12058", "CWE-73", "CWE-918"],
};

pub static FILE_BESIDE: Rule = Rule {
    id: "keras-file-beside",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "loading reads another file",
    what: "A layer takes its vocabulary, or a whole SavedModel, from a file named in the configuration.",
    why: "What is in that file becomes part of the model; it is read relative to wherever the loader runs.",
    false_positives: "Models exported with their vocabulary file beside them.",
    remedy: "See that the file comes from the same publisher, and scan it.",
    references: &["CVE-2025-12058", "CWE-73"],
};

pub static REMOTE_LAYER: Rule = Rule {
    id: "keras-remote-layer",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a layer loads another model when it is built",
    what: "A TensorFlow Hub `KerasLayer` names the model it wraps by URL or path.",
    why: "Building the layer downloads and loads that SavedModel; what it is can change after this scan.",
    false_positives: "Common in transfer learning with TensorFlow Hub.",
    remedy: "Download the named model, scan it, and load it from disk.",
    references: &["https://www.tensorflow.org/hub/api_docs/python/hub/KerasLayer", "CWE-829"],
};

pub static EMBEDDED_CONTENT: Rule = Rule {
    id: "keras-embedded-content",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "encoded content inside the configuration",
    what: "A text of the configuration or an attribute is a pickle, archive, program or code object, as base64.",
    why: "No built-in layer stores such a thing; a custom layer that unpacks it runs code that was never shown.",
    false_positives: "Custom layers that keep a pickled table among their arguments.",
    remedy: "Look at the findings inside the content.",
    references: &["CWE-506"],
};

pub static CODE_TEXT: Rule = Rule {
    id: "keras-code-text",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "source code or a command inside the configuration",
    what: "A text of the configuration holds a call to `eval`, `exec`, `os.system` or the like, or a shell command.",
    why: "Custom layers that evaluate their arguments run it; no built-in layer needs it.",
    false_positives: "Descriptions that speak of such calls.",
    remedy: "Read the text and the code of the layer that takes it.",
    references: &["CWE-94"],
};

pub static DUPLICATE_KEYS: Rule = Rule {
    id: "keras-duplicate-keys",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a key occurs twice in one object of the configuration",
    what: "The JSON has an object with the same key more than once.",
    why: "Python takes the last value, other readers the first: what a tool shows is not what gets loaded.",
    false_positives: "None from Keras, which cannot write such a document.",
    remedy: "Do not load the file; ask the publisher how it was made.",
    references: &["RFC 8259 section 4", "CWE-436"],
};
