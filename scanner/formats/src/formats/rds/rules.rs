use weighbridge_types::{Rule, Severity, Verdict};

pub static ALL: &[&Rule] =
    &[&PROMISE_CALL, &PROMISE, &LANGUAGE, &FUNCTION, &BYTECODE, &POINTER_ALONE, &POINTER, &ODD_LIST, &TRAILING];

const INTERNALS: &str = "https://cran.r-project.org/doc/manuals/r-release/R-ints.html#Serialization-Formats";

/// A promise that runs something.
pub static PROMISE_CALL: Rule = Rule {
    id: "r-promise-call",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "promise that runs code when the object is used",
    what: "The object holds a promise that was never computed, and whose expression calls functions that start \
           programs, load code, evaluate text or reach files and networks.",
    why: "R evaluates a promise on first use of the object that `readRDS` or `load` returned: the code runs without any \
          call by the user.",
    false_positives: "None known: R itself saves such promises only inside environments.",
    remedy: "Do not load the file. R 4.4.0 and later refuse such objects.",
    references: &["CVE-2024-27322", INTERNALS, "CWE-502"],
};

/// A promise.
pub static PROMISE: Rule = Rule {
    id: "r-promise",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "promise among the data",
    what: "The object holds a promise outside the environment of a function, or one whose expression calls dangerous \
           functions though its value is known.",
    why: "R evaluates promises on first use; data needs none.",
    false_positives: "None known outside environments.",
    remedy: "Do not load the file with R before 4.4.0; look at the expression.",
    references: &["CVE-2024-27322", INTERNALS],
};

/// A dangerous call as data.
pub static LANGUAGE: Rule = Rule {
    id: "r-dangerous-call",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "stored call of a dangerous function",
    what: "A call that is part of the data names a function that starts programs, loads code or opens connections.",
    why: "Functions that evaluate the stored call (`update`, `eval`, `model.frame`) run it.",
    false_positives: "Objects that keep the call that made them, if that downloaded its data.",
    remedy: "Look at the call; do not `eval` or `update` the object.",
    references: &[INTERNALS, "CWE-502"],
};

/// A dangerous call in a function.
pub static FUNCTION: Rule = Rule {
    id: "r-dangerous-function",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "stored function that calls a dangerous one",
    what: "The body of a stored function calls one that starts programs, loads code or opens connections.",
    why: "Printing, predicting or plotting the object may call the stored function.",
    false_positives: "Objects that carry utility functions of their author.",
    remedy: "Look at the function before you use the object.",
    references: &[INTERNALS, "CWE-502"],
};

/// Bytecode alone.
pub static BYTECODE: Rule = Rule {
    id: "r-bytecode",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "bytecode outside a function",
    what: "The object itself is compiled code.",
    why: "R runs it unchecked; crafted bytecode reads and writes memory.",
    false_positives: "None known: bytecode is saved as the body of functions.",
    remedy: "Do not load the file.",
    references: &[INTERNALS],
};

/// A pointer alone.
pub static POINTER_ALONE: Rule = Rule {
    id: "r-pointer-alone",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "external pointer as the whole object",
    what: "The object itself is an external pointer.",
    why: "A pointer means nothing in another process; native code that trusts it is led astray.",
    false_positives: "Handles saved by mistake.",
    remedy: "Do not load the file.",
    references: &[INTERNALS],
};

/// A pointer among other data.
pub static POINTER: Rule = Rule {
    id: "r-pointer",
    severity: Severity::Info,
    verdict: Verdict::Clean,
    title: "external pointer",
    what: "The object holds external pointers: handles of native libraries.",
    why: "They are empty after loading; the library has to rebuild what they stood for.",
    false_positives: "Not applicable: it is a note. XGBoost, LightGBM and Torch for R save such handles.",
    remedy: "None.",
    references: &[INTERNALS],
};

/// A pairlist that ends in something else.
pub static ODD_LIST: Rule = Rule {
    id: "r-odd-pairlist",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "pairlist with an unusual end",
    what: "A pairlist or call ends in something other than `NULL` or another cell.",
    why: "R's own writer makes it only of objects that native code built; it may aim at the reader.",
    false_positives: "Objects of packages with native code.",
    remedy: "Look at the other findings.",
    references: &[INTERNALS],
};

/// Bytes after the object.
pub static TRAILING: Rule = Rule {
    id: "r-trailing-bytes",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "bytes behind the object",
    what: "Bytes follow the one object that the file should hold.",
    why: "`readRDS` never sees them, so they survive checks that load the object.",
    false_positives: "Several objects written to one connection with `serialize`.",
    remedy: "Find out who appended them.",
    references: &[INTERNALS],
};
