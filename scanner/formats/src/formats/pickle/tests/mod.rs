//! Claims about pickles.
