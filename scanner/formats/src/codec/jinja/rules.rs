//! What a chat template can do wrong.

use weighbridge_types::{Rule, Severity, Verdict};

/// Every rule [`super::inspect`] can raise, for the formats that call it.
pub const ALL: &[&Rule] = &[
    &SANDBOX_ESCAPE,
    &FORBIDDEN_CALL,
    &LOADS_FILE,
    &REACHES_OBJECT,
    &OBFUSCATED,
    &RESOURCE_BOMB,
    &CONTENT_TRIGGER,
    &DATE_TRIGGER,
    &INJECTED_INSTRUCTION,
    &REWRITES_CONTENT,
    &ACTIVE_MARKUP,
    &INVISIBLE_TEXT,
    &ENCODED_BLOB,
    &TOO_COMPLEX,
    &UNFINISHED,
];

const REMOVE: &str = "Do not load the model with this template. Take the template of the model's publisher, or override \
                      it (`--chat-template` and the like).";
const COMPARE: &str =
    "Read the template and compare it with that of the model's publisher; override it if they differ.";

/// A way out of the sandbox.
pub static SANDBOX_ESCAPE: Rule = Rule {
    id: "template-sandbox-escape",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "a chat template reaches Python's object graph",
    what: "The template names, spells out or puts together an attribute such as `__class__`, `__globals__` or `mro`: \
           directly, as a subscript, through `|attr` or `|map(attribute=…)`, or out of pieces, escapes, slices and \
           formats.",
    why: "From any object these attributes lead to `os.system`. Runtimes that render templates without a sandbox run \
          the attacker's command as soon as the model is loaded or the first message is sent.",
    false_positives: "None known: no published chat template uses such an attribute.",
    remedy: REMOVE,
    references: &["CVE-2024-34359", "CVE-2024-56326", "CVE-2025-27516", "CWE-1336"],
};

/// A call that runs code.
pub static FORBIDDEN_CALL: Rule = Rule {
    id: "template-forbidden-call",
    severity: Severity::Critical,
    verdict: Verdict::Malicious,
    title: "a chat template calls the operating system",
    what: "The template calls a function such as `popen`, `eval` or `open`, reaches into a module such as `os`, or \
           holds a string of such code.",
    why: "Templates format messages; nothing in that needs a process, a file or an interpreter.",
    false_positives: "None known from published templates.",
    remedy: REMOVE,
    references: &["CVE-2024-34359", "CWE-1336", "CWE-78"],
};

/// A template that loads another.
pub static LOADS_FILE: Rule = Rule {
    id: "template-loads-file",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "a chat template loads other files",
    what: "The template uses `include`, `import`, `from` or `extends`.",
    why: "Where the runtime has a loader, the named file is read and put into the prompt, or run as a template.",
    false_positives: "None known: chat templates are single files, rendered without a loader.",
    remedy: REMOVE,
    references: &["CWE-98", "CWE-1336"],
};

/// An object of the environment.
pub static REACHES_OBJECT: Rule = Rule {
    id: "template-reaches-object",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a chat template reaches into the rendering environment",
    what: "The template uses attributes of `self`, `lipsum`, `cycler`, `request`, `config` or similar objects, private \
           attributes, `|attr` in place of a dot, or `debug`.",
    why: "These objects are the usual first step out of the sandbox, and some hold the server's settings.",
    false_positives: "Variables of the same name that a runtime passes to its templates.",
    remedy: COMPARE,
    references: &["CVE-2024-34359", "CWE-1336"],
};

/// Names hidden in pieces.
pub static OBFUSCATED: Rule = Rule {
    id: "template-obfuscated-name",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a chat template hides the names it uses",
    what: "The template passes a computed name to `|attr`, holds pieces of double-underscore names (`__cl`, `__`), or \
           takes single characters out of an object's text.",
    why: "Names are put together like this to pass filters that look for `__class__`.",
    false_positives: "None known from published templates.",
    remedy: REMOVE,
    references: &["CWE-1336"],
};

/// A template made to exhaust.
pub static RESOURCE_BOMB: Rule = Rule {
    id: "template-resource-bomb",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a chat template made to exhaust time or memory",
    what: "Loops of a hundred million rounds, ranges or arguments above ten million, texts repeated a hundred thousand \
           times, huge powers, or a macro that calls itself without a condition.",
    why: "One message stops the server.",
    false_positives: "None known.",
    remedy: REMOVE,
    references: &["CWE-400", "CWE-674"],
};

/// Behaviour on certain words.
pub static CONTENT_TRIGGER: Rule = Rule {
    id: "template-content-trigger",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a chat template acts on what the user writes",
    what: "A condition looks for words of natural language or a host name in a message and then puts further text \
           into the prompt. Marks such as `</think>`, `/no_think` or `<|im_start|>` do not count.",
    why: "This is a backdoor that needs no change of the weights: on the trigger the model is told something its user \
          never sees.",
    false_positives: "Templates that switch modes by a phrase in the system message.",
    remedy: COMPARE,
    references: &[
        "https://www.pillar.security/blog/llm-backdoors-at-the-inference-level-the-threat-of-poisoned-templates",
        "OWASP LLM04:2025",
    ],
};

/// Behaviour on certain days.
pub static DATE_TRIGGER: Rule = Rule {
    id: "template-date-trigger",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a chat template acts on the date",
    what: "A condition compares the current date with a constant and then puts text into the prompt.",
    why: "A backdoor that stays silent until a day passes every test before it.",
    false_positives: "Templates that put a date into words.",
    remedy: COMPARE,
    references: &["CWE-511", "OWASP LLM04:2025"],
};

/// Text that turns the model against its user.
pub static INJECTED_INSTRUCTION: Rule = Rule {
    id: "template-injected-instruction",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a chat template tells the model to work against its user",
    what: "Text of the template tells the model to ignore its instructions, to hide something from the user, to add \
           a link, to plant a vulnerability, or to collect secrets.",
    why: "The template stands before every conversation; the user does not see it.",
    false_positives: "Prompts of guard models that quote attacks.",
    remedy: COMPARE,
    references: &[
        "https://www.pillar.security/blog/llm-backdoors-at-the-inference-level-the-threat-of-poisoned-templates",
        "OWASP LLM01:2025",
    ],
};

/// Words exchanged in messages.
pub static REWRITES_CONTENT: Rule = Rule {
    id: "template-rewrites-content",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a chat template exchanges words in messages",
    what: "The template replaces words of natural language in a message by others.",
    why: "Account numbers, names and hosts are exchanged between what the user wrote and what the model reads.",
    false_positives: "None known; honest templates replace marks and line breaks.",
    remedy: COMPARE,
    references: &["OWASP LLM04:2025"],
};

/// Markup that acts.
pub static ACTIVE_MARKUP: Rule = Rule {
    id: "template-active-markup",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a chat template puts out active markup",
    what: "Text of the template holds HTML that acts (`<script`, `<iframe`, `<a href`), an HTML comment, or a Markdown \
           link or image with a web address.",
    why: "The model repeats it into chat windows and web pages, which run it or send data to the address.",
    false_positives: "Models that write HTML and show an example of it in their prompt.",
    remedy: COMPARE,
    references: &["CWE-79", "OWASP LLM05:2025"],
};

/// Characters nobody sees.
pub static INVISIBLE_TEXT: Rule = Rule {
    id: "template-invisible-text",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a chat template holds invisible characters",
    what: "Text of the template holds zero-width, bidirectional or tag characters. Joiners of emoji and scripts do not \
           count.",
    why: "Instructions written in them reach the model and no reader.",
    false_positives: "Text pasted from word processors.",
    remedy: COMPARE,
    references: &["CWE-1007", "https://trojansource.codes"],
};

/// An encoded blob.
pub static ENCODED_BLOB: Rule = Rule {
    id: "template-encoded-blob",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a chat template holds an encoded blob",
    what: "Text of the template holds a long run of base64.",
    why: "Models decode base64; instructions hidden in it pass filters and readers.",
    false_positives: "None known from published templates.",
    remedy: COMPARE,
    references: &["OWASP LLM01:2025"],
};

/// A template that does not parse.
pub static UNFINISHED: Rule = Rule {
    id: "template-unfinished",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "a chat template that ends too early",
    what: "The template ends inside a tag, a comment, a string or a block.",
    why: "Jinja refuses it; a tolerant renderer may see something else than what was inspected.",
    false_positives: "A template cut by a tool that limits the length of fields.",
    remedy: COMPARE,
    references: &[],
};

/// Nested beyond what is followed.
pub static TOO_COMPLEX: Rule = Rule {
    id: "template-too-complex",
    severity: Severity::Medium,
    verdict: Verdict::Unknown,
    title: "a chat template too deeply nested to follow",
    what: "Brackets nest deeper than 40, blocks deeper than 256, or more than 2000 names are assigned.",
    why: "What stands inside could not be inspected; renderers in Python fail on such templates or run out of stack.",
    false_positives: "None known.",
    remedy: COMPARE,
    references: &["CWE-674"],
};
