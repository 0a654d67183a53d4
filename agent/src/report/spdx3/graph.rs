use std::collections::HashSet;

use serde_json::Value;

use crate::report::bom::{Object, id};

/// The blank node all elements share.
pub const CREATION: &str = "_:creation";

/// Elements of one document, each with an IRI of its own.
pub struct Graph {
    prefix: String,
    iris: Vec<String>,
    taken: HashSet<String>,
    elements: Vec<Value>,
}

impl Graph {
    pub fn new(serial: &str) -> Self {
        let prefix = format!("urn:uuid:{serial}#");
        Self { prefix, iris: Vec::new(), taken: HashSet::new(), elements: Vec::new() }
    }

    /// The IRI of an element of this document.
    pub fn iri(&self, local: &str) -> String {
        format!("{}{local}", self.prefix)
    }

    /// The start of an element, if there is none of that name yet.
    pub fn element(&mut self, kind: &str, local: &str) -> Option<Object> {
        let iri = self.iri(local);
        if !self.taken.insert(iri.clone()) {
            return None;
        }
        Some(Object::new().with("type", kind).with("spdxId", iri).with("creationInfo", CREATION))
    }

    /// Adds an element, unless one of that name is there; its IRI.
    pub fn add(&mut self, kind: &str, local: &str, fill: impl FnOnce(Object) -> Object) -> String {
        let iri = self.iri(local);
        if let Some(element) = self.element(kind, local) {
            self.elements.push(fill(element).into());
            self.iris.push(iri.clone());
        }
        iri
    }

    /// Adds a relationship between elements.
    pub fn relate(&mut self, from: &str, kind: &str, to: &[String], fill: impl FnOnce(Object) -> Object) {
        self.relate_as("Relationship", from, kind, to, fill);
    }

    /// Adds a relationship of a class of its own.
    pub fn relate_as(
        &mut self,
        class: &str,
        from: &str,
        kind: &str,
        to: &[String],
        fill: impl FnOnce(Object) -> Object,
    ) {
        let parts: Vec<&str> = [class, from, kind].into_iter().chain(to.iter().map(String::as_str)).collect();
        self.add(class, &id("relationship", &parts), |e| {
            fill(e.with("from", from).with("relationshipType", kind).with("to", to))
        });
    }

    pub fn iris(&self) -> impl Iterator<Item = &str> {
        self.iris.iter().map(String::as_str)
    }

    pub fn into_elements(self) -> Vec<Value> {
        self.elements
    }
}
