use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::tensors::rules as tensors;

/// Rules of the weights.
pub static ALL: &[&Rule] = &[&NAME_COUNT, &TRAILING, &tensors::PROGRAM];
/// Rules of the graphs.
pub static SYMBOL: &[&Rule] = &[&PYTHON_OPERATOR, &LIBRARY, &PICKLED_ATTRIBUTE, &INDEX_OUTSIDE, &DUPLICATE_KEY];

/// Names and arrays differ in number.
pub static NAME_COUNT: Rule = Rule {
    id: "mxnet-name-count",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "other names than arrays",
    what: "The file gives another number of names than of arrays, and not none.",
    why: "Loaders pair them by position and read beyond the shorter list.",
    false_positives: "None: the writer refuses it.",
    remedy: "Do not load the file.",
    references: &["CWE-125"],
};

/// Bytes after the names.
pub static TRAILING: Rule = Rule {
    id: "mxnet-trailing-bytes",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "bytes behind the names",
    what: "Bytes follow the last name of a `.params` file. They are inspected by whatever they turn out to be.",
    why: "Loaders never see them, so they survive checks that load the model.",
    false_positives: "None known.",
    remedy: "Find out who appended them.",
    references: &["https://mxnet.apache.org/versions/1.9.1/"],
};

/// An operator written in Python.
pub static PYTHON_OPERATOR: Rule = Rule {
    id: "mxnet-python-operator",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "operator written in Python",
    what: "A node is of type `Custom`, `_Native` or `_NDArray`: it calls Python code that the program registered under \
           the name in `op_type`.",
    why: "The model does not run without that code, which comes along with it or has to be fetched.",
    false_positives: "Research models with layers of their own.",
    remedy: "Read the code that registers the operator before you import it.",
    references: &["https://mxnet.apache.org/versions/1.9.1/api/python/docs/tutorials/extend/customop.html"],
};

/// A native library.
pub static LIBRARY: Rule = Rule {
    id: "mxnet-library-path",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "attribute that names a native library",
    what: "An attribute of a node is the path of a shared library.",
    why: "Extensions load it (`mx.library.load`), and its code runs at once.",
    false_positives: "Graphs partitioned for an accelerator on the machine that runs them.",
    remedy: "Do not load libraries that came with a model.",
    references: &["https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/mxnet/library/index.html", "CWE-114"],
};

/// A pickle in an attribute.
pub static PICKLED_ATTRIBUTE: Rule = Rule {
    id: "mxnet-pickled-attribute",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "attribute that holds a pickle",
    what: "An attribute of a node is a pickle in base64. Its content is inspected as such.",
    why: "Programs that read the attribute so unpickle it.",
    false_positives: "Programs that keep settings of their own so.",
    remedy: "Look at what the pickle calls.",
    references: &["CWE-502"],
};

/// An index beyond the nodes.
pub static INDEX_OUTSIDE: Rule = Rule {
    id: "mxnet-index-out-of-range",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "node that does not exist",
    what: "An input, an argument or a head refers to a node that the graph does not have.",
    why: "Loaders that trust the number read outside their arrays.",
    false_positives: "None: no exporter writes it.",
    remedy: "Do not load the file.",
    references: &["CWE-129"],
};

/// A key that occurs twice.
pub static DUPLICATE_KEY: Rule = Rule {
    id: "mxnet-duplicate-key",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "key that occurs twice in the graph",
    what: "An object of the document has two entries of one name.",
    why: "Readers disagree about which one counts: one graph is shown, another runs.",
    false_positives: "None: no exporter writes it.",
    remedy: "Do not load the file.",
    references: &["CWE-436"],
};
