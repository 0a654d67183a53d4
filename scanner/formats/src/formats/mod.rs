//! The registry: one directory and one line per format.

use weighbridge_types::Rule;

use crate::core::{FormatSpec, GENERIC_RULES};

mod adapter_config;
mod attestation;
mod caffe;
mod catboost;
mod chat_template;
mod cntk;
mod compressed;
mod coreml;
mod ctranslate2;
mod darknet;
mod diffusers;
mod edge_blob;
mod executable;
mod executorch;
mod flax_msgpack;
mod ggml;
pub mod gguf;
pub mod hdf5;
pub(crate) mod hf_config;
mod json;
pub mod keras_config;
mod keras_h5;
mod keras_zip;
mod lightgbm;
mod litertlm;
pub(crate) mod llamafile;
mod mlc;
mod mlflow;
mod mnn;
mod model_card;
mod model_signing;
mod modelfile;
mod mxnet;
mod ncnn;
mod nemo;
mod npy;
mod npz;
mod oci;
mod onnx;
mod openvino;
mod ort;
mod paddle;
pub mod pickle;
mod pmml;
mod python;
mod pytorch_legacy;
mod pytorch_zip;
mod rar;
mod rds;
mod requirements;
mod rknn;
pub mod safetensors;
mod safetensors_index;
mod sentence_transformers;
mod sentencepiece;
mod sevenz;
mod skops;
pub mod tar;
mod tensorrt;
mod tf_checkpoint;
mod tf_graphdef;
mod tf_savedmodel;
mod tfhub;
mod tflite;
mod tokenizer;
mod torch7;
mod torch_export;
mod torch_package;
mod torch_tar;
mod torchscript;
mod torchserve_mar;
mod xgboost;
mod xml;
mod yaml_config;
mod zip;

/// Every format, more telling ones before those they resemble.
pub static FORMATS: &[&FormatSpec] = &[
    &nemo::FORMAT,
    &torch_tar::FORMAT,
    &npy::FORMAT,
    &pytorch_legacy::FORMAT,
    &pickle::FORMAT,
    &pickle::JOBLIB,
    &pickle::SKLEARN,
    &torchserve_mar::FORMAT,
    &torch_export::FORMAT,
    &torchscript::FORMAT,
    &torch_package::FORMAT,
    &pytorch_zip::FORMAT,
    &skops::FORMAT,
    &npz::FORMAT,
    &torch7::FORMAT,
    &python::FORMAT,
    &onnx::FORMAT,
    &tf_savedmodel::FORMAT,
    &coreml::FORMAT,
    &paddle::FORMAT,
    &caffe::FORMAT,
    &cntk::FORMAT,
    &sentencepiece::FORMAT,
    &tf_checkpoint::FORMAT,
    &tfhub::FORMAT,
    &tf_graphdef::FORMAT,
    &gguf::FORMAT,
    &safetensors::FORMAT,
    &safetensors_index::FORMAT,
    &ggml::FORMAT,
    &llamafile::FORMAT,
    // Beside weights, as text: by their keys, then by their names.
    &adapter_config::FORMAT,
    &oci::FORMAT,
    &oci::KITFILE,
    &model_signing::FORMAT,
    &mlc::FORMAT,
    &diffusers::FORMAT,
    &tokenizer::FORMAT,
    &hf_config::FORMAT,
    &sentence_transformers::FORMAT,
    &mlflow::FORMAT,
    &modelfile::FORMAT,
    &chat_template::FORMAT,
    &chat_template::OTHER,
    &model_card::FORMAT,
    &attestation::FORMAT,
    &requirements::FORMAT,
    &yaml_config::CALLING,
    &yaml_config::CALLING_JSON,
    &yaml_config::FORMAT,
    &catboost::FORMAT,
    &ctranslate2::FORMAT,
    &lightgbm::FORMAT,
    &openvino::FORMAT,
    &pmml::FORMAT,
    &xgboost::FORMAT,
    &mxnet::FORMAT,
    &mxnet::SYMBOL,
    &flax_msgpack::FORMAT,
    &rds::FORMAT,
    &tflite::FORMAT,
    &ort::FORMAT,
    &executorch::FORMAT,
    &litertlm::FORMAT,
    &mnn::FORMAT,
    &darknet::FORMAT,
    &ncnn::FORMAT,
    &rknn::FORMAT,
    &tensorrt::FORMAT,
    &edge_blob::FORMAT,
    &keras_zip::FORMAT,
    &keras_h5::FORMAT,
    &keras_config::FORMAT,
    &hdf5::FORMAT,
    // Wrappers last: what is inside decides.
    &json::FORMAT,
    &xml::FORMAT,
    &zip::FORMAT,
    &tar::FORMAT,
    &sevenz::FORMAT,
    &rar::FORMAT,
    &compressed::GZIP,
    &compressed::BZIP2,
    &compressed::XZ,
    &compressed::ZSTD,
    &compressed::LZ4,
    &compressed::LZMA,
    &compressed::ZLIB,
    // What only matters beside a model.
    &executable::ELF,
    &executable::PE,
    &executable::MACH_O,
    &executable::SHORTCUT,
    &executable::SCRIPT,
];

/// The format of this id.
#[must_use]
pub fn by_id(id: &str) -> Option<&'static FormatSpec> {
    FORMATS.iter().copied().find(|f| f.id == id)
}

/// Every rule, by format, for `weighbridge rules`.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    GENERIC_RULES.iter().copied().chain(FORMATS.iter().flat_map(|f| f.rules.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_format_and_a_rule_has_one_page() {
        // A format may be recognised in several ways; each is an entry of the
        // same id.
        let mut names = std::collections::HashMap::new();
        for format in FORMATS {
            let name = names.entry(format.id).or_insert(format.name);
            assert_eq!(*name, format.name, "two formats share the id {}", format.id);
        }
        let mut seen = std::collections::HashMap::new();
        for rule in rules() {
            assert!(rule.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{}", rule.id);
            for text in [rule.title, rule.what, rule.why, rule.false_positives, rule.remedy] {
                assert!(!text.trim().is_empty(), "{} has an empty part", rule.id);
            }
            if let Some(other) = seen.insert(rule.id, rule) {
                assert!(std::ptr::eq(other, rule), "two rules are named {}", rule.id);
            }
        }
    }
}
