pub mod conformance;
pub mod files;
pub mod rules;
pub mod scan;
pub mod sign;
pub mod trust;
pub mod verify;
pub mod worker;
