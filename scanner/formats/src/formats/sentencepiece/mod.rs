//! SentencePiece tokenizer models (`sentencepiece_model.proto`).

use crate::codec::protobuf::{Message, Peek, PeekedValue, Value, is_text};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};

/// Pieces that must fit before a file is taken for one.
const PIECES_MIN: u32 = 3;
/// Pieces kept as facts.
const PIECES_SHOWN_MAX: usize = 20;
/// `ModelProto.SentencePiece.Type` that users and training define.
const SPECIAL_TYPES: [u64; 3] = [2, 3, 4];

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "sentencepiece",
    name: "SentencePiece tokenizer",
    extensions: &["model", "spm", "vocab"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[],
};

/// The first pieces: each a text, a score and mostly a type; one of them
/// special (`<unk>`).
fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let (mut pieces, mut special) = (0, false);
    for field in Peek::new(sniff.head) {
        match (field.number, field.value) {
            (1, PeekedValue::Bytes(piece, true)) => match piece_marks(piece) {
                Some(is_special) => special |= is_special,
                None => return Confidence::No,
            },
            (1, PeekedValue::Bytes(_, false)) => break,
            (2 | 3 | 5, PeekedValue::Bytes(..)) if pieces >= PIECES_MIN => break,
            _ if pieces >= PIECES_MIN => break,
            _ => return Confidence::No,
        }
        pieces += 1;
    }
    match (pieces >= PIECES_MIN, special) {
        (true, true) => Confidence::Certain,
        (true, false) if sniff.name.has_extension(&["model", "spm"]) => Confidence::Plausible,
        _ => Confidence::No,
    }
}

/// Whether a piece is special; `None` if it is no piece.
fn piece_marks(piece: &[u8]) -> Option<bool> {
    let mut fields = Peek::new(piece);
    let text = fields.next()?.whole(1)?;
    let score = fields.next()?;
    let is_score = score.number == 2 && score.value == PeekedValue::Fixed;
    let kind = match fields.next() {
        Some(field) => field.varint(3).filter(|kind| (1..=6).contains(kind))?,
        None => 1,
    };
    (is_score && !text.is_empty() && is_text(text)).then(|| SPECIAL_TYPES.contains(&kind) && text.starts_with(b"<"))
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    let mut pieces = 0u64;
    let mut special = Vec::new();
    let mut fields = Message::whole(input).fields();
    let walked = loop {
        match fields.next(ctx, &mut r) {
            Ok(Some(field)) => {
                let (1, Value::Bytes(body)) = (field.number, field.value) else { continue };
                pieces += 1;
                match special_piece(ctx, &mut r, body) {
                    Ok(Some(piece)) if special.len() < PIECES_SHOWN_MAX => special.push(piece),
                    Ok(_) => {}
                    Err(error) => break Err(error),
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    ctx.fact("tokenizer", "sentencepiece");
    ctx.fact("vocabulary_size", pieces);
    ctx.fact("special_tokens", special);
    walked
}

/// The text of a control, unknown or user-defined piece.
fn special_piece(ctx: &mut Inspection<'_>, r: &mut Reader<'_>, body: Message) -> Result<Option<String>, FormatError> {
    let (mut text, mut kind) = (None, 1);
    let mut fields = body.fields();
    while let Some(field) = fields.next(ctx, r)? {
        match (field.number, field.value) {
            (1, Value::Bytes(piece)) => text = Some(piece),
            (3, Value::Varint(n)) => kind = n,
            _ => {}
        }
    }
    match text {
        Some(text) if SPECIAL_TYPES.contains(&kind) => text.text(r, 256, "piece").map(Some),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use weighbridge_types::Verdict;

    use crate::codec::protobuf::testing::{bytes, int, message};
    use crate::core::testing::{inspect_bytes, survives_damage, verdict};

    fn piece(text: &str, kind: i64) -> Vec<u8> {
        let kind = if kind == 1 { Vec::new() } else { int(3, kind) };
        message(1, &[bytes(1, text), vec![0x15, 0, 0, 0, 0], kind])
    }

    fn model() -> Vec<u8> {
        [piece("<unk>", 2), piece("<s>", 3), piece("</s>", 3), piece("▁the", 1), bytes(2, int(4, 4))].concat()
    }

    #[test]
    fn pieces_are_counted() {
        let outcome = inspect_bytes("tokenizer.model", &model());
        assert_eq!(outcome.format, Some("sentencepiece"));
        assert_eq!(verdict(&outcome), Verdict::Clean);
        assert_eq!(outcome.metadata["vocabulary_size"], 4);
        assert_eq!(outcome.metadata["special_tokens"][0], "<unk>");
    }

    #[test]
    fn a_cut_model_is_unknown() {
        let cut = [model(), vec![0x0a, 0x7f]].concat();
        assert_eq!(verdict(&inspect_bytes("tokenizer.model", &cut)), Verdict::Unknown);
    }

    #[test]
    fn graphs_and_descriptors_are_not_tokenizers() {
        let other = message(1, &[bytes(1, "<unk>"), bytes(2, "Add")]);
        assert_ne!(inspect_bytes("x.model", &other.repeat(4)).format, Some("sentencepiece"));
    }

    #[test]
    fn survives() {
        survives_damage("tokenizer.model", &model());
    }
}
