//! What a llamafile can do wrong.

use weighbridge_types::{Rule, Severity, Verdict};

/// Every rule llamafile can raise beside those of GGUF.
pub const ALL: &[&Rule] = &[&IS_A_PROGRAM, &UNSAFE_ARGUMENT, &LISTENS, &MEMBER_PATH, &MEMBER_SCRIPT];

/// It is a program.
pub static IS_A_PROGRAM: Rule = Rule {
    id: "llamafile-is-a-program",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "a program with a model inside",
    what: "The file is an executable with weights in a ZIP archive behind it. The weights and the archive's other \
           members were inspected; the program itself was not.",
    why: "Opening it runs it with all rights of the user. An antivirus has to judge the executable part.",
    false_positives: "None: every llamafile is one.",
    remedy: "Take it from its publisher and compare the digest; or extract the GGUF and use your own runtime.",
    references: &["https://github.com/Mozilla-Ocho/llamafile"],
};

/// An argument that reaches out.
pub static UNSAFE_ARGUMENT: Rule = Rule {
    id: "llamafile-unsafe-argument",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a llamafile that starts with an unsafe argument",
    what: "`.args` switches the sandbox off, makes the program connect to another host, names a file outside of the \
           archive, or holds a shell command.",
    why: "The arguments apply each time the file is opened, without being asked for.",
    false_positives: "Files made for one machine, with paths of that machine.",
    remedy: "Read `.args` (`unzip -p FILE .args`) and remove what you did not ask for.",
    references: &["CWE-88"],
};

/// A member outside of the folder.
pub static MEMBER_PATH: Rule = Rule {
    id: "llamafile-member-path",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a member whose name leaves the folder",
    what: "A member of the archive has an absolute name, or one that climbs out of the folder with `..`.",
    why: "Extracting the weights writes it elsewhere, over files of the user.",
    false_positives: "None known.",
    remedy: "Do not extract it; take the file from its publisher.",
    references: &["CWE-22"],
};

/// A script among the members.
pub static MEMBER_SCRIPT: Rule = Rule {
    id: "llamafile-member-script",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a script beside the weights",
    what: "A member of the archive starts with `#!`.",
    why: "llamafile needs weights, arguments and libraries; a script waits for something that runs it.",
    false_positives: "Bundles that carry an installation helper.",
    remedy: "Read the script.",
    references: &["CWE-506"],
};

/// It listens everywhere.
pub static LISTENS: Rule = Rule {
    id: "llamafile-listens",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "a llamafile that listens on every interface",
    what: "`.args` holds `--host 0.0.0.0` or `::`.",
    why: "Anyone on the network can use the model and read what its server shows, without a key.",
    false_positives: "Files meant as servers.",
    remedy: "Start it with `--host 127.0.0.1`.",
    references: &["CWE-1327"],
};
