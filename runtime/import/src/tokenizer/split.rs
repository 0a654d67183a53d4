//! How each byte-level vocabulary cuts text before it merges
//! (`tokenizer.ggml.pre`; the expressions are those of the models' own
//! `tokenizer.json` files, which llama.cpp repeats).

use crate::ImportError;
use crate::error::Name;

/// One way to cut text.
#[derive(Debug, Clone)]
pub(super) struct Splitter {
    /// Expressions, one after the other; none is GPT-2's own.
    pub(super) steps: Vec<&'static str>,
    /// Text is brought into Unicode's composed form first.
    pub(super) nfc: bool,
    /// A word that is a token as it stands is not merged.
    pub(super) whole_words: bool,
    /// Texts begin with the begin-of-sequence token unless the file says
    /// otherwise.
    pub(super) bos: bool,
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3_CJK: &str = r"[一-龥぀-ゟ゠-ヿ]+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

/// The splitter that files call `pre`.
///
/// # Errors
/// Names this importer does not know: cutting otherwise would give other
/// tokens than the model was trained on.
pub(super) fn of(pre: &str) -> Result<Splitter, ImportError> {
    let plain = |steps: Vec<&'static str>| Splitter { steps, nfc: false, whole_words: false, bos: false };
    Ok(match pre {
        "llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "pixtral-bpe" => {
            Splitter { whole_words: true, bos: true, ..plain(vec![LLAMA3]) }
        }
        "dbrx" | "smaug-bpe" => plain(vec![LLAMA3]),
        "qwen2" | "deepseek-r1-qwen" | "megrez" => Splitter { nfc: true, ..plain(vec![QWEN2]) },
        "tekken" => Splitter { whole_words: true, bos: true, ..plain(vec![TEKKEN]) },
        "gpt-4o" | "llama4" => plain(vec![GPT4O]),
        "gpt-2" | "phi-2" | "mpt" | "olmo" | "jais" => plain(Vec::new()),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => plain(vec![r"\p{N}", GPT2]),
        "deepseek-coder" => plain(vec![r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}"]),
        "deepseek-v3" => plain(vec![r"\p{N}{1,3}", DEEPSEEK3_CJK, DEEPSEEK3]),
        "default" => plain(vec![
            r"[\p{P}\$\+<=>\^~\|]+",
            r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
            r"\p{N}+",
            r"[0-9][0-9][0-9]",
        ]),
        other => {
            return Err(ImportError::unsupported(
                format!("the pre-tokenizer `{}`", Name::new(other)),
                "import the safetensors folder of the same model, which brings its tokenizer along",
            ));
        }
    })
}
