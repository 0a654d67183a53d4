use std::borrow::Cow;
use std::fmt::Write;

use sqlx::error::BoxDynError;
use sqlx::{Arguments, Database, Encode, Type};

/// A value to be bound. Absent values have a type, too: PostgreSQL asks for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Whole numbers and times.
    Int(Option<i64>),
    /// Other numbers.
    Float(Option<f64>),
    /// Yes or no.
    Bool(Option<bool>),
    /// Texts and JSON.
    Text(Option<String>),
    /// Digests.
    Bytes(Option<Vec<u8>>),
}

macro_rules! values {
    ($($kind:ident: $type:ty),* $(,)?) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$kind(Some(value.into()))
            }
        }

        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                Self::$kind(value.map(Into::into))
            }
        }
    )*};
}

values!(Int: i64, Float: f64, Bool: bool, Text: String, Text: &str, Bytes: Vec<u8>, Bytes: &[u8], Bytes: [u8; 32]);

/// SQL with places `$1`, `$2`, … and what they hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    sql: Cow<'static, str>,
    values: Vec<Value>,
}

impl Statement {
    /// `sql` is part of the program: what comes from outside is bound.
    #[must_use]
    pub const fn new(sql: &'static str) -> Self {
        Self { sql: Cow::Borrowed(sql), values: Vec::new() }
    }

    /// The value of the next place.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Appends SQL.
    pub fn push(&mut self, sql: &'static str) -> &mut Self {
        self.sql.to_mut().push_str(sql);
        self
    }

    /// Appends a number where nothing can be bound: in definitions of tables.
    pub fn push_number(&mut self, number: i64) -> &mut Self {
        // Writing to a text does not fail.
        let _ = write!(self.sql.to_mut(), "{number}");
        self
    }

    /// Appends a place and its value.
    pub fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let number = self.values.len();
        // Writing to a text does not fail.
        let _ = write!(self.sql.to_mut(), "${number}");
        self
    }

    /// Appends `($1, $2), ($3, $4)` for rows of values.
    pub fn push_rows(&mut self, rows: impl IntoIterator<Item = Vec<Value>>) -> &mut Self {
        for (n, row) in rows.into_iter().enumerate() {
            self.push(if n == 0 { "(" } else { ", (" });
            for (m, value) in row.into_iter().enumerate() {
                if m > 0 {
                    self.push(", ");
                }
                self.push_bind(value);
            }
            self.push(")");
        }
        self
    }

    /// The SQL.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The values as a driver takes them.
    pub(super) fn arguments<D>(&self) -> Result<D::Arguments, BoxDynError>
    where
        D: Database,
        D::Arguments: Default,
        for<'v> Option<i64>: Encode<'v, D> + Type<D>,
        for<'v> Option<f64>: Encode<'v, D> + Type<D>,
        for<'v> Option<bool>: Encode<'v, D> + Type<D>,
        for<'v> Option<String>: Encode<'v, D> + Type<D>,
        for<'v> Option<Vec<u8>>: Encode<'v, D> + Type<D>,
    {
        let mut arguments = D::Arguments::default();
        for value in &self.values {
            match value {
                Value::Int(value) => arguments.add(*value),
                Value::Float(value) => arguments.add(*value),
                Value::Bool(value) => arguments.add(*value),
                Value::Text(value) => arguments.add(value.clone()),
                Value::Bytes(value) => arguments.add(value.clone()),
            }?;
        }
        Ok(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_numbered_as_they_are_bound() {
        let mut statement = Statement::new("INSERT INTO t (a, b) VALUES ");
        statement.push_rows([vec![1_i64.into(), "x".into()], vec![Value::Int(None), Value::Text(None)]]);
        statement.push(" ON CONFLICT DO NOTHING");
        assert_eq!(statement.sql(), "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING");
        let hostile = Statement::new("SELECT 1 WHERE a = $1").bind("'; DROP TABLE t; --");
        assert_eq!(hostile.sql(), "SELECT 1 WHERE a = $1");
    }
}
