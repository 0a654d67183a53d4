//! Traces of the hub that a download comes from.

use std::net::SocketAddr;
use std::path::Path;

use crate::download::{Evidence, Strength, What};

/// Longest value kept, bytes.
const VALUE_BYTES_MAX: usize = 512;
/// Most traces of one kind.
const TRACES_MAX: usize = 16;

/// Hosts of hubs: a host that ends so belongs to the hub.
const HOSTS: &[(&str, &str)] = &[
    ("huggingface.co", "huggingface"),
    ("hf.co", "huggingface"),
    ("hf-mirror.com", "huggingface-mirror"),
    ("registry.ollama.ai", "ollama"),
    ("ollama.com", "ollama"),
    ("modelscope.cn", "modelscope"),
    ("modelscope.ai", "modelscope"),
    ("lmstudio.ai", "lmstudio"),
    ("civitai.com", "civitai"),
    ("nvcr.io", "ngc"),
    ("ngc.nvidia.com", "ngc"),
    ("kaggle.com", "kaggle"),
    ("tfhub.dev", "tfhub"),
    ("download.pytorch.org", "pytorch"),
    ("github.com", "github"),
    ("githubusercontent.com", "github"),
    ("openxlab.org.cn", "openxlab"),
    ("wisemodel.cn", "wisemodel"),
    ("gpt4all.io", "gpt4all"),
];

/// Clients and the words before the name of what they fetch.
const CLIENTS: &[(&str, &[&str], &str)] = &[
    ("hf", &["download"], "huggingface"),
    ("huggingface-cli", &["download"], "huggingface"),
    ("ollama", &["pull"], "ollama"),
    ("ollama", &["run"], "ollama"),
    ("lms", &["get"], "lmstudio"),
    ("modelscope", &["download"], "modelscope"),
    ("docker", &["model", "pull"], "dockerhub-ai"),
    ("docker-model", &["pull"], "dockerhub-ai"),
    ("ramalama", &["pull"], "ramalama"),
    ("kaggle", &["models"], "kaggle"),
    ("ngc", &["registry", "model", "download-version"], "ngc"),
    ("git-lfs", &[], "git-lfs"),
    ("git-xet", &[], "huggingface"),
];

/// Variables worth reading, and whose they are.
pub const VARIABLES: &[(&str, &str)] = &[
    ("HF_ENDPOINT", "huggingface"),
    ("HF_HOME", "huggingface"),
    ("HF_HUB_CACHE", "huggingface"),
    ("OLLAMA_HOST", "ollama"),
    ("OLLAMA_MODELS", "ollama"),
    ("MODELSCOPE_CACHE", "modelscope"),
    ("KAGGLEHUB_CACHE", "kaggle"),
    ("TORCH_HOME", "pytorch"),
    ("LLAMA_CACHE", "llama.cpp"),
];

/// Traces in the name and place of the file.
pub fn layout(path: &Path) -> Option<Evidence> {
    let text = path.to_str()?;
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    let (name, folders) = parts.split_last()?;
    let after = |words: &[&str]| {
        let at = folders.windows(words.len()).position(|window| window == words)?;
        folders.get(at.saturating_add(words.len())..)
    };
    let strong = |hub, value: String| Some(evidence(What::Layout, Some(hub), &value, Strength::Strong));
    let hub_repository = folders.iter().rev().find_map(|folder| {
        let (kind, rest) = folder.split_once("--")?;
        matches!(kind, "models" | "datasets" | "spaces").then(|| rest.replacen("--", "/", 1))
    });
    if let (Some(repository), Some(&"blobs")) = (hub_repository, folders.last()) {
        return strong("huggingface", repository);
    }
    if after(&[".cache", "huggingface", "download"]).is_some() {
        return strong("huggingface", text.to_owned());
    }
    if folders.last() == Some(&"blobs") && ollama_blob(name) {
        return strong("ollama", (*name).to_owned());
    }
    if let Some([org, model, ..]) =
        after(&[".lmstudio", "models"]).or_else(|| after(&[".cache", "lm-studio", "models"]))
    {
        return strong("lmstudio", format!("{org}/{model}"));
    }
    if let Some(rest) = after(&["modelscope", "hub"]) {
        let rest: Vec<&str> = rest.iter().copied().filter(|p| !matches!(*p, "models" | "._____temp")).collect();
        return strong("modelscope", rest.join("/"));
    }
    if after(&[".docker", "models", "blobs"]).is_some() {
        return strong("dockerhub-ai", (*name).to_owned());
    }
    if let Some([org, model, ..]) = after(&["kagglehub", "models"]) {
        return strong("kaggle", format!("{org}/{model}"));
    }
    if after(&[".git", "lfs", "tmp"]).is_some() || after(&[".git", "lfs", "incomplete"]).is_some() {
        return strong("git-lfs", text.to_owned());
    }
    if after(&["torch", "hub", "checkpoints"]).is_some() {
        return strong("pytorch", (*name).to_owned());
    }
    if name.ends_with(".downloadInProgress") {
        return strong("llama.cpp", (*name).to_owned());
    }
    let unfinished = [".crdownload", ".part", ".partial", ".incomplete", ".dlstate", ".downloading", ".aria2"];
    let unfinished = unfinished.iter().any(|end| name.ends_with(end)) || name.starts_with("incomplete-");
    unfinished.then(|| evidence(What::Layout, None, name, Strength::Weak))
}

/// `sha256-<64 digits>-partial`, with `-<n>` for the state of one part.
fn ollama_blob(name: &str) -> bool {
    let Some((digest, rest)) = name.strip_prefix("sha256-").and_then(|rest| rest.split_at_checked(64)) else {
        return false;
    };
    digest.bytes().all(|byte| byte.is_ascii_hexdigit()) && (rest.is_empty() || rest.starts_with("-partial"))
}

/// Traces in the arguments: a known client and what it was asked for, and
/// every address of the web.
pub fn command(arguments: &[String]) -> Vec<Evidence> {
    let mut found = Vec::new();
    // The client itself, or the script that an interpreter runs.
    for start in 0..arguments.len().min(3) {
        let Some((program, rest)) = arguments.get(start..).and_then(<[String]>::split_first) else { break };
        let program = program.rsplit('/').next().unwrap_or_default();
        for (client, words, hub) in CLIENTS {
            if program == *client && rest.iter().map(String::as_str).take(words.len()).eq(words.iter().copied()) {
                let name = rest.get(words.len()..).unwrap_or_default().iter().find(|a| !a.starts_with('-'));
                let value = name.map_or(program, String::as_str);
                found.push(evidence(What::Command, Some(hub), value, Strength::Medium));
            }
        }
    }
    for url in arguments.iter().filter_map(|argument| public_url(argument)).take(TRACES_MAX) {
        found.push(evidence(What::Command, host_hub(&url), &url, Strength::Medium));
    }
    found
}

/// A trace in one variable (`NAME=value`).
pub fn variable(name: &str, value: &str) -> Option<Evidence> {
    let (_, hub) = VARIABLES.iter().find(|(known, _)| *known == name)?;
    let value = public_url(value).unwrap_or_else(|| value.to_owned());
    Some(evidence(What::Environment, Some(hub), &format!("{name}={value}"), Strength::Medium))
}

/// The far end. Its name is not known here, so it says little.
pub fn remote(address: SocketAddr) -> Evidence {
    evidence(What::Remote, None, &address.to_string(), Strength::Weak)
}

/// Arguments fit for a record: queries of addresses, user parts and what
/// follows the options for secrets are left out.
pub fn redacted(arguments: Vec<String>) -> Vec<String> {
    // The short options mean something else to other programs.
    let curl = arguments.first().is_some_and(|program| program.rsplit('/').next() == Some("curl"));
    let is_secret_option = |argument: &str| is_secret_option(argument, curl);
    let mut secret_follows = false;
    let mut redact = |argument: String| {
        let secret = std::mem::replace(&mut secret_follows, is_secret_option(&argument));
        if secret || argument.starts_with("hf_") || is_secret_header(&argument) {
            return "[redacted]".to_owned();
        }
        if let Some((option, _)) = argument.split_once('=').filter(|(option, _)| is_secret_option(option)) {
            return format!("{option}=[redacted]");
        }
        public_url(&argument).unwrap_or(argument)
    };
    arguments.into_iter().map(&mut redact).collect()
}

fn is_secret_option(argument: &str, curl: bool) -> bool {
    let secrets = ["token", "password", "api-key", "api_key", "secret", "header", "user", "http-password", "cookie"];
    (curl && matches!(argument, "-u" | "-H" | "-b"))
        || argument.strip_prefix("--").is_some_and(|name| secrets.contains(&name))
}

fn is_secret_header(argument: &str) -> bool {
    let lower = argument.to_ascii_lowercase();
    lower.contains("authorization:") || lower.contains("cookie:") || lower.contains("bearer ")
}

/// `scheme://host/path`, without user, query and fragment.
fn public_url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    if !matches!(scheme, "http" | "https" | "ftp" | "hf" | "s3") {
        return None;
    }
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit('@').next().unwrap_or_default();
    Some(format!("{scheme}://{host}{path}"))
}

fn host_hub(url: &str) -> Option<&'static str> {
    let host = url.split_once("://")?.1.split(['/', ':']).next()?;
    let belongs = |known: &str| host.strip_suffix(known).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    HOSTS.iter().find(|(known, _)| belongs(known)).map(|(_, hub)| *hub)
}

fn evidence(what: What, hub: Option<&'static str>, value: &str, strength: Strength) -> Evidence {
    let mut end = value.len().min(VALUE_BYTES_MAX);
    while !value.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let value = value.get(..end).unwrap_or_default().to_owned();
    Evidence { what, hub, value, strength }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Option<(Option<&'static str>, String, Strength)> {
        layout(Path::new(path)).map(|e| (e.hub, e.value, e.strength))
    }

    fn arguments(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn stores_are_known_by_their_layout() {
        let strong = |hub, value: &str| Some((Some(hub), value.to_owned(), Strength::Strong));
        let digest = "a".repeat(64);
        let hub = "/home/a/.cache/huggingface/hub/models--org--name--x/blobs/abc.01234567.incomplete";
        assert_eq!(place(hub), strong("huggingface", "org/name--x"));
        let local = "/data/m/.cache/huggingface/download/x.safetensors.incomplete";
        assert_eq!(place(local), strong("huggingface", local));
        let blob = format!("sha256-{digest}-partial");
        assert_eq!(place(&format!("/usr/share/ollama/.ollama/models/blobs/{blob}")), strong("ollama", &blob));
        assert_eq!(place("/home/a/.lmstudio/models/org/name/m.gguf.part"), strong("lmstudio", "org/name"));
        let scope = "/root/.cache/modelscope/hub/models/._____temp/org/name/model.safetensors";
        assert_eq!(place(scope), strong("modelscope", "org/name"));
        assert_eq!(place("/w/.git/lfs/tmp/x"), strong("git-lfs", "/w/.git/lfs/tmp/x"));
    }

    #[test]
    fn likeness_to_a_store_is_not_enough() {
        assert_eq!(place("/tmp/blobs/sha256-abc-partial"), None);
        assert_eq!(place("/tmp/models--org--name/weights"), None);
        assert_eq!(place("/tmp/weights.gguf"), None);
        let part = (None, "weights.part".to_owned(), Strength::Weak);
        assert_eq!(place("/tmp/weights.part"), Some(part));
    }

    #[test]
    fn clients_are_known_by_their_arguments() {
        let hub = |line: &str| command(&arguments(line)).into_iter().map(|e| (e.hub, e.value)).collect::<Vec<_>>();
        let one = |hub, value: &str| vec![(Some(hub), value.to_owned())];
        assert_eq!(hub("/usr/bin/python3 /usr/bin/hf download org/name --quiet"), one("huggingface", "org/name"));
        assert_eq!(hub("ollama pull llama3"), one("ollama", "llama3"));
        assert_eq!(hub("ls -l"), vec![]);
        let url = "https://cdn.hf.co/org/name/resolve/main/m.gguf";
        assert_eq!(hub(&format!("curl -o x {url}?X-Amz-Signature=1")), one("huggingface", url));
        assert_eq!(hub("curl https://nothf.co/x"), vec![(None, "https://nothf.co/x".to_owned())]);
    }

    #[test]
    fn secrets_in_arguments_are_left_out() {
        let line = "curl -u me:pw -H Authorization:x --token=hf_a hf_abc https://me:pw@h/x?sig=1#f -o file";
        let expected = "curl -u [redacted] -H [redacted] --token=[redacted] [redacted] https://h/x -o file";
        assert_eq!(redacted(arguments(line)), arguments(expected));
    }

    #[test]
    fn variables_are_read_by_name_only() {
        let found = variable("HF_ENDPOINT", "https://me:secret@hf-mirror.com").unwrap();
        assert_eq!(found.value, "HF_ENDPOINT=https://hf-mirror.com");
        assert_eq!(variable("HF_TOKEN", "hf_x"), None);
    }

    #[test]
    fn values_are_cut_at_a_whole_character() {
        let long = format!("https://h/{}", "ü".repeat(400));
        let value = command(&[long]).remove(0).value;
        assert!(value.len() <= VALUE_BYTES_MAX && value.len() >= VALUE_BYTES_MAX - 1);
    }
}
