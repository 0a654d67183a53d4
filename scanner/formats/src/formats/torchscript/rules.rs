use weighbridge_types::{Rule, Severity, Verdict};

use crate::formats::pytorch_zip;

/// Every rule of this format.
pub const ALL: &[&Rule] = &[
    &FILE_ACCESS,
    &NETWORK,
    &CUSTOM_OPERATOR,
    &LIBRARY_OPERATOR,
    &FOREIGN_PYTHON,
    &pytorch_zip::TRAILING_DATA,
    &pytorch_zip::STORAGE_LENGTH,
];

/// Files are read or written by the model.
pub static FILE_ACCESS: Rule = Rule {
    id: "torchscript-file-access",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "the model reads or writes files when it runs",
    what: "TorchScript calls `torch.save` (`aten::save`), `torch.from_file` or another operator with a file name.",
    why: "The interpreter performs it with the rights of the user: a model can overwrite start-up files or read keys, \
          although TorchScript is often taken for safe.",
    false_positives: "None known from exported models.",
    remedy: "Do not run the model; ask the publisher.",
    references: &["CWE-73", "https://pytorch.org/docs/stable/jit_builtin_functions.html"],
};

/// Remote calls from the model.
pub static NETWORK: Rule = Rule {
    id: "torchscript-network",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the model calls other processes over the network",
    what: "TorchScript uses `rpc_async`, `rpc_sync` or collective operators of `c10d`.",
    why: "Remote calls run functions in other processes.",
    false_positives: "Models exported from distributed inference.",
    remedy: "Run it only in the set-up it was made for.",
    references: &["CVE-2024-48063"],
};

/// Operators or classes nobody knows.
pub static CUSTOM_OPERATOR: Rule = Rule {
    id: "torchscript-custom-operator",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the model needs an operator or class of an unknown library",
    what: "An operator namespace or a class under `torch.classes` belongs neither to PyTorch nor to a well-known library.",
    why: "The model only runs with a native library that its user must load first; that library is code.",
    false_positives: "Models of projects with their own operators.",
    remedy: "Find out which library is meant and where it comes from.",
    references: &["CWE-829"],
};

/// Operators of a well-known library.
pub static LIBRARY_OPERATOR: Rule = Rule {
    id: "torchscript-library-operator",
    severity: Severity::Info,
    verdict: Verdict::Clean,
    title: "the model needs an operator of a known library",
    what: "An operator or class of torchvision, torchaudio, TensorRT or a similar library is used.",
    why: "Worth knowing: the library must be there to run the model.",
    false_positives: "This is a note.",
    remedy: "None needed.",
    references: &[],
};

/// Ordinary Python lies among the TorchScript.
pub static FOREIGN_PYTHON: Rule = Rule {
    id: "torchscript-foreign-python",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "ordinary Python lies among the TorchScript sources",
    what: "A source under `code/` imports a Python module, which TorchScript cannot.",
    why: "PyTorch never writes it; it was added for somebody who unpacks and runs it.",
    false_positives: "None known from torch.jit.save.",
    remedy: "Do not run it; ask the publisher.",
    references: &["CWE-506"],
};
