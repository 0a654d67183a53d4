//! The inference stacks that are installed, by what lies on disk.
