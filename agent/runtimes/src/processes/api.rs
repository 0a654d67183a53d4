//! What stacks say of themselves on loopback, where they ask for no key.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Deserialize;

use super::catalogue::Api;
use super::{How, Listen, Loaded, http};

/// Sockets of one stack that are tried.
const ASKED_MAX: usize = 2;
/// Most models that one answer names.
const MODELS_MAX: usize = 256;
/// Longest name of a model.
const NAME_CHARS_MAX: usize = 512;

/// What a stack told.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Told {
    pub(super) loaded: Vec<Loaded>,
    /// Models that it offers and that run elsewhere.
    pub(super) remote: Vec<String>,
}

/// Ollama's `/api/ps` and `/api/tags`.
#[derive(Deserialize, Default)]
struct Ollama {
    #[serde(default)]
    models: Vec<OllamaModel>,
}

#[derive(Deserialize)]
struct OllamaModel {
    #[serde(default)]
    name: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    remote_host: Option<String>,
    #[serde(default)]
    details: Option<OllamaDetails>,
}

#[derive(Deserialize)]
struct OllamaDetails {
    #[serde(default)]
    format: Option<String>,
}

/// `/v1/models`.
#[derive(Deserialize, Default)]
struct OpenAi {
    #[serde(default)]
    data: Vec<OpenAiModel>,
}

#[derive(Deserialize)]
struct OpenAiModel {
    #[serde(default)]
    id: String,
}

/// Asks at the first of `listens` that answers. Only sockets of our own
/// network namespace are ours to reach.
pub(super) fn ask(api: Api, listens: &[Listen], our_netns: u64) -> Option<Told> {
    let reachable = |l: &&Listen| l.netns == our_netns && (!l.exposed || l.address.is_unspecified());
    listens.iter().filter(reachable).take(ASKED_MAX).find_map(|l| {
        let ip: IpAddr = match l.address {
            IpAddr::V4(a) if a.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(a) if a.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            other => other,
        };
        let server = SocketAddr::new(ip, l.port);
        match api {
            Api::Ollama => {
                let running = ollama(&http::get(server, "/api/ps").ok()?)?;
                let offered = http::get(server, "/api/tags").ok().and_then(|b| ollama(&b)).unwrap_or_default();
                Some(Told { loaded: running.loaded, remote: offered.remote })
            }
            Api::OpenAi => openai(&http::get(server, "/v1/models").ok()?),
        }
    })
}

fn ollama(body: &[u8]) -> Option<Told> {
    let answer: Ollama = serde_json::from_slice(body).ok()?;
    let mut told = Told::default();
    for model in answer.models.into_iter().take(MODELS_MAX) {
        let elsewhere = model.remote_host.is_some_and(|h| !h.is_empty());
        let cloud = model.name.ends_with(":cloud") || model.name.ends_with("-cloud");
        let Some(one) = named(model.name, elsewhere || cloud) else { continue };
        if one.remote {
            told.remote.push(one.path.to_string_lossy().into_owned());
        }
        let format = model.details.and_then(|d| d.format).filter(|f| f.len() < 32 && f.is_ascii());
        told.loaded.push(Loaded { size_bytes: (model.size > 0).then_some(model.size), format, ..one });
    }
    Some(told)
}

fn openai(body: &[u8]) -> Option<Told> {
    let answer: OpenAi = serde_json::from_slice(body).ok()?;
    let loaded = answer.data.into_iter().take(MODELS_MAX).filter_map(|m| named(m.id, false)).collect();
    Some(Told { loaded, remote: Vec::new() })
}

fn named(name: String, remote: bool) -> Option<Loaded> {
    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
    (!name.is_empty()).then(|| Loaded {
        path: name.into(),
        dev: None,
        ino: None,
        size_bytes: None,
        deleted: false,
        how: How::Api,
        format: None,
        open_at: None,
        remote,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloud_models_are_told_apart() {
        let body = br#"{"models":[{"name":"llama3:8b","size":5,"details":{"format":"gguf"}},
            {"name":"gpt-oss:120b-cloud"},{"name":"mine","remote_host":"https://ollama.com:443"}]}"#;
        let told = ollama(body).unwrap();
        assert_eq!(told.remote, ["gpt-oss:120b-cloud", "mine"]);
        assert_eq!(told.loaded.iter().map(|l| l.remote).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!((told.loaded[0].size_bytes, told.loaded[0].format.as_deref()), (Some(5), Some("gguf")));
    }

    #[test]
    fn hostile_answers_are_bounded_or_refused() {
        let many = format!(r#"{{"data":[{}{{"id":"z"}}]}}"#, r#"{"id":"y"},"#.repeat(9_999));
        assert_eq!(openai(many.as_bytes()).unwrap().loaded.len(), MODELS_MAX);
        assert_eq!(openai(&b"[".repeat(100_000)), None);
        assert_eq!(openai(br#"{"data":7}"#), None);
        let long = format!(r#"{{"data":[{{"id":"{}"}}]}}"#, "a".repeat(5000));
        assert_eq!(openai(long.as_bytes()).unwrap().loaded[0].path.as_os_str().len(), NAME_CHARS_MAX);
    }
}
