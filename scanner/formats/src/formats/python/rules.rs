use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::python::rules as source;

/// Every rule of this format, those of the source analysis included.
pub const ALL: &[&Rule] = &[
    &STARTUP_HOOK,
    &PATH_FILE,
    &PATH_FILE_IN_MODEL,
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

/// A module that Python imports at every start.
pub static STARTUP_HOOK: Rule = Rule {
    id: "python-startup-hook",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a start-up hook of Python lies beside a model",
    what: "A file is named `sitecustomize.py` or `usercustomize.py`.",
    why: "Python imports it whenever it starts with this folder on its path, before any other code.",
    false_positives: "Distributions of Python ship one of their own.",
    remedy: "Remove it unless you put it there.",
    references: &["https://docs.python.org/3/library/site.html", "MITRE ATT&CK T1546.018"],
};

/// A path file with code.
pub static PATH_FILE: Rule = Rule {
    id: "python-path-file-code",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "a path file of Python runs code",
    what: "A text file with the extension `.pth` has lines that start with `import`.",
    why: "In a site directory each such line is executed whenever Python starts; what it does was inspected.",
    false_positives: "Installers of honest packages write them.",
    remedy: "None needed if nothing else was found.",
    references: &["https://docs.python.org/3/library/site.html", "MITRE ATT&CK T1546.018"],
};

/// A path file with code inside a model's container.
pub static PATH_FILE_IN_MODEL: Rule = Rule {
    id: "python-path-file-in-model",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a model's archive carries a path file of Python that runs code",
    what: "A container of a model holds a text file `.pth` with lines that start with `import`.",
    why: "Unpacked into a site directory it is executed whenever Python starts. No model needs one.",
    false_positives: "Archives of whole Python environments.",
    remedy: "Do not unpack the archive into a Python environment.",
    references: &["MITRE ATT&CK T1546.018"],
};

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
