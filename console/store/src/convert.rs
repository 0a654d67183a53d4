//! Values of ours as columns hold them.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;

/// Digests have 32 bytes; of others, what there is.
pub fn bytes(from: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    digest
}

/// Numbers beyond what a database holds are the largest that it does.
pub fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// As it is called in messages.
pub fn name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}

pub fn named<T: DeserializeOwned>(text: &str, column: &'static str) -> Result<T, StoreError> {
    serde_json::from_value(text.into()).map_err(|_| StoreError::Damaged { column })
}

/// JSON.
pub fn json(value: &impl Serialize) -> String {
    // Plain data always becomes JSON.
    serde_json::to_string(value).unwrap_or_default()
}

pub fn of_json<T: DeserializeOwned>(text: &str, column: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Damaged { column })
}

pub fn time(microseconds: i64, column: &'static str) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(microseconds).map_err(|_| StoreError::Damaged { column })
}
