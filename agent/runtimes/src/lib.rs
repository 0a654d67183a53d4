//! Inference stacks that run, and GPUs.
#![forbid(unsafe_code)]
