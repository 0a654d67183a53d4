//! Arrays that joblib writes between the opcodes: how long they are, so that
//! the machine goes on exactly behind them (`joblib/numpy_pickle.py`).

use crate::core::{FormatError, Reader};
use crate::formats::pickle::heap::{Items, Object, Value};
use crate::formats::pickle::literal;
use crate::formats::pickle::machine::Machine;

/// What follows a joblib wrapper.
#[derive(Debug, PartialEq)]
pub enum Follows {
    /// This many raw bytes, after padding if the flag says so.
    Bytes {
        /// Bytes of the array.
        len: u64,
        /// Whether a length byte and padding come first.
        padded: bool,
    },
    /// A pickle of its own: the array holds objects.
    Pickle,
    /// Nothing: the array is in another file (joblib before 0.10).
    Elsewhere(String),
}

/// Element type of an array.
struct ElementType {
    bytes: u64,
    objects: bool,
}

impl Machine<'_> {
    /// What follows the wrapper whose state was just built.
    ///
    /// # Errors
    /// Why that cannot be known.
    pub fn follows(&self, wrapper: Value) -> Result<Follows, String> {
        let class = self.class_of(wrapper).and_then(|id| self.names.get(id)).map(|n| n.name.as_str());
        let state = self.heap.call(wrapper).and_then(|c| self.heap.items(c.state)).ok_or("it has no state")?;
        if class != Some("NumpyArrayWrapper") {
            let file = self.field(state, b"filename").and_then(|v| self.fold(v)).map(literal::text_of);
            return Ok(Follows::Elsewhere(file.unwrap_or_default()));
        }
        let element = self.field(state, b"dtype").and_then(|v| self.element_type(v)).ok_or("its type is not known")?;
        if element.objects {
            return Ok(Follows::Pickle);
        }
        let shape = self.field(state, b"shape").and_then(|v| self.heap.items(v)).ok_or("its shape is not known")?;
        let mut len = element.bytes;
        if !shape.whole() {
            return Err("its shape is absurd".into());
        }
        for side in &shape.kept {
            let Value::Int(side) = *side else { return Err("its shape is no tuple of numbers".into()) };
            let side = u64::try_from(side).map_err(|_| "its shape is negative")?;
            len = len.checked_mul(side).ok_or("its size is beyond 64 bits")?;
        }
        let alignment = self.field(state, b"numpy_array_alignment_bytes");
        Ok(Follows::Bytes { len, padded: alignment.is_some_and(|v| v != Value::None) })
    }

    fn field(&self, state: &Items, key: &[u8]) -> Option<Value> {
        state.pairs().find(|(k, _)| self.fold(*k).as_deref() == Some(key)).map(|(_, value)| value)
    }

    /// Size of one element of `numpy.dtype(…)` with its state.
    fn element_type(&self, value: Value) -> Option<ElementType> {
        let call = self.heap.call(value)?;
        let name = self.names.get(self.heap.global(call.callee)?)?;
        if name.name != "dtype" {
            return None;
        }
        let text = self.fold(self.heap.items(call.args)?.kept.first().copied()?)?;
        let (kind, digits) = element_code(&text)?;
        let state = match self.heap.object(call.state) {
            Some(Object::Tuple(items)) => Some(&items.kept),
            _ => None,
        };
        let number = |n: usize| match state.and_then(|s| s.get(n)) {
            Some(Value::Int(n)) => Some(*n),
            _ => None,
        };
        let objects = kind == b'O' || number(7).is_some_and(|flags| flags & 1 != 0);
        let declared = number(5).and_then(|n| u64::try_from(n).ok());
        let bytes = match kind {
            b'?' | b'O' => 1,
            b'U' => declared.or(digits?.checked_mul(4))?,
            b'S' | b'a' | b'V' => declared.or(digits)?,
            b'b' | b'i' | b'u' | b'f' | b'c' | b'm' | b'M' => digits?,
            _ => return None,
        };
        Some(ElementType { bytes, objects })
    }
}

/// `<f8` as `f` and 8.
fn element_code(text: &[u8]) -> Option<(u8, Option<u64>)> {
    let text = match text.first()? {
        b'<' | b'>' | b'|' | b'=' => text.get(1..)?,
        _ => text,
    };
    let (kind, digits) = text.split_first()?;
    Some((*kind, std::str::from_utf8(digits).ok()?.parse().ok()))
}

/// Steps over the padding before an array.
///
/// # Errors
/// [`FormatError::Truncated`] at the end of the content.
pub fn skip_padding(r: &mut Reader<'_>) -> Result<(), FormatError> {
    let n = r.u8("array padding length")?;
    r.skip(n.into(), "array padding")
}
