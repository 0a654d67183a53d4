use weighbridge_types::{Rule, Severity, Verdict};

/// The model is loaded by a module that is not MLflow's.
pub static LOADER_MODULE: Rule = Rule {
    id: "mlflow-loader-module",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "the model is loaded by a module that is not MLflow's",
    what: "`loader_module` of a flavour names a module outside `mlflow.`.",
    why: "`mlflow.pyfunc.load_model` imports it, from the model's own `code` folder or from whatever is installed, and \
          calls it.",
    false_positives: "Models logged with `loader_module=` of a project's own.",
    remedy: "Read that module before loading the model.",
    references: &["CWE-829", "https://mlflow.org/docs/latest/python_api/mlflow.pyfunc.html"],
};

/// Loading runs code or a pickle of the model.
pub static OWN_CODE: Rule = Rule {
    id: "mlflow-own-code",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "loading runs code that comes with the model",
    what: "A flavour names a code folder, a pickled Python model or a script of the model.",
    why: "It runs when the model is loaded. The files themselves are inspected; this says only that they are used.",
    false_positives: "Every custom `pyfunc` model is saved this way.",
    remedy: "Read the findings of the named files.",
    references: &["https://mlflow.org/docs/latest/models.html", "CWE-502"],
};

/// A file of the model lies outside its folder.
pub static PATH_OUTSIDE: Rule = Rule {
    id: "mlflow-path-outside",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "a file of the model lies outside its folder",
    what: "A path of a flavour is absolute, a URL, or holds `..`.",
    why: "Loading joins it to the model's folder and reads, or unpickles, what lies there.",
    false_positives: "None known; MLflow writes relative paths.",
    remedy: "Do not load the model.",
    references: &["CWE-22", "CVE-2023-6909", "CVE-2024-3573"],
};
