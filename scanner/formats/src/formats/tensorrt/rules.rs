use weighbridge_types::{Rule, Severity, Verdict};

pub static ALL: &[&Rule] = &[&PLUGIN];

/// The engine needs a plugin.
pub static PLUGIN: Rule = Rule {
    id: "tensorrt-plugin",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "the engine needs a plugin library",
    what: "Names of TensorRT plugin interfaces stand in the first megabyte of the engine.",
    why: "Plugins are native code. Since TensorRT 8.6 an engine may even carry the library with it.",
    false_positives: "Common: detection networks use the plugins that ship with TensorRT.",
    remedy: "Load the engine only with the plugin libraries you built or got from NVIDIA.",
    references: &[
        "https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/extending-custom-layers.html",
    ],
};
