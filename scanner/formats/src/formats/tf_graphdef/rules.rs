use weighbridge_types::{Rule, Severity, Verdict};

/// Rules of TensorFlow graphs, bare and in SavedModels.
pub static ALL: &[&Rule] = &[
    &FILE_READ,
    &FILE_READ_INPUT,
    &FILE_WRITE,
    &DATASET,
    &TABLE_FILE,
    &SUMMARY,
    &CHECKPOINT_READ,
    &CHECKPOINT_WRITE_INPUT,
    &PYTHON,
    &NETWORK,
    &NATIVE,
    &DEBUG,
    &ABORT,
    &CUSTOM_OP,
    &FUNCTION_OVERRIDE,
    &ASSET_OUTSIDE,
];

/// What all operators that reach outside have in common.
const TENSOR_ABUSE: &str = "TensorAbuse (IEEE S&P 2025): abusing TensorFlow operators in models";
const SECURITY: &str = "https://github.com/tensorflow/tensorflow/blob/master/SECURITY.md";

/// Reads a file that the graph names.
pub static FILE_READ: Rule = Rule {
    id: "tf-file-read",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "graph that reads a file of its choice",
    what: "An operator reads, lists or maps a file whose name stands in the graph and is no asset of the model.",
    why: "Whoever runs the model reads that file; its content can leave through an output, a file or a connection.",
    false_positives: "Training input pipelines that were exported with the model.",
    remedy: "Do not run the model. If it is yours, export it without its input pipeline.",
    references: &[SECURITY, TENSOR_ABUSE, "CWE-73"],
};

/// Reads a file that the caller names.
pub static FILE_READ_INPUT: Rule = Rule {
    id: "tf-file-read-input",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "graph that reads files",
    what: "An operator reads or lists files by a name that is known only when the graph runs.",
    why: "A service that passes its users' inputs to the model lets them read its files.",
    false_positives: "Models that take the path of an image as input.",
    remedy: "Look at where the name comes from; run the model without access to files.",
    references: &[SECURITY, TENSOR_ABUSE],
};

/// Writes files.
pub static FILE_WRITE: Rule = Rule {
    id: "tf-file-write",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "graph that writes files",
    what: "An operator that loading or serving the model runs writes, moves or deletes files: `WriteFile`, dataset \
           writers, prints to a file, or a checkpoint writer outside the model's saver.",
    why: "A file written to the right place (a shell profile, a cron table, `authorized_keys`) runs code.",
    false_positives: "None known from models for serving; savers that every model has are told apart.",
    remedy: "Do not run the model.",
    references: &[SECURITY, TENSOR_ABUSE, "CWE-73"],
};

/// Input pipelines.
pub static DATASET: Rule = Rule {
    id: "tf-dataset-read",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "graph with an input pipeline",
    what: "An operator reads training data from files or draws it from a generator.",
    why: "A model for inference has no need to; whoever runs the pipeline reads those files.",
    false_positives: "Graphs dumped during training (`graph.pbtxt`) hold their input pipeline.",
    remedy: "Use a graph exported for inference.",
    references: &[SECURITY, TENSOR_ABUSE],
};

/// Tables filled from files outside the model.
pub static TABLE_FILE: Rule = Rule {
    id: "tf-table-file",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "lookup table filled from a file outside the model",
    what: "A lookup table is filled from a file named by an absolute path or through `..`, and not from an asset.",
    why: "The lines of that file become readable through lookups.",
    false_positives: "Graphs frozen on the machine that trained them keep its paths.",
    remedy: "Export the model with its vocabulary as asset.",
    references: &[SECURITY, "CWE-73"],
};

/// Event files.
pub static SUMMARY: Rule = Rule {
    id: "tf-summary-writer",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "graph that writes event files",
    what: "An operator creates a summary writer: event files or a database in a folder that the graph names.",
    why: "It creates folders and files wherever the graph says.",
    false_positives: "Graphs dumped during training.",
    remedy: "Use a graph exported for inference.",
    references: &[SECURITY, TENSOR_ABUSE],
};

/// Reads a checkpoint while serving.
pub static CHECKPOINT_READ: Rule = Rule {
    id: "tf-checkpoint-read",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "signature that reads a checkpoint",
    what: "An operator that reads checkpoints stands where callers of the model run it, not in its saver.",
    why: "It replaces weights with those of another file, or reads a file of the graph's choice.",
    false_positives: "Models for training on a device offer a `restore` signature.",
    remedy: "Look at the signatures; run the model without access to files.",
    references: &[SECURITY, TENSOR_ABUSE],
};

/// Writes a checkpoint while serving, under a name the caller gives.
pub static CHECKPOINT_WRITE_INPUT: Rule = Rule {
    id: "tf-checkpoint-write",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "checkpoint written under an unusual name or by callers",
    what: "A checkpoint writer stands where callers of the model run it, or writes to an absolute path in the graph.",
    why: "Checkpoint files can carry chosen bytes to a chosen place.",
    false_positives: "Models for training on a device offer a `save` signature.",
    remedy: "Look at the signatures; run the model without access to files.",
    references: &[SECURITY, TENSOR_ABUSE],
};

/// Python.
pub static PYTHON: Rule = Rule {
    id: "tf-python-op",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "graph that calls Python",
    what: "An operator calls a Python function by its token (`PyFunc`, `EagerPyFunc`, `NumpyFunction`).",
    why: "It runs whatever Python function the process has registered under that token.",
    false_positives: "Models exported with `tf.py_function` in them; they run nowhere but where they were made.",
    remedy: "Do not run the model; export it without Python functions.",
    references: &[SECURITY, TENSOR_ABUSE, "CWE-94"],
};

/// Connections.
pub static NETWORK: Rule = Rule {
    id: "tf-network-op",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "graph that opens connections",
    what: "An operator opens, accepts or uses a network connection.",
    why: "Inputs leave the machine, or others get in, when the graph runs.",
    false_positives: "Training graphs for a data service.",
    remedy: "Do not run the model.",
    references: &[SECURITY, TENSOR_ABUSE, "CWE-918"],
};

/// Native calls by name.
pub static NATIVE: Rule = Rule {
    id: "tf-native-call",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "graph that calls native code by name",
    what: "An operator calls a native function by its name, another device, or sets up a file system.",
    why: "What runs is not in the file.",
    false_positives: "Graphs compiled for certain accelerators.",
    remedy: "Find out what the name stands for.",
    references: &[SECURITY],
};

/// Debug operators with URLs.
pub static DEBUG: Rule = Rule {
    id: "tf-debug-url",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "debug operator that sends tensors away",
    what: "A debug operator has a URL (`file://`, `grpc://`) to send tensors to.",
    why: "Inputs and weights are written to files or sent over the network while the model serves.",
    false_positives: "Graphs saved in the middle of a debugger's session.",
    remedy: "Do not run the model; export it without the debugger.",
    references: &[SECURITY, TENSOR_ABUSE],
};

/// Ends the process.
pub static ABORT: Rule = Rule {
    id: "tf-abort",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "graph that ends its process",
    what: "An `Abort` operator stands in the graph.",
    why: "Running it kills the server that runs it.",
    false_positives: "None known.",
    remedy: "Do not run the model.",
    references: &[SECURITY],
};

/// Operators TensorFlow does not have.
pub static CUSTOM_OP: Rule = Rule {
    id: "tf-custom-op",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "custom operator",
    what: "A node's operator comes with neither TensorFlow nor its companion libraries, and is no function of the \
           graph.",
    why: "The model runs only after `tf.load_op_library` has loaded a native library: code that was not inspected \
          here and that has all of the user's rights.",
    false_positives: "Models for a certain vendor's library; operators newer than our table.",
    remedy: "Find out who publishes the library; load it from its publisher alone.",
    references: &["https://www.tensorflow.org/guide/create_op"],
};

/// Functions that take an operator's place.
pub static FUNCTION_OVERRIDE: Rule = Rule {
    id: "tf-function-override",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "function in place of an operator",
    what: "The graph's library defines a function with the name of an operator of TensorFlow.",
    why: "Lookups find the function first: a graph that reads like a usual one computes something else.",
    false_positives: "None known.",
    remedy: "Look at the function's nodes.",
    references: &[],
};

/// Assets outside the model.
pub static ASSET_OUTSIDE: Rule = Rule {
    id: "tf-asset-outside",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "asset outside the model's folder",
    what: "A SavedModel's asset has a file name with `..`, an absolute path or another way out of `assets/`.",
    why: "The loader joins it to the model's folder and hands the file to the graph, which can read it.",
    false_positives: "None known: writers put every asset into `assets/`.",
    remedy: "Do not load the model.",
    references: &["CWE-22"],
};
