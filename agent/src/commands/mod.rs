pub mod advisories;
pub mod inventory;
pub mod rules;
pub mod scan;
pub mod worker;
