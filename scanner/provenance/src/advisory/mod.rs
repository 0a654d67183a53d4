//! Advisories (OSV format) against models and installed programs.
