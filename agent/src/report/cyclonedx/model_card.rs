use serde_json::{Value, json};

use super::property;
use crate::report::bom::{Bill, ModelEntry, Object};

/// What its files say of the network: claims of whoever made them.
pub fn of(bill: &Bill<'_>, entry: &ModelEntry<'_>) -> Object {
    let says = |key| bill.says(entry, key);
    // GGUF and GGML name the family as the architecture.
    let family = says("model_type").or_else(|| says("architecture").filter(|_| entry.model.format.starts_with("gg")));
    let datasets = bill.list(entry, "datasets").into_iter().map(|name| json!({"type": "dataset", "name": name}));
    let parameters = Object::new()
        .maybe("task", says("pipeline_tag").or_else(|| says("task_type")))
        .maybe("architectureFamily", family)
        .maybe("modelArchitecture", says("architecture"))
        .list("datasets", datasets)
        .list("inputs", ports(bill, entry, "inputs", "input_shape"))
        .list("outputs", ports(bill, entry, "outputs", "output_shape"));
    let listed: Vec<Value> =
        bill.listed(entry).iter().map(|(key, value)| property(&key.replace('_', "-"), value)).collect();
    Object::new().object("modelParameters", parameters).list("properties", listed)
}

/// Inputs or outputs by name, or the shape of the only one.
fn ports(bill: &Bill<'_>, entry: &ModelEntry<'_>, names: &str, shape: &str) -> Vec<Value> {
    let named = bill.list(entry, names).into_iter().map(|name| format!("tensor {name}"));
    let shaped = bill.says(entry, shape).map(|shape| format!("tensor of shape {shape}"));
    named.chain(shaped).map(|format| json!({"format": format})).collect()
}
