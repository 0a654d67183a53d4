//! What a configuration says of the model.

use serde_json::{Map, Value};

use crate::core::Inspection;

/// Most objects looked at for layers.
const OBJECTS_MAX: usize = 100_000;
/// Most classes of layers kept.
const CLASSES_MAX: usize = 200;

/// Records the model's name, class, layers, input and compilation.
pub(in crate::formats) fn record(ctx: &mut Inspection<'_>, document: &Value) {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let Some(config) = document.get("config") else { return };
    if let Some(class) = text(document, "class_name") {
        ctx.fact("architecture", class);
    }
    if let Some(name) = text(config, "name") {
        ctx.fact("name", name);
    }
    for key in ["keras_version", "backend"] {
        if let Some(value) = text(document, key) {
            ctx.fact(key, value);
        }
    }
    let layers = layers(document);
    if layers.count > 0 {
        ctx.fact("layer_count", layers.count);
        ctx.fact("layer_classes", Value::Object(layers.classes));
    }
    let shape = layers
        .input_shape
        .or(config.get("build_input_shape").filter(|s| s.is_array()))
        .or(document.get("build_config").and_then(|b| b.get("input_shape")));
    if let Some(shape) = shape {
        ctx.fact("input_shape", shape.clone());
    }
    if let Some(compiled) = document.get("compile_config") {
        record_training(ctx, compiled);
    }
}

/// Records optimizer and loss of a training configuration.
pub(in crate::formats) fn record_training(ctx: &mut Inspection<'_>, training: &Value) {
    let optimizer = training.get("optimizer").or(training.get("optimizer_config"));
    let name = |value: &Value| value.as_str().or(value.get("class_name").and_then(Value::as_str)).map(str::to_owned);
    if let Some(optimizer) = optimizer.and_then(name) {
        ctx.fact("optimizer", optimizer);
    }
    if let Some(loss) = training.get("loss").and_then(name) {
        ctx.fact("loss", loss);
    }
}

#[derive(Default)]
struct Layers<'v> {
    count: usize,
    classes: Map<String, Value>,
    input_shape: Option<&'v Value>,
}

/// Layers of the model and its sub-models; wrappers count as one.
fn layers(document: &Value) -> Layers<'_> {
    let mut out = Layers::default();
    let mut pending = vec![document];
    let mut seen = 0;
    while let Some(model) = pending.pop() {
        let Some(config) = model.get("config") else { continue };
        let Some(layers) = config.get("layers").or(Some(config)).and_then(Value::as_array) else { continue };
        for layer in layers {
            seen += 1;
            if seen > OBJECTS_MAX {
                return out;
            }
            let Some(class) = layer.get("class_name").and_then(Value::as_str) else { continue };
            out.count += 1;
            if let Some(count) = out.classes.get_mut(class) {
                *count = (count.as_u64().unwrap_or(0) + 1).into();
            } else if out.classes.len() < CLASSES_MAX {
                out.classes.insert(class.to_owned(), 1.into());
            }
            if let Some(config) = layer.get("config") {
                let shape = config.get("batch_shape").or(config.get("batch_input_shape"));
                out.input_shape = out.input_shape.or(shape.filter(|s| s.is_array()));
            }
            pending.push(layer);
        }
    }
    out
}
