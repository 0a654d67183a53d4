use weighbridge_types::{Rule, Severity, Verdict};

/// Rules of this format.
pub static ALL: &[&Rule] = &[
    &EXTERNAL_OUTSIDE,
    &EXTERNAL_ODD,
    &EXTERNAL_BOUNDS,
    &EXTERNAL_MEMORY,
    &EXTERNAL_ATTRIBUTE,
    &EXTERNAL_OVERLAP,
    &CONTEXT_OUTSIDE,
    &PYTHON_OPERATOR,
    &CUSTOM_OPERATOR,
    &UNKNOWN_OPERATOR,
    &FUNCTION_OVERRIDE,
    &BAD_SHAPE,
    &SIZE_MISMATCH,
    &FOREIGN_DATA,
];

/// External data that leaves the model's folder.
pub static EXTERNAL_OUTSIDE: Rule = Rule {
    id: "onnx-external-outside",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "tensor data from outside the model's folder",
    what: "A tensor's external data names a file by an absolute path, through `..`, on a drive or network share, or by \
           a URL: in initialisers, sparse tensors, attributes, subgraphs, functions or training graphs.",
    why: "A loader that opens it reads a file of the attacker's choice into the graph, where an output can carry it \
          away; a tool that saves the model again overwrites that file.",
    false_positives: "Tools keep weights beside the model; an exporter that wrote an absolute path made a model that \
                      nobody else can load.",
    remedy: "Do not load the model. If you made it, save it again with a location relative to its folder.",
    references: &["CVE-2022-25882", "CVE-2024-27318", "CVE-2025-51480", "CVE-2026-34446", "CVE-2026-34447", "CWE-22"],
};

/// External data under a name that loaders read differently.
pub static EXTERNAL_ODD: Rule = Rule {
    id: "onnx-external-odd-name",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "tensor data under an odd file name",
    what: "A tensor's external data has an empty or missing location, or one with a backslash, percent encoding, a \
           variable, a home folder or a name that Windows maps to another file.",
    why: "What it opens depends on loader and system; such names get past checks that look for `..` alone.",
    false_positives: "Models saved on Windows with a folder in the location hold a backslash.",
    remedy: "Save the model again with a plain file name as location.",
    references: &["CVE-2024-27318", "CWE-22"],
};

/// External ranges no file has.
pub static EXTERNAL_BOUNDS: Rule = Rule {
    id: "onnx-external-bounds",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "external tensor data with an impossible range",
    what: "The offset or length of a tensor's external data is negative, no number, or beyond any file.",
    why: "Loaders add offset and length and read or allocate that much; a wrapped sum reads foreign memory.",
    false_positives: "None known from honest tools.",
    remedy: "Do not load the model.",
    references: &["CVE-2026-34445", "CWE-190", "CWE-125"],
};

/// ONNX Runtime's marker for tensors in its own memory.
pub static EXTERNAL_MEMORY: Rule = Rule {
    id: "onnx-external-memory",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "tensor data at a memory address",
    what: "A tensor's location is the marker that ONNX Runtime uses for tensors in its own memory; the offset is taken \
           for an address.",
    why: "A runtime that trusts it reads its process's memory at an address of the attacker's choice.",
    false_positives: "None: the marker never leaves a running process.",
    remedy: "Do not load the model.",
    references: &["CWE-822"],
};

/// External data entries that aim at the loader's own fields.
pub static EXTERNAL_ATTRIBUTE: Rule = Rule {
    id: "onnx-external-attribute",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "external data that sets attributes of the loader",
    what: "An external data entry has a key with leading or double underscores.",
    why: "The onnx library before 1.21 set every key as an attribute of a Python object; such keys replace its class \
          or methods.",
    false_positives: "None: the keys of the specification are location, offset, length and checksum.",
    remedy: "Do not load the model; update the onnx library.",
    references: &["CVE-2026-34445", "CWE-915"],
};

/// External ranges that partly cover each other.
pub static EXTERNAL_OVERLAP: Rule = Rule {
    id: "onnx-external-overlap",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "overlapping external tensor data",
    what: "Two tensors take ranges of one external file that partly cover each other.",
    why: "No writer does it; the file's content has two readings.",
    false_positives: "Tools that cut tensors by hand.",
    remedy: "Compare the model with its publisher's.",
    references: &[],
};

/// A compiled graph outside the model's folder.
pub static CONTEXT_OUTSIDE: Rule = Rule {
    id: "onnx-context-outside",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "compiled graph from outside the model's folder",
    what: "An `EPContext` node names its compiled graph by a path that leaves the model's folder.",
    why: "The execution provider opens that file and runs it on the accelerator.",
    false_positives: "Caches written with absolute paths on the machine that compiled them.",
    remedy: "Do not load the model; compile it anew with the cache beside it.",
    references: &["https://onnxruntime.ai/docs/execution-providers/EP-Context-Design.html", "CWE-22"],
};

/// Operators that run Python.
pub static PYTHON_OPERATOR: Rule = Rule {
    id: "onnx-python-operator",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "operator that runs Python",
    what: "A node's operator calls a Python function or module that the node names (`PyOp`, `PythonOp`).",
    why: "Runtimes with Python operators import the module and call it when the graph runs.",
    false_positives: "Training graphs of ONNX Runtime with autograd functions; they are not distributed.",
    remedy: "Do not run the model outside a sandbox.",
    references: &["CWE-94"],
};

/// Operators that need a native library.
pub static CUSTOM_OPERATOR: Rule = Rule {
    id: "onnx-custom-operator",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "custom operator",
    what: "A node's operator belongs to a domain that no usual runtime brings, and the model does not define it as a \
           function.",
    why: "The model runs only after its user loads a native library with that operator: code that was not inspected \
          here and that has all of the user's rights.",
    false_positives: "Models for a certain vendor's runtime.",
    remedy: "Find out who publishes the library; load it from its publisher alone.",
    references: &["https://onnxruntime.ai/docs/reference/operators/add-custom-op.html"],
};

/// Operators of the standard domain that the standard does not have.
pub static UNKNOWN_OPERATOR: Rule = Rule {
    id: "onnx-unknown-operator",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "operator that is in no ONNX operator set",
    what: "A node's operator claims the standard domain and is in none of its operator sets.",
    why: "As with custom operators, it needs native code to run, here behind a standard name.",
    false_positives: "TensorRT plugins are exported this way.",
    remedy: "Find out which runtime the model was made for and where its library comes from.",
    references: &["https://onnx.ai/onnx/operators/"],
};

/// Functions in place of standard operators.
pub static FUNCTION_OVERRIDE: Rule = Rule {
    id: "onnx-function-override",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "function in place of a standard operator",
    what: "The model defines a function with domain and name of a standard operator.",
    why: "By the specification it takes the operator's place: a graph that reads like a usual one computes something \
          else.",
    false_positives: "Converters that spell out new operators for old runtimes.",
    remedy: "Look at the function's nodes.",
    references: &["https://github.com/onnx/onnx/blob/main/docs/IR.md#functions"],
};

/// Shapes aimed at allocators.
pub static BAD_SHAPE: Rule = Rule {
    id: "onnx-bad-shape",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "tensor with impossible dimensions",
    what: "A stored tensor has negative dimensions, or more elements than any machine holds.",
    why: "Runtimes multiply dimensions into the size of an allocation; wrapped products write beyond it.",
    false_positives: "None known from honest tools.",
    remedy: "Do not load the model.",
    references: &["CWE-190", "CWE-789"],
};

/// Data that does not fit its shape.
pub static SIZE_MISMATCH: Rule = Rule {
    id: "onnx-size-mismatch",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "tensor data that does not fit its shape",
    what: "A tensor's dimensions and type ask for another number of bytes than it has.",
    why: "Runtimes that trust the shape read beyond the data.",
    false_positives: "None known from honest tools; the onnx checker refuses such models.",
    remedy: "Do not load the model.",
    references: &["CWE-125"],
};

/// Something else behind or inside the model.
pub static FOREIGN_DATA: Rule = Rule {
    id: "onnx-foreign-data",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "data in the model that is not ONNX",
    what: "The top of the file holds fields that ONNX does not have.",
    why: "Decoders step over unknown fields, so anything can ride along: a pickle, an archive, a program.",
    false_positives: "A much later version of ONNX.",
    remedy: "Look at the bytes from the offset on.",
    references: &["CWE-506"],
};
