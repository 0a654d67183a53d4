use weighbridge_types::{Rule, Severity, Verdict};

/// A tracked file is written outside its folder.
pub static OUTPUT_OUTSIDE: Rule = Rule {
    id: "dvc-output-outside",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a tracked file lies outside the folder that tracks it",
    what: "An output of a `.dvc` file has an absolute path or one with `..`.",
    why: "`dvc pull` and `dvc checkout` write the content there.",
    false_positives: "Projects that keep their data on another disk.",
    remedy: "Look at the path before checking out.",
    references: &["CWE-22", "https://dvc.org/doc/user-guide/project-structure/dvc-files"],
};
