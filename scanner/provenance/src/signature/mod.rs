//! OpenSSF Model Signing bundles.
