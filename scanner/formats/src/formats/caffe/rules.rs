use weighbridge_types::{Rule, Severity, Verdict};

/// Rules of this format.
pub static ALL: &[&Rule] = &[&PYTHON, &OUTSIDE, &DATA_LAYER];

/// Layers in Python.
pub static PYTHON: Rule = Rule {
    id: "caffe-python-layer",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "layer in Python",
    what: "A layer's type is `Python`: it names a module and a class, and may hold a text for it.",
    why: "Building the net imports the module and makes the class; a module beside the net runs as it is imported.",
    false_positives: "Detection nets (Faster R-CNN) have proposal layers in Python.",
    remedy: "Find the module and look at it before building the net.",
    references: &["https://github.com/BVLC/caffe/blob/master/include/caffe/layers/python_layer.hpp", "CWE-829"],
};

/// Operators of Caffe2 that reach outside the net.
pub static OUTSIDE: Rule = Rule {
    id: "caffe-file-op",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "operator that reads or writes files",
    what: "An operator of a Caffe2 net loads, saves or opens a file, database or store.",
    why: "Running the net reads or writes what the operator names.",
    false_positives: "Nets for training, with their readers and checkpoints.",
    remedy: "Use a net exported for inference.",
    references: &["CWE-73"],
};

/// Data layers.
pub static DATA_LAYER: Rule = Rule {
    id: "caffe-data-layer",
    severity: Severity::Info,
    verdict: Verdict::Clean,
    title: "layer that reads training data",
    what: "A data layer names a file or database.",
    why: "Building the net opens it. Nets for training have such layers, nets for inference do not.",
    false_positives: "Every net for training.",
    remedy: "None needed.",
    references: &[],
};
