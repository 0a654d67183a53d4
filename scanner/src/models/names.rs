//! The names users know models by.

/// Last component of a folder.
pub fn of_folder(folder: &str) -> String {
    let name = folder.rsplit('/').find(|c| !c.is_empty()).unwrap_or(folder);
    name.to_owned()
}

/// File name without its extension.
pub fn of_file(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map_or(name, |(stem, _)| stem).to_owned()
}

/// `org/name` of `…/models--org--name/snapshots/<commit>[/…]`.
pub fn hf_snapshot(folder: &str) -> Option<String> {
    let (before, after) = folder.rsplit_once("/snapshots/")?;
    let repository = before.rsplit('/').next()?.strip_prefix("models--")?;
    let name = repository.replacen("--", "/", 1);
    match after.split_once('/') {
        Some((_, below)) => Some(format!("{name}/{below}")),
        None => Some(name),
    }
}

/// `name` of `name-00001-of-00003.ext`.
pub fn shard_set(path: &str) -> Option<String> {
    let stem = of_file(path);
    let (before, total) = stem.rsplit_once("-of-")?;
    let (name, number) = before.rsplit_once('-')?;
    let digits = |s: &str| s.len() == 5 && s.bytes().all(|b| b.is_ascii_digit());
    (digits(total) && digits(number)).then(|| name.to_owned())
}

/// `name:tag` of an Ollama manifest's path
/// `…/manifests/<host>/<namespace>/<model>/<tag>`; the default host and
/// namespace are left out, as Ollama shows it.
pub fn ollama(path: &str) -> Option<String> {
    let (_, after) = path.rsplit_once("/manifests/")?;
    let mut parts = after.split('/');
    let (host, namespace, model, tag) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some(match (host, namespace) {
        ("registry.ollama.ai", "library") => format!("{model}:{tag}"),
        ("registry.ollama.ai", _) => format!("{namespace}/{model}:{tag}"),
        _ => format!("{host}/{namespace}/{model}:{tag}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_users_type() {
        assert_eq!(hf_snapshot("/c/models--org--a--b/snapshots/ff").as_deref(), Some("org/a--b"));
        assert_eq!(ollama("/m/manifests/registry.ollama.ai/library/llama3/8b").as_deref(), Some("llama3:8b"));
        assert_eq!(ollama("/m/manifests/hf.co/u/r/q4").as_deref(), Some("hf.co/u/r:q4"));
        assert_eq!(shard_set("/x/m-00001-of-00003.gguf").as_deref(), Some("m"));
        assert_eq!(shard_set("/x/m-1-of-3.gguf"), None);
        assert_eq!(of_file("/x/.gguf"), ".gguf");
    }
}
