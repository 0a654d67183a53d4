//! What a kernel refuses.

/// Why a kernel did not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A layout name outside the contract.
    #[error("weight layout `{0}` is not known; expected `q4`, `q4a`, `q8`, `q8h` or `f16`")]
    UnknownLayout(String),
    /// A row length that blocks of 32 do not divide.
    #[error("rows of `{0}` weights cannot be packed; the length must be a positive multiple of 32")]
    Inputs(usize),
    /// A size that does not fit the address space.
    #[error("`{rows}` rows of `{inputs}` weights do not fit memory")]
    TooLarge {
        /// Output rows of the matrix.
        rows: usize,
        /// Inputs of one row.
        inputs: usize,
    },
    /// A slice of the wrong length.
    #[error("`{what}` holds `{have}` values where `{need}` are needed")]
    Length {
        /// The argument.
        what: &'static str,
        /// Values needed.
        need: usize,
        /// Values given.
        have: usize,
    },
    /// An index beyond a table.
    #[error("{what} `{index}` is beyond the last of `{count}`")]
    Index {
        /// What was looked up.
        what: &'static str,
        /// The index given.
        index: i64,
        /// Entries there are.
        count: usize,
    },
    /// A weight or scale that the layout cannot hold.
    #[error(
        "{what} of row `{row}`, block `{block}` does not fit layout `{layout}`; the tensor is damaged or needs another layout"
    )]
    Value {
        /// What does not fit.
        what: &'static str,
        /// Row within the group.
        row: usize,
        /// Block within the row.
        block: usize,
        /// Layout asked for.
        layout: &'static str,
    },
    /// A parameter outside its range.
    #[error("{what} is `{value}`, which this kernel cannot compute; expected {expected}")]
    Parameter {
        /// The parameter.
        what: &'static str,
        /// Its value.
        value: usize,
        /// What would do.
        expected: &'static str,
    },
    /// Two sequences of one batch share a page that one of them writes.
    #[error("page `{0}` of the key-value store is written by one sequence and used by another in the same batch")]
    SharedPage(u32),
    /// The system gave no memory.
    #[error("no memory for `{0}` bytes")]
    Memory(usize),
    /// The system gave no thread.
    #[error("cannot start a compute thread: {0}")]
    Thread(std::io::ErrorKind),
}

/// Holds a slice's length against what is needed.
pub(crate) fn length(what: &'static str, have: usize, need: usize) -> Result<(), KernelError> {
    if have == need { Ok(()) } else { Err(KernelError::Length { what, need, have }) }
}
