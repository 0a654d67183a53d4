//! CNTK models: version 1 (a stream of UTF-16 marks) and version 2 (a
//! `Dictionary` of CNTK.proto).

mod rules;

use crate::codec::protobuf::{Message, Peek};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};

/// `BCN` and a NUL in UTF-16.
const VERSION_1_MAGIC: &[u8] = b"B\0C\0N\0\0\0";
/// Keys that the dictionary of a function has.
const KEYS: &[&[u8]] = &[b"version", b"uid", b"type", b"root_uid", b"primitive_functions", b"name", b"inputs"];
/// Words that only dictionaries of functions hold.
const MARKS: &[&[u8]] = &[b"CompositeFunction", b"primitive_functions", b"root_uid"];
/// Words of functions whose code is not in the model.
const USER_CODE: &[&[u8]] =
    &[b"native_user_function", b"NativeUserDefinedFunction", b"UserDefinedFunction", b"deserialize_method"];
/// Bytes searched at a time, and those repeated in the next window.
const WINDOW_BYTES: u64 = 1 << 20;
const OVERLAP_BYTES: u64 = 64;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "cntk",
    name: "CNTK",
    extensions: &["dnn", "model", "cmf", "cntk"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if sniff.starts_with(VERSION_1_MAGIC) {
        return Confidence::Likely;
    }
    let mut fields = Peek::new(sniff.head);
    let is_dictionary = fields.next().is_some_and(|f| f.varint(1).is_some_and(|version| (1..=9).contains(&version)))
        && fields.next().is_some_and(|f| f.body(2).is_some_and(is_entry));
    if !is_dictionary {
        Confidence::No
    } else if MARKS.iter().any(|mark| sniff.contains(mark)) {
        Confidence::Likely
    } else if sniff.name.has_extension(&["dnn", "cmf", "cntk"]) {
        Confidence::Plausible
    } else {
        Confidence::No
    }
}

/// An entry of the dictionary, or the map that older writers put around it.
fn is_entry(body: &[u8]) -> bool {
    let key = Peek::new(body).next().and_then(|f| f.body(1)).unwrap_or_default();
    let inner = Peek::new(key).next().and_then(|f| f.body(1)).unwrap_or_default();
    KEYS.contains(&key) || KEYS.contains(&inner)
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    if r.peek(VERSION_1_MAGIC.len())? == VERSION_1_MAGIC {
        ctx.fact("format_version", 1);
        let end = input.tail(8).map_err(|source| FormatError::Io { offset: 0, source })?;
        return if end == b"E\0C\0N\0\0\0" {
            Ok(())
        } else {
            Err(FormatError::truncated("ECN", input.len().saturating_sub(8)))
        };
    }
    ctx.fact("format_version", 2);
    let mut fields = Message::whole(input).fields();
    while fields.next(ctx, &mut r)?.is_some() {}
    user_code(ctx, input)
}

/// Dictionaries nest in many ways; the words of user functions are searched
/// for instead.
fn user_code(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut at = 0;
    while at < input.len() {
        ctx.work(1)?;
        let window = usize::try_from(WINDOW_BYTES + OVERLAP_BYTES).unwrap_or(usize::MAX);
        let window = input.read_vec(at, window).map_err(|source| FormatError::Io { offset: at, source })?;
        for word in USER_CODE {
            if let Some(found) = memchr::memmem::find(&window, word) {
                let shown: String = window
                    .get(found..)
                    .unwrap_or_default()
                    .iter()
                    .take(160)
                    .map(|b| if b.is_ascii_graphic() { char::from(*b) } else { ' ' })
                    .collect();
                ctx.find(&rules::USER_FUNCTION, at + found as u64, shown);
                return Ok(());
            }
        }
        at += WINDOW_BYTES;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use weighbridge_types::Verdict;

    use crate::codec::protobuf::testing::{bytes, int, message};
    use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

    fn model(word: &str) -> Vec<u8> {
        let entry = |key: &str, value: &str| message(2, &[bytes(1, key), message(2, &[bytes(8, value)])]);
        [int(1, 1), entry("type", "CompositeFunction"), entry("name", word)].concat()
    }

    #[test]
    fn both_versions_are_recognised() {
        let utf16 = |text: &str| text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let first = [utf16("BCN"), utf16("BVersion"), utf16("ECN")].concat();
        let outcome = inspect_bytes("v1.dnn", &first);
        assert_eq!((outcome.format, verdict(&outcome)), (Some("cntk"), Verdict::Clean));
        assert_eq!(verdict(&inspect_bytes("v1.dnn", &first[..first.len() - 2])), Verdict::Unknown);
        let outcome = inspect_bytes("v2", &model("honest"));
        assert_eq!((outcome.format, verdict(&outcome)), (Some("cntk"), Verdict::Clean));
    }

    #[test]
    fn user_functions_are_suspicious() {
        assert_eq!(rules(&inspect_bytes("v2", &model("NativeUserDefinedFunction"))), ["cntk-user-function"]);
    }

    #[test]
    fn survives() {
        survives_damage("v2.dnn", &model("deserialize_method"));
    }
}
