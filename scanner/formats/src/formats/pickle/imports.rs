//! Where objects come from outside the stream: imports by name or number, and
//! persistent ids.

use crate::core::FormatError;
use crate::formats::pickle::heap::{Object, Value};
use crate::formats::pickle::machine::{Fault, Machine, bad_operand};
use crate::formats::pickle::names::{NAME_BYTES_MAX, NameId};
use crate::formats::pickle::ops::Operand;
use crate::formats::pickle::{Storage, literal, rules};

/// Storages listed.
const STORAGES_MAX: usize = 500_000;
/// Numbers registered by the stream itself.
const EXTENSIONS_MAX: usize = 4096;

impl Machine<'_> {
    /// The object a stream's GLOBAL pushes.
    ///
    /// # Errors
    /// Limits.
    pub fn import(&mut self, at: u64, module: &str, name: &str) -> Result<Value, Fault> {
        let id = self.names.intern(module, name, at)?;
        self.import_id(id)
    }

    fn import_id(&mut self, id: NameId) -> Result<Value, Fault> {
        if let Some(entry) = self.names.get_mut(id) {
            entry.imported = true;
            if let Some(object) = entry.object {
                return Ok(object);
            }
        }
        let object = self.heap.add_notable(Object::Global(id))?;
        if let Some(entry) = self.names.get_mut(id) {
            entry.object = Some(object);
        }
        Ok(object)
    }

    /// The object of a name that a call evaluates to.
    ///
    /// # Errors
    /// Limits.
    pub fn evaluated(&mut self, at: u64, module: &str, name: &str) -> Result<(NameId, Value), Fault> {
        let id = self.names.intern(module, name, at)?;
        if let Some(object) = self.names.get(id).and_then(|n| n.object) {
            return Ok((id, object));
        }
        let object = self.heap.add_notable(Object::Global(id))?;
        if let Some(entry) = self.names.get_mut(id) {
            entry.object = Some(object);
        }
        Ok((id, object))
    }

    pub(super) fn stack_global(&mut self, at: u64, module: Value, name: Value) -> Result<Value, Fault> {
        if let (Value::Str(m), Value::Str(n)) = (module, name) {
            if let Some(known) = self.imports.get(&(m, n)) {
                return Ok(*known);
            }
            let texts = (m.text(self.input, NAME_BYTES_MAX), n.text(self.input, NAME_BYTES_MAX));
            let (Some((module, _)), Some((name, _))) = texts else {
                return Err(FormatError::limit("backward_reads_max", 0).into());
            };
            let value = self.import(at, &module, &name)?;
            self.imports.insert((m, n), value);
            return Ok(value);
        }
        if matches!(module, Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Bytes(_))
            || matches!(name, Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Bytes(_))
        {
            return Err(Fault::Broken("STACK_GLOBAL without two strings".into()));
        }
        let computed = (self.fold(module), self.fold(name));
        let shown = format!("{}.{}", self.shown(module), self.shown(name));
        if let (Some(module), Some(name)) = computed {
            let (module, name) = (literal::text_of(module), literal::text_of(name));
            self.alert(&rules::DYNAMIC_IMPORT, at, format!("imports {module}.{name}, computed as {shown}"));
            return self.import(at, &module, &name);
        }
        self.alert(&rules::DYNAMIC_IMPORT, at, format!("imports {shown}"));
        Ok(Value::Unknown)
    }

    pub(super) fn extension(&mut self, at: u64, operand: &Operand) -> Result<Value, Fault> {
        let Operand::Int(number) = *operand else { return Err(bad_operand()) };
        if number <= 0 {
            return Err(Fault::Broken(format!("extension code {number}")));
        }
        if let Some(known) = self.extensions.get(&number) {
            return Ok(*known);
        }
        self.alert(&rules::EXTENSION_CODE, at, format!("imports extension {number} of the registry"));
        Ok(self.heap.add_notable(Object::Persistent(Value::Unknown))?)
    }

    /// Enters `object` in the registry of extensions.
    pub fn register_extension(&mut self, number: i64, object: Value) {
        if self.extensions.len() < EXTENSIONS_MAX {
            self.extensions.insert(number, object);
        }
    }

    /// The class in `('module', class, file, source)`, with which PyTorch's
    /// legacy format stores classes; the source is only compared.
    pub(super) fn persistent_class(&self, id: Value) -> Option<Value> {
        let items = self.heap.items(id).filter(|i| i.total == 4)?;
        let &[kind, class, ..] = items.kept.as_slice() else { return None };
        (self.fold(kind)? == b"module").then_some(class)
    }

    /// A persistent id as PyTorch writes it.
    pub(super) fn storage(&mut self, id: Value) {
        let Some(items) = self.heap.items(id) else { return };
        let &[kind, class, key, location, numel, ..] = items.kept.as_slice() else { return };
        if self.fold(kind).as_deref() != Some(b"storage") || self.storages.len() >= STORAGES_MAX {
            return;
        }
        let dtype = self.heap.global(class).and_then(|id| self.names.get(id)).map(|n| n.full());
        let text = |value| match value {
            Value::Int(n) => n.to_string(),
            value => self.fold(value).map(literal::text_of).unwrap_or_default(),
        };
        let (key, location) = (text(key), text(location));
        let numel = match numel {
            Value::Int(n) => u64::try_from(n).unwrap_or(u64::MAX),
            _ => u64::MAX,
        };
        self.storages.push(Storage { dtype: dtype.unwrap_or_default(), key, location, numel });
    }
}
