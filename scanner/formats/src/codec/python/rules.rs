//! Rules about Python source that belongs to a model.

use weighbridge_types::{Rule, Severity, Verdict};

/// Every rule here.
pub const ALL: &[&Rule] = &[
    &RUNS_COMMAND_AT_LOAD,
    &RUNS_COMMAND,
    &RUNS_TOOL,
    &EXECUTES_HIDDEN,
    &EVALUATES_TEXT,
    &REVERSE_SHELL,
    &SENDS_SECRETS,
    &NAMES_SECRETS,
    &SPIES,
    &NETWORK_AT_IMPORT,
    &NETWORK,
    &NATIVE_CODE,
    &LOADS_CODE,
    &UNPICKLES_HIDDEN,
    &HIDDEN_NAMES,
    &DESTROYS_FILES,
    &PLANTS_FILE,
    &CHANGES_FILES,
];

/// A process is started when the code is imported or the model loaded.
pub static RUNS_COMMAND_AT_LOAD: Rule = Rule {
    id: "python-runs-command-at-load",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "Python code starts a process when the model is loaded",
    what: "`os.system`, `subprocess` or another function that starts a process is called at import, or in a method \
           that loaders call (`__init__`, `initialize`, `forward`…), directly or through names that hide it.",
    why: "Loading the model runs the command with the rights of the user.",
    false_positives: "Sources that install packages or compile kernels at import. Calls of well-known read-only tools \
                      (ffmpeg, nvidia-smi, git rev-parse…) are reported as `python-runs-tool` instead.",
    remedy: "Read the line. Do not load the model with remote code enabled unless you understand the command.",
    references: &["CWE-78", "MITRE ATLAS AML.T0011.000"],
};

/// A process may be started by a function.
pub static RUNS_COMMAND: Rule = Rule {
    id: "python-runs-command",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "Python code of a model can start a process",
    what: "A function that starts a process is called, but not at import.",
    why: "Whoever calls the function runs the command; models have no need to.",
    false_positives: "Training and conversion scripts, kernels compiled on demand.",
    remedy: "Read the function and who calls it.",
    references: &["CWE-78"],
};

/// A read-only tool is started, or a command under the main guard.
pub static RUNS_TOOL: Rule = Rule {
    id: "python-runs-tool",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "Python code starts a known tool",
    what: "A media or version tool (ffmpeg, nvidia-smi, git rev-parse…) is started with plain arguments, or a command \
           runs only when the file is started as a script.",
    why: "Worth knowing: what the tool is given may come from the model's users.",
    false_positives: "This is a note.",
    remedy: "None needed.",
    references: &[],
};

/// Code that was hidden by an encoding, or fetched, is executed.
pub static EXECUTES_HIDDEN: Rule = Rule {
    id: "python-executes-hidden-code",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "Python code decodes or downloads text and executes it",
    what: "`exec` or `eval` is given what came out of base64, hex, zlib, marshal, `chr` or the network, at import or \
           when the model is loaded.",
    why: "The code that runs is not the code that can be read. Malicious packages and models are built this way.",
    false_positives: "None known in honest model code.",
    remedy: "Do not load the model; report it to the hub.",
    references: &["CWE-506", "CWE-95"],
};

/// Text that is not constant is evaluated.
pub static EVALUATES_TEXT: Rule = Rule {
    id: "python-evaluates-text",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "Python code of a model evaluates text",
    what: "`eval`, `exec`, `runpy` or a relative is given text that is not constant.",
    why: "Whoever controls the text (a configuration value, a prompt, a file) runs code.",
    false_positives: "Sources that evaluate their own configuration.",
    remedy: "Find out where the text comes from.",
    references: &["CWE-95"],
};

/// A socket with a shell on it.
pub static REVERSE_SHELL: Rule = Rule {
    id: "python-reverse-shell",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "Python code connects a shell to a socket",
    what: "One source opens a socket and starts a shell, redirects its streams to the socket, or runs what it receives.",
    why: "The attacker gets an interactive session on the machine.",
    false_positives: "None known in honest model code.",
    remedy: "Do not load the model; treat machines that did as compromised.",
    references: &["MITRE ATT&CK T1059.006", "CWE-506"],
};

/// Environment or key files leave the machine.
pub static SENDS_SECRETS: Rule = Rule {
    id: "python-sends-secrets",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "Python code sends the environment or key files to another host",
    what: "The whole environment, or the content of a file that holds credentials, is an argument of a call that sends \
           data, at import or when the model is loaded.",
    why: "Environment variables and key files hold tokens of clouds, hubs and source hosts.",
    false_positives: "None known in honest model code.",
    remedy: "Do not load the model; revoke the tokens of machines that did.",
    references: &["MITRE ATT&CK T1552", "CWE-522"],
};

/// Key files are named in a source that sends data.
pub static NAMES_SECRETS: Rule = Rule {
    id: "python-names-secrets",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "Python code names places of credentials and sends data",
    what: "The source names a file or service that holds credentials and also sends data over the network.",
    why: "Credential thieves look like this.",
    false_positives: "Clients that log in with the user's own credentials.",
    remedy: "Read what is sent, and where.",
    references: &["MITRE ATT&CK T1552"],
};

/// Keystrokes, screen, clipboard, password stores.
pub static SPIES: Rule = Rule {
    id: "python-spies",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "Python code reads keystrokes, the screen, the clipboard or password stores",
    what: "Libraries that watch the user are called.",
    why: "A model has no use for them; spyware does.",
    false_positives: "Agents that operate a desktop on purpose.",
    remedy: "Read the source.",
    references: &["MITRE ATT&CK T1056"],
};

/// Importing connects.
pub static NETWORK_AT_IMPORT: Rule = Rule {
    id: "python-network-at-import",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "importing the model's code opens a connection",
    what: "A request or socket is opened while the module is imported.",
    why: "It tells somebody that the model was loaded, and can fetch more.",
    false_positives: "Sources that download weights or word lists at import.",
    remedy: "Check the address.",
    references: &["CWE-829"],
};

/// A function uses the network.
pub static NETWORK: Rule = Rule {
    id: "python-network",
    severity: Severity::Info,
    verdict: Verdict::Clean,
    title: "Python code can use the network",
    what: "A function opens connections or downloads.",
    why: "Worth knowing for models that must run without a network.",
    false_positives: "This is a note: processors often fetch images by URL.",
    remedy: "None needed.",
    references: &[],
};

/// Native code is loaded or compiled.
pub static NATIVE_CODE: Rule = Rule {
    id: "python-loads-native-code",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "Python code loads or compiles native code when the model is loaded",
    what: "`ctypes`, `cffi`, `torch.ops.load_library`, `cpp_extension.load` or a relative is called at import or in a \
           method that loaders call.",
    why: "Native code is opaque to inspection and runs with the rights of the user.",
    false_positives: "Models that bring their own kernels.",
    remedy: "Check where the library or its sources come from.",
    references: &["CWE-114"],
};

/// Marshalled code becomes a function.
pub static LOADS_CODE: Rule = Rule {
    id: "python-loads-bytecode",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "Python code turns bytes into code",
    what: "`marshal.loads`, `types.FunctionType` or `types.CodeType` is called.",
    why: "What it makes cannot be read in the source.",
    false_positives: "Serialisers of lambdas.",
    remedy: "Find the bytes and have their code inspected.",
    references: &["CWE-502"],
};

/// Embedded or fetched pickles are loaded.
pub static UNPICKLES_HIDDEN: Rule = Rule {
    id: "python-unpickles-hidden-data",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "Python code unpickles data it decoded or downloaded",
    what: "A pickle loader is given what came out of a decoder or over the network, when the model is loaded.",
    why: "Unpickling runs whatever the data asks for.",
    false_positives: "Caches fetched from the publisher's own host.",
    remedy: "Check the source of the data.",
    references: &["CWE-502"],
};

/// Names are computed to hide them.
pub static HIDDEN_NAMES: Rule = Rule {
    id: "python-hides-names",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "Python code hides what it imports or calls",
    what: "A module or attribute is looked up by a name that was decoded, `__subclasses__` of `object` is walked, or the \
           interpreter's import and trace hooks are replaced at import.",
    why: "Honest code writes the names down.",
    false_positives: "Debuggers and coverage tools.",
    remedy: "Decode the name and judge the call.",
    references: &["CWE-506", "CWE-656"],
};

/// Files outside are deleted at load.
pub static DESTROYS_FILES: Rule = Rule {
    id: "python-destroys-files",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "Python code deletes files outside its directory when the model is loaded",
    what: "A deletion with an absolute path, a home directory or `..` runs at import or when the model is loaded.",
    why: "It destroys the user's data.",
    false_positives: "None known in honest model code.",
    remedy: "Do not load the model.",
    references: &["CWE-506"],
};

/// A start-up file is written at load.
pub static PLANTS_FILE: Rule = Rule {
    id: "python-plants-file",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "Python code writes to a place that runs at login or grants access",
    what: "A shell profile, cron table, autostart entry, `authorized_keys` or a start-up hook of Python is written at \
           import or when the model is loaded.",
    why: "The attacker's code or key stays after the model is gone.",
    false_positives: "None known in honest model code.",
    remedy: "Do not load the model; check the named place on machines that did.",
    references: &["MITRE ATT&CK T1547", "CWE-506"],
};

/// Files are changed at load.
pub static CHANGES_FILES: Rule = Rule {
    id: "python-changes-files",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "Python code writes or deletes files when the model is loaded",
    what: "Files are written, moved or deleted at import, or deleted in a method that loaders call.",
    why: "Loading a model should leave the disk alone.",
    false_positives: "Sources that unpack data or write a cache beside themselves.",
    remedy: "Check the path.",
    references: &["CWE-73"],
};
