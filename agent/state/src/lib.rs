//! State of an endpoint.
#![forbid(unsafe_code)]
