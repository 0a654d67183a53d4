//! Paths in DVC files, which `dvc pull` writes to.

use serde_json::Value;

use crate::codec::config::leaves_folder;
use crate::core::{FormatError, Inspection};
use crate::formats::yaml_config::rules;

/// Reports outputs of a `.dvc` file that lie outside its folder.
pub(super) fn inspect(ctx: &mut Inspection<'_>, value: &Value) -> Result<(), FormatError> {
    if !ctx.name().has_extension(&["dvc"]) {
        return Ok(());
    }
    for output in value.get("outs").and_then(Value::as_array).into_iter().flatten() {
        ctx.work(1)?;
        if let Some(path) = output.get("path").and_then(Value::as_str)
            && let Some(why) = leaves_folder(path)
        {
            ctx.find(&rules::OUTPUT_OUTSIDE, None, format!("outs: `{path}` {why}"));
        }
    }
    Ok(())
}
