use crate::WireError;

/// Longest name: of hosts, users, teams, kinds, bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Longest path; longer ones exist below folders and are cut by the endpoint.
pub const PATH_BYTES_MAX: usize = 16 << 10;
/// Longest time that an endpoint waits, seconds: a day.
const SECONDS_MAX: u32 = 86_400;
/// Longest text for people.
pub const TEXT_BYTES_MAX: usize = 4 << 10;

/// What arrives is held against its limits before anybody uses it.
pub trait Check {
    /// Whether every field holds no more than it may.
    ///
    /// # Errors
    /// [`WireError`] names the first field that does not.
    fn check(&self) -> Result<(), WireError>;
}

pub fn bytes(field: &'static str, text: &str, most: usize) -> Result<(), WireError> {
    at_most(field, text.len(), most, "bytes")
}

pub fn name(field: &'static str, text: &str) -> Result<(), WireError> {
    bytes(field, text, NAME_BYTES_MAX)
}

/// A time to wait: neither none nor more than a day.
pub fn seconds(field: &'static str, value: u32) -> Result<(), WireError> {
    if (1..=SECONDS_MAX).contains(&value) {
        return Ok(());
    }
    Err(WireError::Field { field, reason: format!("is {value}; 1 to {SECONDS_MAX} seconds can be waited") })
}

pub fn entries<T>(field: &'static str, list: &[T], most: usize) -> Result<(), WireError> {
    at_most(field, list.len(), most, "entries")
}

pub fn at_most(field: &'static str, have: usize, most: usize, unit: &'static str) -> Result<(), WireError> {
    if have <= most { Ok(()) } else { Err(WireError::TooMuch { field, have, most, unit }) }
}
