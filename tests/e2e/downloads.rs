//! Downloads by the clients that people use, seen while they run.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use weighbridge_tests::text;

use crate::machine::Machine;

/// Sends `bytes` of a safetensors file slowly.
const SERVER: &str = r#"
import http.server, json, struct, sys, time
header = json.dumps({"w": {"dtype": "U8", "shape": [1 << 30], "data_offsets": [0, 1 << 30]}}).encode()
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def head(self):
        self.send_header("Content-Length", str(8 + len(header) + (1 << 30)))
        self.send_header("ETag", '"%s"' % ("e" * 64))
        self.send_header("X-Repo-Commit", "c" * 40)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
    def do_HEAD(self):
        self.send_response(200)
        self.head()
    def do_GET(self):
        self.send_response(200)
        self.head()
        self.wfile.write(struct.pack("<Q", len(header)) + header)
        try:
            for _ in range(1024):
                self.wfile.write(bytes(1 << 20))
                time.sleep(0.02)
        except OSError:
            pass
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
print(s.server_port, flush=True)
s.serve_forever()
"#;

/// A server of slow models, and its port.
fn serve() -> (Child, String) {
    ported(Command::new("python3").args(["-c", SERVER]))
}

/// A server that prints its port.
fn ported(server: &mut Command) -> (Child, String) {
    let mut server = server.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut line).unwrap();
    (server, line.trim().to_owned())
}

/// The hub's own client, which `cargo xtask test` installs.
#[test]
fn the_client_of_a_hub_is_known_by_its_store() {
    let profile = weighbridge_tests::target_profile();
    let python = profile.parent().unwrap().join("venvs/hubs/bin/python");
    if !python.exists() {
        return println!("skipped: huggingface_hub is not in {}; `cargo xtask test` installs it", python.display());
    }
    let Some(mut machine) = Machine::new(false) else { return };
    machine.start();
    let (mut server, port) = serve();
    let script = "from huggingface_hub import hf_hub_download as d; d('some-org/some-name', 'model.safetensors')";
    let mut client = Command::new(python)
        .args(["-c", script])
        .env("HF_ENDPOINT", format!("http://127.0.0.1:{port}"))
        .env("HF_HOME", machine.home("hf"))
        .env("HF_HUB_DISABLE_XET", "1")
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let of = |d: &&Value| text(d, "/evidence/0/value").contains("some-org/some-name") && d["format"] == "safetensors";
    let shows = || machine.ask(&["status"])["downloads"]["running"].as_array().unwrap().iter().any(|d| of(&d));
    machine.until("the repository shows", shows);
    client.kill().unwrap();
    client.wait().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
}

/// A download by `client`, which is given the address and the file, is seen
/// with process, file and format before it is over.
fn shows_while_it_runs(client: &str, arguments: &dyn Fn(&str, &Path) -> Vec<String>) {
    let Some(mut machine) = Machine::new(false) else { return };
    if Command::new(client).arg("--version").output().is_err() {
        return println!("skipped: {client} is not installed");
    }
    machine.start();
    let (mut server, port) = serve();
    let file = machine.home("model.safetensors");
    let url = format!("http://127.0.0.1:{port}/org/name/resolve/main/model.safetensors");
    let mut client = Command::new(client).args(arguments(&url, &file)).spawn().unwrap();
    let shows = || {
        let status = machine.ask(&["status"]);
        let running = status["downloads"]["running"].as_array().unwrap().clone();
        running.into_iter().find(|d| d["pid"] == client.id())
    };
    machine.until("the download shows", || shows().is_some_and(|d| d["file"].is_string() && d["format"].is_string()));
    let download = shows().unwrap();
    assert_eq!((text(&download, "/file"), text(&download, "/format")), (file.to_str().unwrap(), "safetensors"));
    assert!(download["bytes_received"].as_u64().unwrap() < 1 << 30, "it is not finished");
    client.kill().unwrap();
    client.wait().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    machine.until("its end is told", || machine.said("a download ended"));
}

#[test]
fn a_download_by_curl_shows_while_it_runs() {
    let arguments = |url: &str, file: &Path| vec!["--silent".into(), "--output".into(), name(file), url.into()];
    shows_while_it_runs("curl", &arguments);
}

#[test]
fn a_download_by_wget_shows_while_it_runs() {
    let arguments = |url: &str, file: &Path| vec!["--quiet".into(), "--output-document".into(), name(file), url.into()];
    shows_while_it_runs("wget", &arguments);
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

/// A git server's side of large files (Git LFS batch API), which tells where
/// the bytes of a slow model are.
const BATCH: &str = r#"
import http.server, json, sys
at = sys.argv[1]
class H(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        objects = [dict(oid=o["oid"], size=o["size"], authenticated=True,
                        actions={"download": {"href": at}}) for o in asked["objects"]]
        body = json.dumps({"transfer": "basic", "objects": objects}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.git-lfs+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
print(s.server_port, flush=True)
s.serve_forever()
"#;

#[test]
fn a_download_by_git_lfs_shows_while_it_runs() {
    let folder = weighbridge_tests::target_profile().parent().unwrap().join("debian/git-lfs/usr/bin");
    if !folder.join("git-lfs").exists() || Command::new("git").arg("--version").output().is_err() {
        return println!("skipped: git-lfs is not in {}; `cargo xtask test` fetches it", folder.display());
    }
    let Some(mut machine) = Machine::new(false) else { return };
    machine.start();
    let (mut bytes, port) = serve();
    let (mut batch, api) = ported(Command::new("python3").args(["-c", BATCH, &format!("http://127.0.0.1:{port}/x")]));
    let repository = machine.home("repository");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C").arg(machine.at("home")).args(arguments).env("PATH", &path).env("HOME", machine.at("home"));
        git.stdout(Stdio::null()).stderr(Stdio::null());
        git
    };
    assert!(git(&["init", "--quiet", "repository"]).status().unwrap().success());
    let within = |arguments: &[&str]| git(&[&["-C", "repository"], arguments].concat());
    for settings in [
        ["lfs.url", &format!("http://127.0.0.1:{api}")].as_slice(),
        &["user.email", "a@example.org"],
        &["user.name", "a"],
        &["filter.lfs.smudge", "git-lfs smudge -- %f"],
        &["filter.lfs.process", "git-lfs filter-process"],
    ] {
        assert!(within(&[&["config"], settings].concat()).status().unwrap().success());
    }
    // A pointer, as it comes with a clone.
    let digest = "e".repeat(64);
    let size = 1 << 30;
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n");
    fs::write(repository.join("model.safetensors"), pointer).unwrap();
    fs::write(repository.join(".gitattributes"), "*.safetensors filter=lfs -text\n").unwrap();
    assert!(
        within(&["-c", "filter.lfs.process=", "-c", "filter.lfs.clean=cat", "add", "."]).status().unwrap().success()
    );
    assert!(within(&["commit", "--quiet", "--message", "m"]).status().unwrap().success());
    let mut pull = within(&["lfs", "pull"]).spawn().unwrap();
    let of = |d: &Value| text(d, "/process").contains("git-lfs") || text(d, "/exe").contains("git-lfs");
    let shows = || {
        let status = machine.ask(&["status"]);
        let running = status["downloads"]["running"].as_array().unwrap().clone();
        running.into_iter().find(of)
    };
    machine.until("the download shows", || shows().is_some_and(|d| d["file"].is_string() && d["format"].is_string()));
    let download = shows().unwrap();
    assert!(text(&download, "/file").starts_with(&name(&repository)), "{download}");
    assert_eq!(text(&download, "/format"), "safetensors");
    let _ = Command::new("pkill").args(["-f", &name(&folder)]).status();
    for process in [&mut pull, &mut bytes, &mut batch] {
        let _ = process.kill();
        process.wait().unwrap();
    }
}
