//! MLflow models: the `MLmodel` file that says how a folder is loaded.

mod rules;

use serde_json::Value;
use weighbridge_types::LinkKind;

use crate::codec::config::callables::{Callable, judge};
use crate::codec::config::{Place, leaves_folder, walk};
use crate::codec::{config, indicators, yaml};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "mlflow",
    name: "MLflow model",
    extensions: &[],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[&rules::LOADER_MODULE, &rules::OWN_CODE, &rules::PATH_OUTSIDE],
};

/// Keys whose value is a file or folder of the model.
const PATHS: &[&str] = &[
    "data",
    "python_model",
    "model_code_path",
    "pickled_model",
    "model_path",
    "model_data",
    "saved_model_dir",
    "state_dict",
    "env",
    "virtualenv",
    "conda",
];
/// Keys among them, and the folder, whose content is code or a pickle that
/// loading runs.
const CODE: &[&str] = &["code", "python_model", "model_code_path", "pickled_model"];

/// Named `MLmodel`, with the flavours that each has.
fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if sniff.name.as_str() == "mlmodel" && sniff.contains(b"flavors:") { Confidence::Likely } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let document = yaml::parse(input)?;
    yaml::inspect(ctx, &document)?;
    let value = document.first();
    for (key, fact) in
        [("mlflow_version", "producer"), ("model_uuid", "model_uuid"), ("model_id", "model_id"), ("run_id", "run_id")]
    {
        if let Some(text) = value.get(key).filter(|v| v.is_string()) {
            ctx.fact(fact, text.clone());
        }
    }
    if let Some(flavors) = value.get("flavors").and_then(Value::as_object) {
        ctx.fact("architecture", flavors.keys().map(String::as_str).collect::<Vec<_>>().join(", "));
    }
    let flavors = value.get("flavors").unwrap_or(&Value::Null);
    walk(ctx, &Place::root("flavors"), flavors, &mut |ctx, place, value| {
        if let (Some(key), Value::String(text)) = (place.own_key(), value) {
            flavor_entry(ctx, place, key, text);
        }
    })?;
    for value in &document.values {
        indicators::inspect_value(ctx, value)?;
    }
    document.stopped.map_or(Ok(()), Err)
}

fn flavor_entry(ctx: &mut Inspection<'_>, place: &Place<'_>, key: &str, text: &str) {
    if key == "loader_module" {
        return loader_module(ctx, place, text);
    }
    if CODE.contains(&key) {
        ctx.find(&rules::OWN_CODE, None, format!("{place}: `{text}`"));
        ctx.link(LinkKind::Code, text);
    }
    if (PATHS.contains(&key) || CODE.contains(&key) || key == "path")
        && let Some(why) = leaves_folder(text)
    {
        ctx.find(&rules::PATH_OUTSIDE, None, format!("{place}: `{text}` {why}"));
    }
}

/// `mlflow.pyfunc.load_model` imports this module and calls `_load_pyfunc`.
fn loader_module(ctx: &mut Inspection<'_>, place: &Place<'_>, module: &str) {
    let root = module.split('.').next().unwrap_or_default();
    match judge(module) {
        Callable::Dangerous(why) => {
            ctx.find(&config::rules::DANGEROUS_CALLABLE, None, format!("{place}: `{module}` {why}"));
        }
        _ if root == "mlflow" => {}
        _ => ctx.find(&rules::LOADER_MODULE, None, format!("{place}: `{module}`")),
    }
}

#[cfg(test)]
mod tests {
    use weighbridge_types::Verdict;

    use crate::core::Outcome;
    use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

    fn model(loader: &str, data: &str) -> Outcome {
        let text = format!(
            "flavors:\n  python_function:\n    env:\n      conda: conda.yaml\n      virtualenv: python_env.yaml\n    loader_module: {loader}\n    model_path: {data}\n    python_version: 3.11.9\n  sklearn:\n    code: null\n    serialization_format: cloudpickle\nmlflow_version: 2.14.1\n"
        );
        inspect_bytes("MLmodel", text.as_bytes())
    }

    #[test]
    fn a_model_of_mlflows_own_flavours_is_clean() {
        let outcome = model("mlflow.sklearn", "model.pkl");
        assert_eq!((outcome.format, outcome.findings.len()), (Some("mlflow"), 0));
        assert_eq!(outcome.metadata["architecture"], "python_function, sklearn");
    }

    #[test]
    fn loaders_elsewhere_are_suspicious_and_those_that_run_commands_malicious() {
        assert_eq!(rules(&model("my_loader", "model.pkl")), ["mlflow-loader-module"]);
        assert_eq!(verdict(&model("subprocess", "model.pkl")), Verdict::Malicious);
    }

    #[test]
    fn paths_outside_the_model_are_malicious() {
        for path in ["../../etc/passwd", "/etc/passwd"] {
            assert_eq!(rules(&model("mlflow.sklearn", path)), ["mlflow-path-outside"]);
        }
    }

    #[test]
    fn code_of_the_model_is_noted_and_linked() {
        let outcome = inspect_bytes(
            "MLmodel",
            b"flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n    python_model: python_model.pkl\n    code: code\n",
        );
        assert_eq!((rules(&outcome), verdict(&outcome)), (vec!["mlflow-own-code", "mlflow-own-code"], Verdict::Clean));
        assert_eq!(outcome.links.len(), 2);
    }

    #[test]
    fn damaged_models_are_survived() {
        survives_damage("MLmodel", b"flavors:\n  python_function:\n    loader_module: os\n    data: ../x\n");
    }
}
