//! Continuous batching, key-value pages, sampling, text: everything of generation but the arithmetic.
