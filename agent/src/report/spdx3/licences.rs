use serde_json::json;

use super::graph::Graph;
use super::{NO_ASSERTION_LICENSE, entry};
use crate::report::bom::{Bill, Licence, ModelEntry, id, licences};

/// What a model declares, and that nobody concluded anything: one
/// relationship each, as the AI profile demands.
pub fn add(graph: &mut Graph, bill: &Bill<'_>, model_entry: &ModelEntry<'_>, package: &str) {
    let (declared, _) = licences(bill, model_entry);
    let none = vec![NO_ASSERTION_LICENSE.to_owned()];
    let declared: Vec<String> = declared.iter().map(|l| licence(graph, l)).collect();
    graph.relate(package, "hasDeclaredLicense", if declared.is_empty() { &none } else { &declared }, |e| e);
    graph.relate(package, "hasConcludedLicense", &none, |e| e);
}

fn licence(graph: &mut Graph, licence: &Licence) -> String {
    let (expression, own) = match licence {
        Licence::Id(id) => ((*id).to_owned(), None),
        Licence::Expression(expression) => (expression.clone(), None),
        Licence::Name(name) => {
            let local = id("licence", &[name]);
            let text = graph.add("simplelicensing_SimpleLicensingText", &format!("{local}-text"), |e| {
                e.with("name", name.as_str()).with("simplelicensing_licenseText", name.as_str())
            });
            (format!("LicenseRef-{local}"), Some(text))
        }
    };
    graph.add("simplelicensing_LicenseExpression", &id("licence", &[&expression, "expression"]), |e| {
        let custom = own.map(|text| json!([entry(&expression, &text)]));
        e.with("simplelicensing_licenseExpression", expression.as_str()).maybe("simplelicensing_customIdToUri", custom)
    })
}
