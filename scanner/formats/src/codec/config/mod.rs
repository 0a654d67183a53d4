//! Configuration trees, whatever text they were written in (JSON, YAML):
//! walking them with paths, and judging the names of code in them.
//!
//! Hydra, LightningCLI, torchtune, latent-diffusion, MONAI and jsonpickle all
//! turn a dotted name in a configuration into a call. What may be called is
//! decided in [`callables`], where such names stand in [`instantiate`].

pub mod callables;
pub mod instantiate;
mod paths;
pub mod rules;
mod walk;

pub use paths::leaves_folder;
pub use walk::{Place, excerpt, walk};

#[cfg(test)]
mod tests;
