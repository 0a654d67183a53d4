//! What a pickle can be found to do, one page per rule.

use weighbridge_types::{Rule, Severity, Verdict};

/// Every rule of this format.
pub const ALL: &[&Rule] = &[
    &DANGEROUS_CALL,
    &DANGEROUS_IMPORT,
    &DYNAMIC_IMPORT,
    &INDIRECT_CALL,
    &HIJACK,
    &DANGEROUS_CODE,
    &EMBEDDED_CODE,
    &UNKNOWN_GLOBAL,
    &UNEXPECTED_CALL,
    &FOREIGN_METHOD,
    &EXTENSION_CODE,
    &UNREADABLE_ARRAY,
    &BROKEN,
    &JUNK_BETWEEN,
    &TRAILING_DATA,
];

/// A function that gives away control is called.
pub static DANGEROUS_CALL: Rule = Rule {
    id: "pickle-dangerous-call",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "loading it calls a dangerous function",
    what: "The stream imports a function that runs commands or code, loads libraries, opens connections, touches \
           files or deserialises further bytes, and calls it. The evidence is the call as Python would spell it.",
    why: "A pickle is a program for a small stack machine; REDUCE, OBJ, INST, NEWOBJ and BUILD call whatever it names \
          while it is being loaded, before the caller sees any result.",
    false_positives: "None known: data does not need these functions to be rebuilt.",
    remedy: "Do not load the file. If it was loaded, treat the machine as compromised.",
    references: &["CWE-502", "https://docs.python.org/3/library/pickle.html"],
};

/// A name that gives away control is imported, though nothing calls it here.
pub static DANGEROUS_IMPORT: Rule = Rule {
    id: "pickle-dangerous-import",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "it imports a dangerous name",
    what: "The stream imports a function or module that can run code, start programs or reach files and network. No \
           call of it was seen in the stream itself.",
    why: "Importing can run code by itself, and the object stays reachable: as a callback, a default factory, an \
          attribute that the model's own code calls later.",
    false_positives: "A model that keeps such a function as a callback. It is no less dangerous for being honest.",
    remedy: "Do not load the file; ask the publisher for weights without code (safetensors).",
    references: &["CWE-502", "CVE-2025-10157"],
};

/// What is imported is computed while loading.
pub static DYNAMIC_IMPORT: Rule = Rule {
    id: "pickle-dynamic-import",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "the name of an import is computed while loading",
    what: "STACK_GLOBAL takes its module or name from something other than a string written in the stream.",
    why: "Picklers always write the two strings. Computing them has one use: to hide them from scanners.",
    false_positives: "None known.",
    remedy: "Do not load the file.",
    references: &["CWE-502", "CWE-470"],
};

/// The result of a call is called.
pub static INDIRECT_CALL: Rule = Rule {
    id: "pickle-indirect-call",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "loading it calls something found only while loading",
    what: "What is called is itself the result of a call: a method looked up by name, a partial, a getter, a function \
           that came with the stream.",
    why: "Two harmless steps make one harmful call: `attrgetter`, `methodcaller`, `partial`, a callable object.",
    false_positives: "None known from picklers; a few hand-written `__reduce__` methods call a class method.",
    remedy: "Look at the call; do not load the file unless you can explain it.",
    references: &["CWE-502", "https://arxiv.org/abs/2508.19774"],
};

/// State replaces the behaviour of an object, a class, a function or a module.
pub static HIJACK: Rule = Rule {
    id: "pickle-hijack",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "loading it replaces behaviour",
    what: "BUILD, SETITEM or APPEND changes an imported module, class or function, or gives an object special methods \
           such as `__setstate__`, `__reduce__` or `__getattr__` through its state.",
    why: "The replaced method is called by the rest of the stream or by any later code in the process: a call without \
          a visible call.",
    false_positives: "None known: state of honest objects holds data under ordinary names.",
    remedy: "Do not load the file.",
    references: &["CWE-915", "https://github.com/trailofbits/fickling/security/advisories/GHSA-mhc9-48gj-9gp3"],
};

/// Embedded code uses dangerous functions.
pub static DANGEROUS_CODE: Rule = Rule {
    id: "pickle-dangerous-code",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "code carried in the pickle uses dangerous functions",
    what: "A function or class stored by value (cloudpickle, dill, `types.CodeType`) names functions that run \
           commands or code, or open connections; or the code object has a shape no pickler writes.",
    why: "The code runs when the model is used, often already while it is loaded.",
    false_positives: "A model whose own code downloads or starts something. That is worth knowing too.",
    remedy: "Read the function's source with its publisher before using the model.",
    references: &["CWE-502", "CWE-94"],
};

/// Code stored by value.
pub static EMBEDDED_CODE: Rule = Rule {
    id: "pickle-embedded-code",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "it carries compiled code",
    what: "A function or class is stored by value: byte code, not a reference to an installed package.",
    why: "Byte code is opaque to review and runs with the rights of whoever uses the model.",
    false_positives: "Pipelines saved with cloudpickle or dill that hold a lambda.",
    remedy: "Ask for a model without embedded functions, or review them in a sandbox.",
    references: &["CWE-502"],
};

/// A class or function nothing is known about.
pub static UNKNOWN_GLOBAL: Rule = Rule {
    id: "pickle-unknown-global",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "it needs code that is not known to be harmless",
    what: "The stream imports a class or function that is on neither list: not one that known frameworks need to \
           rebuild data, not one known to be dangerous.",
    why: "Loading imports that module and may run anything in it. Deny-lists of scanners have been bypassed dozens of \
          times by names nobody had listed.",
    false_positives: "Models that hold classes of their own project (`__main__`, a training repository).",
    remedy: "Load it only with that project's reviewed source; or convert it to a format without code.",
    references: &["CWE-502"],
};

/// A known name is used in a way no pickler does.
pub static UNEXPECTED_CALL: Rule = Rule {
    id: "pickle-unexpected-call",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a known name is used in a way no pickler uses it",
    what: "A function that is harmless as a reference is called while loading, a class with side effects is \
           constructed, or a rebuilding helper gets arguments of the wrong kind.",
    why: "Functions in trusted packages are the raw material of pickle gadgets.",
    false_positives: "A class with a hand-written `__reduce__` that is not listed yet.",
    remedy: "Look at the call; report it to us if it is honest.",
    references: &["CWE-502"],
};

/// A container opcode calls a method of some object.
pub static FOREIGN_METHOD: Rule = Rule {
    id: "pickle-foreign-method",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a container opcode is applied to something else",
    what: "SETITEM, APPEND or ADDITEMS is applied to an object that is no container of that kind, so that loading \
           calls `__setitem__`, `append`, `extend` or `add` of it.",
    why: "It reaches methods without naming them, and in PyTorch's restricted unpickler it corrupted memory \
          (CVE-2026-24747).",
    false_positives: "Unlisted classes derived from dict or list.",
    remedy: "Do not load it unless the class is known.",
    references: &["CVE-2026-24747", "CWE-502"],
};

/// A code of the extension registry.
pub static EXTENSION_CODE: Rule = Rule {
    id: "pickle-extension-code",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "it imports by a private number",
    what: "EXT1, EXT2 or EXT4 names an import by its number in the `copyreg` extension registry of the process.",
    why: "What it stands for cannot be known from the file.",
    false_positives: "Programs that register their own extension codes; no known framework does.",
    remedy: "Find out which program wrote the file.",
    references: &["https://peps.python.org/pep-0307/"],
};

/// An interleaved array of unknown length.
pub static UNREADABLE_ARRAY: Rule = Rule {
    id: "pickle-unreadable-array",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "an interleaved array has no known length",
    what: "A joblib array wrapper is followed by raw array bytes, but shape or type do not tell how many.",
    why: "What follows the array could not be inspected.",
    false_positives: "Array types newer than this release.",
    remedy: "Save the model again with a current joblib, or load it in a sandbox.",
    references: &["https://joblib.readthedocs.io/en/stable/persistence.html"],
};

/// The machine stopped before STOP.
pub static BROKEN: Rule = Rule {
    id: "pickle-broken",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "the pickle breaks off",
    what: "The stream has an opcode, an operand or a stack state at which every unpickler stops with an error.",
    why: "Everything before the error has already run when it is noticed; what comes after could not be inspected \
          with certainty.",
    false_positives: "Damaged downloads; data that only resembles a pickle.",
    remedy: "Fetch the file again from its publisher.",
    references: &["https://docs.python.org/3/library/pickletools.html"],
};

/// Bytes between two streams.
pub static JUNK_BETWEEN: Rule = Rule {
    id: "pickle-junk-between-streams",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a further pickle hides behind other bytes",
    what: "Behind the end (or the breaking point) of one pickle, after bytes that are none, another pickle begins.",
    why: "Scanners that stop at the first STOP never see it, loaders that seek to it do.",
    false_positives: "Programs with a file format of their own that happens to begin with a pickle.",
    remedy: "Find out which program wrote the file.",
    references: &["CWE-646"],
};

/// Bytes behind the last stream.
pub static TRAILING_DATA: Rule = Rule {
    id: "pickle-trailing-data",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "bytes follow the last pickle",
    what: "The file goes on after the STOP opcode with bytes that are no pickle.",
    why: "`pickle.load` ignores them; they may be meant for another reader.",
    false_positives: "Programs that append raw data to a pickled header.",
    remedy: "Nothing, if you know the program.",
    references: &["CWE-646"],
};
