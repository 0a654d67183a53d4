use weighbridge_types::{Rule, Severity, Verdict};

pub static ALL: &[&Rule] =
    &[&BAD_COUNT, &TREE_COUNT, &BAD_TREE, &ODD_NAME, &PICKLED_ATTRIBUTE, &CODE_ATTRIBUTE, &DUPLICATE_KEY, &TRAILING];

const MODEL_IO: &str = "https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html";

/// A count that sizes memory is absurd.
pub static BAD_COUNT: Rule = Rule {
    id: "xgboost-bad-count",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a count is negative or absurd",
    what: "The number of features, classes, targets or trees is negative, absurdly large, or no number.",
    why: "The loader reserves memory by these numbers.",
    false_positives: "None: no trainer writes it.",
    remedy: "Do not load the file.",
    references: &["CWE-789"],
};

/// Fewer or more trees than stated.
pub static TREE_COUNT: Rule = Rule {
    id: "xgboost-tree-count",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "another number of trees than stated",
    what: "`num_trees` differs from the length of `trees`.",
    why: "Loaders size their tables by one and fill them by the other.",
    false_positives: "None: the writer takes both from one list.",
    remedy: "Do not load the file.",
    references: &["CWE-125"],
};

/// Links of a tree that lead astray.
pub static BAD_TREE: Rule = Rule {
    id: "xgboost-bad-tree",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "tree whose links lead outside or in a circle",
    what: "A node's child does not exist or leads back, the number of nodes is wrong, or a split is on a feature that the \
           model does not have.",
    why: "Predictors follow the links without a check: they read outside the tree, or never return.",
    false_positives: "None: no trainer writes it.",
    remedy: "Do not load the file.",
    references: &["CWE-125", "CWE-835"],
};

/// A name that is none.
pub static ODD_NAME: Rule = Rule {
    id: "xgboost-odd-name",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "objective or booster that XGBoost cannot have",
    what: "The name of the objective holds characters that no objective has, or the booster is unknown.",
    why: "Names are looked up in a registry that plugins extend; text with paths or code aims at whatever reads it.",
    false_positives: "Boosters of a fork.",
    remedy: "Do not load the file, unless you know the program that wrote it.",
    references: &[MODEL_IO],
};

/// A pickle in an attribute.
pub static PICKLED_ATTRIBUTE: Rule = Rule {
    id: "xgboost-pickled-attribute",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "attribute that holds a pickle",
    what: "An attribute of the model is a pickle in base64. Its content is inspected as such.",
    why: "Programs that read the attribute so unpickle it.",
    false_positives: "Programs that keep settings of their own so.",
    remedy: "Look at what the pickle calls.",
    references: &["CWE-502"],
};

/// Code in an attribute.
pub static CODE_ATTRIBUTE: Rule = Rule {
    id: "xgboost-code-attribute",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "attribute that holds dangerous code",
    what: "An attribute of the model is Python source that starts programs, evaluates text or opens connections.",
    why: "XGBoost does not run it, but programs around it may: wrappers keep custom objectives so.",
    false_positives: "Notes that quote code.",
    remedy: "Read the attribute before you use the model.",
    references: &[MODEL_IO, "CWE-94"],
};

/// A key that occurs twice.
pub static DUPLICATE_KEY: Rule = Rule {
    id: "xgboost-duplicate-key",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "key that occurs twice in the model",
    what: "An object of the document has two entries of one name.",
    why: "Readers disagree about which one counts: one model is shown, another used.",
    false_positives: "None: no writer makes it.",
    remedy: "Do not load the file.",
    references: &["CWE-436"],
};

/// Bytes after the model.
pub static TRAILING: Rule = Rule {
    id: "xgboost-trailing-bytes",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "bytes behind the model",
    what: "Bytes follow the UBJSON document. They are inspected by whatever they turn out to be.",
    why: "The loader never sees them, so they survive checks that load the model.",
    false_positives: "None known.",
    remedy: "Find out who appended them.",
    references: &[MODEL_IO],
};
