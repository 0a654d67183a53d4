use std::sync::Arc;

use weighbridge_policy::Approved;
use weighbridge_types::Sha256;

use super::model::{self, Model, Phase};
use crate::load::{LoadError, Need};

/// A name that is taken while its model is being loaded.
pub struct Reservation {
    pub need: Need,
    approved: Approved,
    /// Once its files are sealed.
    model: Option<Arc<Model>>,
    /// What was taken back until then, and why.
    taken_back: Vec<(Which, String)>,
}

/// What is taken back.
#[derive(Debug, Clone)]
pub enum Which {
    /// The model of that name.
    Named(String),
    /// Every model that a file with this digest belongs to.
    Holding(Sha256),
}

impl Which {
    /// Whether `model` is meant.
    pub fn is(&self, model: &Model) -> bool {
        match self {
            Self::Named(name) => model.name() == name,
            Self::Holding(digest) => model.holds(digest),
        }
    }
}

impl Reservation {
    pub fn new(need: Need, approved: Approved) -> Self {
        Self { need, approved, model: None, taken_back: Vec::new() }
    }

    pub fn name(&self) -> &str {
        self.approved.model()
    }

    /// The model is there. An error if it was taken back before.
    pub fn attach(&mut self, model: &Arc<Model>) -> Result<(), LoadError> {
        if let Some((_, reason)) = self.taken_back.iter().find(|(which, _)| which.is(model)) {
            let failure = model::revoked(model.name(), reason);
            return Err(LoadError::Refused { model: model.name().to_owned(), failure });
        }
        // It may have been renewed since it began.
        model.renew(self.approved.clone());
        self.model = Some(Arc::clone(model));
        Ok(())
    }

    /// Takes back what is being loaded, if it is meant. Whether it is.
    pub fn take_back(&mut self, which: &Which, reason: &str) -> bool {
        if let Some(model) = &self.model {
            return which.is(model) && model.stop(Phase::revoked(model.name(), reason));
        }
        // Which files it will have is not known yet: an import brings more.
        self.taken_back.push((which.clone(), reason.to_owned()));
        match which {
            Which::Named(name) => self.name() == name,
            Which::Holding(digest) => self.approved.covers(digest),
        }
    }

    /// Goes on by `approved`. False if that is for other files.
    pub fn renew(&mut self, approved: Approved) -> bool {
        let same = self.approved.digests().eq(approved.digests());
        let renewed = same && self.model.as_ref().is_none_or(|model| model.renew(approved.clone()));
        if renewed {
            self.approved = approved;
        }
        renewed
    }
}
