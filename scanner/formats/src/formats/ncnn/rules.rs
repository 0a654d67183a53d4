use weighbridge_types::{Rule, Severity, Verdict};

pub static ALL: &[&Rule] = &[&CUSTOM_LAYER];

/// A layer that the program must bring.
pub static CUSTOM_LAYER: Rule = Rule {
    id: "ncnn-custom-layer",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "a layer of the loading program's own",
    what: "The network names a custom layer type.",
    why: "It runs native code that the loading program registers under that name.",
    false_positives: "Honest networks with unusual layers.",
    remedy: "Check that the program, not the model's publisher, provides the layer.",
    references: &["https://github.com/Tencent/ncnn/wiki"],
};
