//! Claims about where a file came from.
