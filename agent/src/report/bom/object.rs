use serde_json::{Map, Value};

/// A JSON object in the making; what is unknown is left out.
#[derive(Debug, Default)]
pub struct Object(Map<String, Value>);

impl Object {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    pub fn maybe(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// A list, left out when it is empty.
    pub fn list(self, key: &str, items: impl IntoIterator<Item = impl Into<Value>>) -> Self {
        let items: Vec<Value> = items.into_iter().map(Into::into).collect();
        self.maybe(key, (!items.is_empty()).then_some(items))
    }

    /// A nested object, left out when it is empty.
    pub fn object(self, key: &str, inner: Self) -> Self {
        self.maybe(key, (!inner.0.is_empty()).then_some(inner))
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object.0)
    }
}
