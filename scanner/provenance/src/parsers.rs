//! Every parser of this crate by name, run on content whatever that looks
//! like: for fuzzing.

/// Runs one parser over hostile bytes; all it has to do is return.
pub type Run = fn(&[u8]);

/// The parser of this name, as in `fuzz/provenance.txt`.
#[must_use]
pub fn named(name: &str) -> Option<Run> {
    all().find(|(n, _)| *n == name).map(|(_, run)| run)
}

/// All of them. A module adds its own table here.
pub fn all() -> impl Iterator<Item = (&'static str, Run)> {
    let signatures = crate::signature::PARSERS.iter().chain(crate::signature::keyless::PARSERS);
    crate::origin::PARSERS.iter().chain(signatures).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_fuzz_targets_are_the_parsers() {
        let targets = include_str!("../../../fuzz/provenance.txt");
        let listed: Vec<&str> =
            targets.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
        assert_eq!(listed, all().map(|(name, _)| name).collect::<Vec<_>>());
        assert!(listed.iter().all(|name| named(name).is_some()));
    }

    proptest! {
        #[test]
        fn no_parser_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            all().for_each(|(_, run)| run(&bytes));
        }

        #[test]
        fn no_parser_panics_on_text_that_resembles_its_own(
            parts in proptest::collection::vec(
                proptest::sample::select(vec![
                    "{", "}", "[", "]", ":", ",", "\"", "/", "\n", " ", "=", "@", "#", "?", "://", "..", "\\", "\u{0}", "ü",
                    "models--", "--", "snapshots", "blobs", "sha256:", "sha256-", "manifests", "layers", "config",
                    "digest", "annotations", "schema", "weighbridge.catalogue/1", "releases", "files", "repository",
                    "revision", "models", "tags", "id", "version https://git-lfs.github.com/spec/v1\n", "oid sha256:",
                    "size ", "[remote \"", "url", "ref: refs/heads/", "https", "ssh", "git@host:", ".lmstudio/models/",
                    "0000000000000000000000000000000000000000",
                    "0000000000000000000000000000000000000000000000000000000000000000", "1712656091.5",
                ]),
                0..64,
            )
        ) {
            let text = parts.concat();
            all().for_each(|(_, run)| run(text.as_bytes()));
        }
    }
}
