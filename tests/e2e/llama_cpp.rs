//! A real inference stack that holds a model, built from its source.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use weighbridge_tests::{target_profile, text};

use crate::machine::Machine;

/// A Llama of random weights, large enough to be told from a library.
const MAKE: &str = r#"
import sys, gguf, numpy as np
D, L, H, KV, I, V = 128, 3, 4, 2, 256, 2048
r = np.random.default_rng(1)
w = gguf.GGUFWriter(sys.argv[1], "llama")
w.add_context_length(256); w.add_embedding_length(D); w.add_block_count(L); w.add_feed_forward_length(I)
w.add_head_count(H); w.add_head_count_kv(KV); w.add_layer_norm_rms_eps(1e-5); w.add_rope_dimension_count(D // H)
w.add_tokenizer_model("llama")
tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
tokens += [f"t{n}" for n in range(V - len(tokens))]
w.add_token_list(tokens); w.add_token_scores([0.0] * V)
w.add_token_types([2, 3, 3] + [6] * 256 + [1] * (V - 259))
def t(name, *shape): w.add_tensor(name, (r.standard_normal(shape) * 0.02).astype(np.float32))
t("token_embd.weight", V, D); t("output_norm.weight", D); t("output.weight", V, D)
for l in range(L):
    p = f"blk.{l}."
    t(p + "attn_norm.weight", D); t(p + "ffn_norm.weight", D)
    t(p + "attn_q.weight", D, D); t(p + "attn_output.weight", D, D)
    t(p + "attn_k.weight", D // 2, D); t(p + "attn_v.weight", D // 2, D)
    t(p + "ffn_gate.weight", I, D); t(p + "ffn_up.weight", I, D); t(p + "ffn_down.weight", D, I)
w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
"#;

fn python(environment: &str) -> Option<PathBuf> {
    let python = target_profile().parent()?.join("venvs").join(environment).join("bin/python");
    if !python.exists() {
        println!("skipped: {} is not there; `cargo xtask test --slow` installs it", python.display());
        return None;
    }
    Some(python)
}

#[test]
#[ignore = "llama.cpp is built from source, 20 minutes: `cargo xtask test --slow`"]
fn a_server_of_llama_cpp_python_is_seen_with_its_model() {
    let (Some(maker), Some(server)) = (python("lineage"), python("llama")) else { return };
    let Some(mut machine) = Machine::new(false) else { return };
    let model = machine.home("random.gguf");
    assert!(Command::new(maker).args(["-c", MAKE]).arg(&model).status().unwrap().success());
    machine.start();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut server = Command::new(server)
        .args(["-m", "llama_cpp.server", "--n_ctx", "64", "--port", &port, "--model"])
        .arg(&model)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let path = model.display().to_string();
    let holds = || {
        let status = machine.ask(&["status"]);
        let runtimes = status["runtimes"]["processes"]["runtimes"].as_array().cloned().unwrap_or_default();
        runtimes.into_iter().find(|r| {
            r["pid"] == server.id() && r["loaded"].as_array().unwrap().iter().any(|l| text(l, "/path") == path)
        })
    };
    machine.until("it is seen with its model", || holds().is_some());
    let runtime = holds().unwrap();
    assert_eq!(text(&runtime, "/stack"), "llama-cpp-python", "{runtime}");
    let listens = runtime["listens"].as_array().unwrap();
    machine.until("its port is seen", || holds().is_some_and(|r| !r["listens"].as_array().unwrap().is_empty()));
    assert!(listens.iter().all(|l| l["exposed"] == false), "{runtime}");
    assert!(machine.said("holds"), "it is told");
    server.kill().unwrap();
    server.wait().unwrap();
}
