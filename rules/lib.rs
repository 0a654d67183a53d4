//! The detector tables and YARA rules of this release, embedded as text.
//!
//! Data only: what the tables mean is known where they are used.
#![forbid(unsafe_code)]

/// Our YARA rules: file name and text.
pub const YARA: &[(&str, &str)] = &[
    ("executables.yar", include_str!("yara/executables.yar")),
    ("incidents.yar", include_str!("yara/incidents.yar")),
    ("miners.yar", include_str!("yara/miners.yar")),
    ("shells.yar", include_str!("yara/shells.yar")),
];

/// [`YARA`] compiled for this release, behind a line that says from what
/// (`cargo xtask rules` writes it).
pub const COMPILED_YARA: &[u8] = include_bytes!("yara/compiled.bin");

/// Where inference stacks keep models (`stacks.txt`).
pub const STACKS: &str = include_str!("stacks.txt");

/// Advisories in OSV format (`advisories/README.md`): file name and text.
pub const ADVISORIES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/advisories.rs"));

/// Inference stacks and how they are found (`programs.txt`).
pub const PROGRAMS: &str = include_str!("programs.txt");

/// How inference stacks look while they run (`processes.txt`).
pub const PROCESSES: &str = include_str!("processes.txt");

/// Releases of Triton Inference Server (`triton.txt`).
pub const TRITON_RELEASES: &str = include_str!("triton.txt");

/// The text of every table and rule here, for digests over all that decides.
pub fn tables() -> impl Iterator<Item = &'static str> {
    let tables = [
        pickle::ALLOW,
        pickle::DENY,
        pickle::STDLIB,
        pickle::WORDS,
        marshal::NAMES,
        marshal::TEXTS,
        keras::CLASSES,
        keras::ALIASES,
        keras::FUNCTIONS,
        keras::UNSAFE,
        keras::MODULES,
        keras::BUILTINS,
        keras::OPERATIONS,
        ONNX_OPERATORS,
        ONNX_DOMAINS,
        ONNX_EXTENSIONS,
        TENSORFLOW_REACHING_OPS,
        TENSORFLOW_KNOWN_OPS,
    ];
    YARA.iter().map(|(_, text)| *text).chain(tables)
}

/// Names that pickles import.
pub mod pickle {
    /// Names needed to rebuild data, by module and name.
    pub const ALLOW: &str = include_str!("pickle/allow.txt");
    /// Names that give away control, by module and name, in sections that say
    /// why.
    pub const DENY: &str = include_str!("pickle/deny.txt");
    /// Top-level modules of the standard library.
    pub const STDLIB: &str = include_str!("pickle/stdlib.txt");
    /// Names that stored code cannot use without attention.
    pub const WORDS: &str = include_str!("pickle/words.txt");
}

/// Code objects that CPython's `marshal` stores.
pub mod marshal {
    /// Names that give dangerous code away, one a line; those after `?` count
    /// only together.
    pub const NAMES: &str = include_str!("marshal/names.txt");
    /// Pieces of text that do.
    pub const TEXTS: &str = include_str!("marshal/texts.txt");
}

/// Configurations of Keras models.
pub mod keras {
    /// Classes of Keras and its sister libraries, one a line.
    pub const CLASSES: &str = include_str!("keras/classes.txt");
    /// Other names of such classes.
    pub const ALIASES: &str = include_str!("keras/aliases.txt");
    /// Functions that configurations name.
    pub const FUNCTIONS: &str = include_str!("keras/functions.txt");
    /// Functions and classes of Keras that no configuration names honestly.
    pub const UNSAFE: &str = include_str!("keras/unsafe.txt");
    /// Python modules whose objects no configuration names honestly.
    pub const MODULES: &str = include_str!("keras/modules.txt");
    /// Python builtins that no configuration names honestly.
    pub const BUILTINS: &str = include_str!("keras/builtins.txt");
    /// TensorFlow operations that read, write, load or run something else.
    pub const OPERATIONS: &str = include_str!("keras/operations.txt");
}

/// Operators of the ONNX standard: `domain name` per line.
pub const ONNX_OPERATORS: &str = include_str!("onnx/operators.txt");
/// Operator domains that come with a runtime or an exporter, one per line.
pub const ONNX_DOMAINS: &str = include_str!("onnx/domains.txt");
/// Operators of onnxruntime-extensions, one per line.
pub const ONNX_EXTENSIONS: &str = include_str!("onnx/extensions.txt");
/// TensorFlow operators that reach outside the graph: `name class reason` per line.
pub const TENSORFLOW_REACHING_OPS: &str = include_str!("tensorflow/ops.txt");
/// Every operator of TensorFlow itself and its companion libraries, one per line.
pub const TENSORFLOW_KNOWN_OPS: &str = include_str!("tensorflow/known_ops.txt");
