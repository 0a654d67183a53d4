use weighbridge_types::{Rule, Severity, Verdict};

/// Every rule of this format.
pub const ALL: &[&Rule] = &[&NATIVE_CODE, &DANGEROUS_TARGET, &CUSTOM_OPERATOR];

/// Compiled code travels with the model.
pub static NATIVE_CODE: Rule = Rule {
    id: "torch-export-native-code",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the archive carries native code that loading runs",
    what: "A `.pt2` archive holds shared libraries, kernels or C++ sources, as AOTInductor packages do.",
    why: "`aoti_load_package` unpacks and loads the library: it is a program, and runs with the rights of the user.",
    false_positives: "Every honest AOTInductor package has them.",
    remedy: "Load such packages only from publishers you would run a program of, or compile the model yourself.",
    references: &["CWE-114", "https://pytorch.org/docs/stable/torch.compiler_aot_inductor.html"],
};

/// A node calls out of the graph.
pub static DANGEROUS_TARGET: Rule = Rule {
    id: "torch-export-dangerous-target",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "a node of the graph calls a function outside the operators",
    what: "The target of a node resolves, attribute by attribute from `torch`, to files, processes or loaders.",
    why: "The deserialiser turns the text into the function and the graph calls it with arguments of the file's choice.",
    false_positives: "None known from torch.export.",
    remedy: "Do not load the program.",
    references: &["CWE-502", "CWE-470"],
};

/// An operator of an unknown library.
pub static CUSTOM_OPERATOR: Rule = Rule {
    id: "torch-export-custom-operator",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the program needs an operator of an unknown library",
    what: "A node calls an operator whose namespace belongs neither to PyTorch nor to a well-known library.",
    why: "The program only runs with a native library that its user must load first; that library is code.",
    false_positives: "Programs of projects with their own operators.",
    remedy: "Find out which library is meant and where it comes from.",
    references: &["CWE-829"],
};
