use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};
use crate::formats::pytorch_zip::tests::archive;

const HONEST: &str = "import os, json, logging, torch\nfrom ts.torch_handler.base_handler import BaseHandler\nclass H(BaseHandler):\n  def initialize(self, ctx):\n    d = ctx.system_properties.get('model_dir')\n    self.model = torch.jit.load(os.path.join(d, 'model.pt'))\n    with open(os.path.join(d, 'index.json')) as f:\n      self.map = json.load(f)\n  def handle(self, data, context):\n    return self.model(data)\n";

fn mar(handler: &str, handler_name: &str) -> Vec<u8> {
    let manifest = format!(
        r#"{{"runtime": "python", "archiverVersion": "0.12.0", "model": {{"modelName": "m", "handler": "{handler_name}", "modelVersion": "1.0"}}}}"#
    );
    archive(&[("MAR-INF/MANIFEST.json", manifest.as_bytes()), ("handler.py", handler.as_bytes())])
}

#[test]
fn an_honest_handler_is_clean() {
    let outcome = inspect_bytes("m.mar", &mar(HONEST, "handler.py"));
    assert_eq!(outcome.format, Some("torchserve-mar"));
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["name"], "m");
}

#[test]
fn a_handler_that_runs_commands_is_malicious() {
    let evil = HONEST.replace("    return self.model(data)", "    os.system('id')");
    let outcome = inspect_bytes("m.mar", &mar(&evil, "handler.py"));
    assert!(rules(&outcome).contains(&"python-runs-command-at-load"));
    assert_eq!(verdict(&outcome), Verdict::Malicious);
}

#[test]
fn the_manifest_stays_inside() {
    for path in ["../x.py", "/tmp/x.py", "C:/x.py"] {
        let outcome = inspect_bytes("m.mar", &mar(HONEST, path));
        assert_eq!(rules(&outcome), ["mar-names-outside-file"], "{path}");
    }
}

#[test]
fn damage_is_survived() {
    survives_damage("m.mar", &mar(HONEST, "handler.py"));
}
