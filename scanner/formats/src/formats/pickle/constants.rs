//! Text and bytes in the stream: kept by position, looked at once for words
//! and payloads.

use crate::formats::pickle::heap::Value;
use crate::formats::pickle::literal::{self, Literal};
use crate::formats::pickle::machine::{Fault, Machine, bad_operand};
use crate::formats::pickle::nested::{self, Payload};
use crate::formats::pickle::ops::{Head, Op, Operand, code};

/// Payloads looked into.
const PAYLOADS_MAX: usize = 32;
/// Bytes of a STRING line held against its grammar.
const STRING_CHECKED_MAX: usize = 64 * 1024;

impl Machine<'_> {
    /// Text and bytes: kept by position, looked at for words and payloads.
    pub(super) fn literal(&mut self, op: &Op) -> Result<Literal, Fault> {
        let Operand::Span { start, len, head } = op.operand else { return Err(bad_operand()) };
        let is_line = matches!(op.code, code::STRING | code::UNICODE);
        let mut hook = false;
        if op.code == code::STRING
            && let Some(why) = self.bad_string(start, len)
        {
            self.survive(op.at, why);
        }
        if is_line && len <= 200 {
            let text = Literal::new(op.at, false).bytes(self.input, 200).unwrap_or_default().0;
            hook = literal::is_hook(&text);
            self.version_word(&text);
        } else if len <= 24 {
            hook = literal::is_hook(head.bytes());
            self.version_word(head.bytes());
        }
        self.notice_payload(op, start, len, &head);
        Ok(Literal::new(op.at, hook))
    }

    /// Why STRING would not accept its line, if so.
    fn bad_string(&self, start: u64, len: u64) -> Option<String> {
        let want = usize::try_from(len).unwrap_or(usize::MAX).min(STRING_CHECKED_MAX);
        let line = self.input.read_vec(start, want).unwrap_or_default();
        if line.len() as u64 != len {
            return None;
        }
        if !literal::is_quoted(&line) {
            return Some("STRING without quotes".into());
        }
        (!literal::has_valid_escapes(&line)).then(|| "STRING with a broken escape".into())
    }

    fn notice_payload(&mut self, op: &Op, start: u64, len: u64, head: &Head) {
        let is_text = !matches!(op.code, code::BINBYTES | code::SHORT_BINBYTES | code::BINBYTES8 | code::BYTEARRAY8);
        if self.payloads.len() < PAYLOADS_MAX
            && let Some(kind) = nested::kind(head.bytes(), len, is_text)
        {
            self.payloads.push(Payload { at: op.at, start, len, kind });
        }
    }

    /// scikit-learn writes its version into every estimator's state.
    fn version_word(&mut self, text: &[u8]) {
        if std::mem::take(&mut self.version_next) && self.sklearn_version.is_none() && !text.is_empty() {
            self.sklearn_version = Some(literal::text_of(text.to_vec()));
        }
        self.version_next = text == b"_sklearn_version";
    }

    /// Notes that the bytes among `values` are the elements of an array: what
    /// resembles protocol 0 there is chance.
    pub fn are_elements(&mut self, values: Value) {
        if !self.payloads.iter().any(|p| p.kind == nested::Kind::Lines) {
            return;
        }
        let kept = self.heap.items(values).map(|i| i.kept.clone()).unwrap_or_default();
        let is_element = |at: u64| kept.iter().any(|v| matches!(v, Value::Bytes(bytes) if bytes.at() == at));
        self.payloads.retain(|p| p.kind != nested::Kind::Lines || !is_element(p.at));
    }
}
