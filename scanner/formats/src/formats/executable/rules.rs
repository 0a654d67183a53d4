use weighbridge_types::{Rule, Severity, Verdict};

/// In an archive that holds a model, or in a model that is an archive.
pub static IN_ARCHIVE: Rule = Rule {
    id: "executable-in-model-archive",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "an archive with a model holds an executable",
    what: "Beside weights in one archive lies a program, a library, a script or a shortcut. Archives of software \
           (wheels, Java and Android packages, installed programs, file-system layers) are recognised and exempt.",
    why: "Weights need no programs. They are unpacked together, and a double click, a loader that searches for \
          libraries, or instructions in a README run the attacker's code.",
    false_positives: "A model packed together with the tools to convert or serve it.",
    remedy: "Unpack the weights alone, and look at the rest before it runs.",
    references: &["CWE-506"],
};

/// Under the name of a model.
pub static UNDER_MODEL_NAME: Rule = Rule {
    id: "executable-under-model-name",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "an executable stands under a model's name",
    what: "The name is that of a model file, the content a program, a library or a script.",
    why: "What is fetched and kept as a model passes where programs are looked at, and is run by another step.",
    false_positives: "None known from honest tools; llamafiles have a format of their own.",
    remedy: "Do not run it; ask the publisher.",
    references: &["CWE-646", "https://attack.mitre.org/techniques/T1036/"],
};

/// A native extension module of Python.
pub static NATIVE_MODULE: Rule = Rule {
    id: "native-module-beside-model",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a native Python module lies beside a model",
    what: "A compiled extension module (`.cpython-…so`, `.abi3.so`, `.pyd`) lies in the folder of a model, outside of \
           any Python package.",
    why: "The model's own code imports it by name, and what it does cannot be read.",
    false_positives: "Repositories that ship compiled operators; environments whose packages are recognised are exempt.",
    remedy: "Build it from its source, or do without.",
    references: &["CWE-829"],
};

/// In a folder with a model.
pub static BESIDE: Rule = Rule {
    id: "executable-beside-model",
    severity: Severity::Info,
    verdict: Verdict::Clean,
    title: "an executable lies beside a model",
    what: "The folder of a model also holds a program, a library or a script.",
    why: "Worth knowing when the folder came from elsewhere as a whole.",
    false_positives: "Folders of installed programs, repositories with training scripts.",
    remedy: "Look at it before it runs.",
    references: &[],
};

/// A script that attacks.
pub static SCRIPT_ATTACK: Rule = Rule {
    id: "script-attack",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "a script beside a model opens a shell to another machine or hides what it runs",
    what: "The script holds a reverse shell, or runs an encoded or downloaded PowerShell command out of sight.",
    why: "Whoever runs it hands the machine over.",
    false_positives: "Collections of attack tools.",
    remedy: "Do not run it; report it to the hub.",
    references: &["https://attack.mitre.org/techniques/T1059/"],
};
