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

/// A file that the Python interpreter runs by itself.
pub static STARTUP_HOOK: Rule = Rule {
    id: "python-startup-hook",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a file that Python runs at every start lies beside a model",
    what: "`sitecustomize.py`, `usercustomize.py`, or a `.pth` file with an `import` line: unpacked into a folder \
           that Python searches, it runs at every start of the interpreter. Or `autorun.inf`.",
    why: "Unpacking is enough to be attacked later, without the model ever being loaded.",
    false_positives: "Files of virtual environments; those that packaging tools write are recognised and exempt.",
    remedy: "Remove it, and find out where it came from.",
    references: &[
        "https://docs.python.org/3/library/site.html",
        "CWE-829",
        "https://attack.mitre.org/techniques/T1546/018/",
    ],
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
