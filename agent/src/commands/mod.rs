pub mod rules;
pub mod scan;
pub mod worker;
