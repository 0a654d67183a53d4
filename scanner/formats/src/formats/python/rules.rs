use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::python::rules as source;

/// Every rule of this format, those of the source analysis included.
pub const ALL: &[&Rule] = &[
    &SOURCELESS,
    &ODD_ENCODING,
    &source::RUNS_COMMAND_AT_LOAD,
    &source::RUNS_COMMAND,
    &source::RUNS_TOOL,
    &source::EXECUTES_HIDDEN,
    &source::EVALUATES_TEXT,
    &source::REVERSE_SHELL,
    &source::SENDS_SECRETS,
    &source::NAMES_SECRETS,
    &source::SPIES,
    &source::NETWORK_AT_IMPORT,
    &source::NETWORK,
    &source::NATIVE_CODE,
    &source::LOADS_CODE,
    &source::UNPICKLES_HIDDEN,
    &source::HIDDEN_NAMES,
    &source::DESTROYS_FILES,
    &source::PLANTS_FILE,
    &source::CHANGES_FILES,
];

/// Bytecode without its source.
pub static SOURCELESS: Rule = Rule {
    id: "python-bytecode-without-source",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "compiled Python lies beside a model",
    what: "A `.pyc` file lies outside `__pycache__`, where Python imports it in place of a source.",
    why: "Nobody reads bytecode; malicious packages hide code there.",
    false_positives: "Vendors that ship compiled modules only.",
    remedy: "Ask for the source.",
    references: &["CWE-506"],
};

/// The text is not what it looks like.
pub static ODD_ENCODING: Rule = Rule {
    id: "python-odd-encoding",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "Python source declares an encoding that hides its text",
    what: "The encoding declaration names ROT13, UTF-7, an escape or a transport encoding.",
    why: "The interpreter decodes the text before it reads it, so the code that runs is not the code that can be read.",
    false_positives: "None known in honest model code.",
    remedy: "Decode the text and inspect that.",
    references: &["PEP 263", "CWE-506"],
};
