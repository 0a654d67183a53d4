//! Imported names: what they stand for and how they are judged.

use std::collections::HashMap;

use crate::core::FormatError;
use crate::formats::pickle::Dialect;
use crate::formats::pickle::heap::Value;
use crate::formats::pickle::judge::judge;
use crate::formats::pickle::python2;
use crate::formats::pickle::special::{Special, special};
use crate::formats::pickle::tables::Standing;

/// Different names in one stream.
const NAMES_MAX: usize = 65_536;
/// Longest module or name, bytes.
pub const NAME_BYTES_MAX: usize = 1024;

/// A name of [`Names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NameId(u32);

/// An imported name.
#[derive(Debug, Clone)]
pub struct Name {
    /// Module as written.
    pub module: String,
    /// Name as written, dots included; empty for the module itself.
    pub name: String,
    /// What is known of it.
    pub standing: Standing,
    /// Where it was first imported.
    pub at: u64,
    /// Whether an opcode imported it (and not merely an evaluated call).
    pub imported: bool,
    /// Findings raised about it.
    pub reported: u32,
    /// What it does with its arguments, if they matter.
    pub special: Option<Special>,
    /// Its object in the arena.
    pub object: Option<Value>,
}

impl Name {
    /// `module.name`
    #[must_use]
    pub fn full(&self) -> String {
        if self.name.is_empty() { self.module.clone() } else { format!("{}.{}", self.module, self.name) }
    }

    /// Module and name as Python 3 knows them.
    #[must_use]
    pub fn canonical(&self) -> (&str, &str) {
        python2::mapped(self.module.trim(), self.name.trim())
    }

    /// Whether it is `module.name` to Python 3.
    #[must_use]
    pub fn is(&self, module: &str, name: &str) -> bool {
        self.canonical() == (module, name)
    }
}

/// Every name of a stream, once.
#[derive(Debug, Default)]
pub struct Names {
    /// Who reads the stream.
    pub dialect: Dialect,
    list: Vec<Name>,
    index: HashMap<(String, String), NameId>,
}

impl Names {
    /// The entry of `module.name`, judged when it is new.
    ///
    /// # Errors
    /// [`FormatError::Limit`] when there are too many names.
    pub fn intern(&mut self, module: &str, name: &str, at: u64) -> Result<NameId, FormatError> {
        let key = (cut(module).to_owned(), cut(name).to_owned());
        if let Some(id) = self.index.get(&key) {
            return Ok(*id);
        }
        if self.list.len() >= NAMES_MAX {
            return Err(FormatError::limit("pickle_names_max", NAMES_MAX as u64));
        }
        let id = NameId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        let standing = match judge(&key.0, &key.1) {
            Standing::Unknown if self.dialect.defines(&key.0) => Standing::Class,
            standing => standing,
        };
        let (m, n) = python2::mapped(key.0.trim(), key.1.trim());
        let special = special(m, n);
        self.list.push(Name {
            module: key.0.clone(),
            name: key.1.clone(),
            standing,
            at,
            imported: false,
            reported: 0,
            special,
            object: None,
        });
        self.index.insert(key, id);
        Ok(id)
    }

    /// The name behind `id`.
    #[must_use]
    pub fn get(&self, id: NameId) -> Option<&Name> {
        self.list.get(id.0 as usize)
    }

    /// The name behind `id`, to change it.
    pub fn get_mut(&mut self, id: NameId) -> Option<&mut Name> {
        self.list.get_mut(id.0 as usize)
    }

    /// All names in the order of their first import.
    pub fn iter(&self) -> impl Iterator<Item = &Name> {
        self.list.iter()
    }
}

fn cut(text: &str) -> &str {
    let end = (0..=NAME_BYTES_MAX.min(text.len())).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}
