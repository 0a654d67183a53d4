use weighbridge_types::{Rule, Severity, Verdict};

/// Every rule of this format.
pub const ALL: &[&Rule] = &[&LUA_FUNCTION];

/// Lua code travels with the model.
pub static LUA_FUNCTION: Rule = Rule {
    id: "torch7-lua-function",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the file carries precompiled Lua functions",
    what: "An object of type 6, 7 or 8, a function with its bytecode and upvalues, or the signature of precompiled Lua.",
    why: "Lua does not verify bytecode: crafted bytecode corrupts memory, and honest-looking code has all of Lua's library.",
    false_positives: "Models whose authors stored closures with them.",
    remedy: "Convert the weights on a machine of no value, or ask for another format.",
    references: &["CWE-502", "https://github.com/torch/torch7/blob/master/File.lua"],
};
