use weighbridge_types::{Rule, Severity, Verdict};

/// Rules of this format.
pub static ALL: &[&Rule] = &[&PYTHON, &FILE, &NETWORK, &CUSTOM];

/// Operators that call Python.
pub static PYTHON: Rule = Rule {
    id: "paddle-python-op",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "program that calls Python",
    what: "An operator of the program calls a Python function (`py_func`, `py_layer`).",
    why: "Running the program calls whatever function the process has registered under the number.",
    false_positives: "Training programs; they run nowhere but where they were made.",
    remedy: "Do not run the model; export it without Python functions.",
    references: &["CWE-94"],
};

/// Operators that read or write files.
pub static FILE: Rule = Rule {
    id: "paddle-file-op",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "program that reads or writes files",
    what: "An operator of the program loads or saves a file that it names.",
    why: "Running the program reads or overwrites that file. Exported models keep their parameters beside the program \
          and need no such operator.",
    false_positives: "Programs dumped in the middle of saving or loading.",
    remedy: "Do not run the model.",
    references: &["CWE-73"],
};

/// Operators of distributed training.
pub static NETWORK: Rule = Rule {
    id: "paddle-network-op",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "program that uses the network",
    what: "An operator of the program sends, receives or serves tensors over the network.",
    why: "Inputs leave the machine, or others get in, when the program runs.",
    false_positives: "Programs of distributed training.",
    remedy: "Use a program exported for inference.",
    references: &[],
};

/// Operators of a native library.
pub static CUSTOM: Rule = Rule {
    id: "paddle-custom-op",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "custom operator",
    what: "An operator of the program belongs to the dialect of custom operators.",
    why: "The model runs only after a native library was loaded: code that was not inspected here.",
    false_positives: "Models for a certain project's library.",
    remedy: "Find out who publishes the library.",
    references: &["https://www.paddlepaddle.org.cn/documentation/docs/en/guides/custom_op/new_cpp_op_en.html"],
};
