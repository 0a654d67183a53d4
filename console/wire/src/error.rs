/// A message that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A field holds more than it may.
    #[error("`{field}` has {have} {unit}; at most {most} are taken")]
    TooMuch {
        /// Which field.
        field: &'static str,
        /// How much it holds.
        have: usize,
        /// How much it may hold.
        most: usize,
        /// `bytes`, `entries`.
        unit: &'static str,
    },
    /// A field holds something else than it should.
    #[error("`{field}` {reason}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}
