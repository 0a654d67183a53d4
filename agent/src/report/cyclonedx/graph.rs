//! What consists of what, and what is known to be left out.

use serde_json::{Value, json};
use weighbridge_types::ModelKind;

use super::ROOT;
use crate::report::bom::{Bill, File};

/// The scanned root needs its models, a model its files; an adapter needs its
/// base model too, where that was found.
pub fn dependencies(bill: &Bill<'_>) -> Vec<Value> {
    let top: Vec<&str> =
        bill.models.iter().map(|m| m.id.as_str()).chain(bill.loose_files().map(|f| f.id.as_str())).collect();
    let mut out = vec![json!({"ref": ROOT, "dependsOn": top})];
    for entry in &bill.models {
        let mut needs: Vec<&str> = bill.files_of(entry).map(|f| f.id.as_str()).collect();
        if entry.model.kind == ModelKind::Adapter {
            let bases = bill.ancestors(entry);
            needs.extend(bases.iter().filter_map(|a| bill.find(entry, &a.raw)).map(|m| m.id.as_str()));
        }
        needs.sort_unstable();
        needs.dedup();
        out.push(json!({"ref": entry.id, "dependsOn": needs}));
    }
    out.extend(bill.files.iter().map(|f| json!({"ref": f.id})));
    out
}

/// Where something could not be read, the list of parts is incomplete.
pub fn compositions(bill: &Bill<'_>) -> Option<Value> {
    let root = (!bill.report.errors.is_empty()).then_some(ROOT);
    let models = bill.models.iter().filter(|m| bill.is_incomplete(m)).map(|m| m.id.as_str());
    let files = bill.files.iter().filter(|f| File::is_unread(f)).map(|f| f.id.as_str());
    let assemblies: Vec<&str> = root.into_iter().chain(models).chain(files).collect();
    (!assemblies.is_empty()).then(|| json!({"aggregate": "incomplete", "assemblies": assemblies}))
}
