//! The memo: values by number, as PUT, MEMOIZE and GET see it.

use std::collections::HashMap;

use crate::formats::pickle::heap::Value;

/// Numbers below this are kept in a table, larger ones in a map.
const DENSE_MAX: u64 = 4_000_000;
/// Entries kept under larger numbers.
const SPARSE_MAX: usize = 500_000;

/// Values by number.
#[derive(Debug, Default)]
pub struct Memo {
    dense: Vec<Option<Value>>,
    sparse: HashMap<u64, Value>,
    /// Different numbers in use, kept or not.
    len: u64,
}

impl Memo {
    /// PUT: overwrites what stood there.
    pub fn put(&mut self, index: u64, value: Value) {
        let reach = self.dense.len() as u64 * 2 + 1024;
        if index < DENSE_MAX.min(reach) {
            let at = usize::try_from(index).unwrap_or(usize::MAX);
            if at >= self.dense.len() {
                self.dense.resize(at + 1, None);
            }
            // An entry may have gone to the map while the table was shorter.
            let moved = self.sparse.remove(&index).is_some();
            if let Some(slot) = self.dense.get_mut(at)
                && slot.replace(value).is_none()
                && !moved
            {
                self.len += 1;
            }
        } else if self.sparse.contains_key(&index) || self.sparse.len() < SPARSE_MAX {
            if self.sparse.insert(index, value).is_none() {
                self.len += 1;
            }
        } else {
            self.len += 1;
        }
    }

    /// MEMOIZE: the number is how many entries there are.
    pub fn memoize(&mut self, value: Value) {
        self.put(self.len, value);
    }

    /// GET; nothing if no value was put there. Beyond the limits, anything.
    #[must_use]
    pub fn get(&self, index: u64) -> Option<Value> {
        let dense = usize::try_from(index).ok().and_then(|i| self.dense.get(i)).copied().flatten();
        dense.or_else(|| self.sparse.get(&index).copied()).or_else(|| (self.overflowed()).then_some(Value::Unknown))
    }

    fn overflowed(&self) -> bool {
        self.sparse.len() >= SPARSE_MAX
    }
}
