//! A set of policies with its data, ready to decide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use cedar_policy::{Policy, Schema, Validator};
use jiff::Timestamp;

use crate::annotations::Annotations;
use crate::data::Data;
use crate::entities::Vocabulary;
use crate::slice::Slices;

/// The schema that policies are held against, in Cedar's syntax.
pub const SCHEMA_TEXT: &str = include_str!("schema/weighbridge.cedarschema");

/// Policies and data that were checked together.
#[derive(Debug, Clone)]
pub struct PolicySet {
    pub(crate) policies: BTreeMap<String, Entry>,
    pub(crate) slices: Slices,
    pub(crate) data: Data,
    pub(crate) words: Vocabulary,
}

/// One policy.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Renamed to its `@id`.
    pub policy: Policy,
    pub annotations: Annotations,
    /// File it stands in.
    pub file: String,
}

impl PolicySet {
    /// Nothing but data: decides nothing, allows everything.
    ///
    /// # Errors
    /// None in a release: the names of our own types are tested.
    pub fn empty() -> Result<Self, String> {
        Self::new(BTreeMap::new(), Data::default())
    }

    pub(crate) fn new(policies: BTreeMap<String, Entry>, mut data: Data) -> Result<Self, String> {
        let mut words = Vocabulary::new()?;
        let slices = Slices::of(policies.values().map(|e| &e.policy), &words).map_err(|e| e.to_string())?;
        let mut mentioned = BTreeSet::new();
        policies.values().for_each(|e| crate::slice::mentioned(&e.policy, &mut mentioned));
        words.limit_to(mentioned);
        data.index();
        Ok(Self { policies, slices, data, words })
    }

    /// Whether there are no policies at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// `@id` of every policy, in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.policies.keys().map(String::as_str)
    }

    /// The data beside the policies.
    #[must_use]
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Whether the policy `id` is there and has not expired.
    pub(crate) fn alive(&self, id: &str, now: Timestamp) -> bool {
        self.policies.get(id).is_some_and(|e| e.annotations.expires.is_none_or(|end| now < end))
    }
}

/// Holds policies against the schema, which is parsed once.
pub(crate) fn validator() -> Result<&'static Validator, String> {
    static VALIDATOR: LazyLock<Result<Validator, String>> =
        LazyLock::new(|| SCHEMA_TEXT.parse::<Schema>().map(Validator::new).map_err(|e| e.to_string()));
    VALIDATOR.as_ref().map_err(Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_one() {
        validator().unwrap();
        PolicySet::empty().unwrap();
    }
}
