use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::xml_threats;

pub static ALL: &[&Rule] =
    &[&xml_threats::EXTERNAL_ENTITY, &xml_threats::ENTITY_BOMB, &xml_threats::EXTERNAL_INCLUDE, &SCRIPT_EXTENSION];

/// Code in an extension element.
pub static SCRIPT_EXTENSION: Rule = Rule {
    id: "pmml-script-extension",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "an extension carries code",
    what: "The attributes of an `<Extension>` element name an interpreter, a process or a class loader.",
    why: "Some scoring engines evaluate extensions of their own; others write them into generated code.",
    false_positives: "Extensions that document how a model was made, with the training command in them.",
    remedy: "Do not score the model; remove the extension.",
    references: &["https://dmg.org/pmml/v4-4-1/GeneralStructure.html#xsdElement_Extension"],
};
