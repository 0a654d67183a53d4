//! BUILD, SETITEM, APPEND and their kin: opcodes that change an object, and
//! call its methods where it is no plain container.

use crate::formats::pickle::calls::is_joblib_wrapper;
use crate::formats::pickle::heap::{Object, Value};
use crate::formats::pickle::machine::{Fault, Flow, Machine};
use crate::formats::pickle::tables::{self, Standing};
use crate::formats::pickle::{literal, rules};

impl Machine<'_> {
    /// BUILD: `target.__setstate__(state)`, or its attributes set one by one.
    ///
    /// # Errors
    /// Limits.
    pub fn build(&mut self, at: u64, target: Value, state: Value) -> Result<Flow, Fault> {
        if self.heap.global(target).is_some() {
            let detail = format!("changes {} to {}", self.shown(target), self.shown(state));
            self.alert(&rules::HIJACK, at, detail);
            return Ok(Flow::Next);
        }
        self.check_hooks(at, target, state);
        let known = match self.heap.call_mut(target) {
            Some(call) => {
                call.state = state;
                true
            }
            None => matches!(target, Value::Data | Value::Unknown),
        };
        if !known && !matches!(self.heap.object(target), Some(Object::Persistent(_))) {
            self.survive(at, format!("BUILD on {}", self.shown(target)));
        }
        let class = self.class_of(target).and_then(|id| self.names.get(id));
        if class.is_some_and(|n| n.module.starts_with("numpy")) {
            self.are_elements(state);
            return Ok(Flow::Next);
        }
        if class.is_some_and(|n| is_joblib_wrapper(&n.name) && n.module.contains("joblib")) {
            return Ok(Flow::Array(target));
        }
        Ok(Flow::Next)
    }

    /// State that sets special methods: `(dict, slots)` or a dict.
    pub(super) fn check_hooks(&mut self, at: u64, target: Value, state: Value) {
        let mut dicts = vec![state];
        if let Some(Object::Tuple(parts)) = self.heap.object(state)
            && parts.total == 2
        {
            dicts.clone_from(&parts.kept);
        }
        for dict in dicts {
            let Some(Object::Dict(items)) = self.heap.object(dict) else { continue };
            if !items.hooks {
                continue;
            }
            let hooks: Vec<_> = items.pairs().filter(|(key, _)| self.is_hook(*key)).take(4).collect();
            for (key, value) in hooks {
                let detail = format!("sets {} of {} to {}", self.shown(key), self.shown(target), self.shown(value));
                let calls = matches!(
                    self.heap.object(self.heap.resolved(value)),
                    Some(Object::Global(_) | Object::Call(_) | Object::Persistent(_))
                ) || matches!(value, Value::Unknown);
                self.alert(if calls { &rules::HIJACK } else { &rules::UNEXPECTED_CALL }, at, detail);
            }
        }
    }

    fn is_hook(&self, key: Value) -> bool {
        match self.heap.resolved(key) {
            Value::Str(text) => text.is_hook(),
            Value::Object(_) => self.fold(key).is_some_and(|text| literal::is_hook(&text)),
            _ => false,
        }
    }

    /// SETITEM, SETITEMS, DICT: keys and values in turn.
    ///
    /// # Errors
    /// [`Fault::Broken`] for a key without a value.
    pub(super) fn set_items(&mut self, at: u64, items: &[Value]) -> Result<(), Fault> {
        let target = self.target()?;
        if !items.len().is_multiple_of(2) {
            return Err(Fault::Broken("a key without a value".into()));
        }
        if matches!(self.heap.object(target), Some(Object::Dict(_))) || target == Value::Data {
            for pair in items.chunks_exact(2) {
                if let [key, value] = *pair {
                    let hook = self.is_hook(key);
                    self.heap.insert(target, key, value, hook);
                }
            }
            return Ok(());
        }
        if !items.is_empty() {
            self.method_of(at, target, "__setitem__", items);
        }
        Ok(())
    }

    /// APPEND, APPENDS, ADDITEMS.
    ///
    /// # Errors
    /// [`Fault::Broken`] without a target.
    pub(super) fn append(&mut self, at: u64, items: &[Value]) -> Result<(), Fault> {
        let target = self.target()?;
        if !self.heap.extend(target, items) && !items.is_empty() {
            self.method_of(at, target, "extend", items);
        }
        Ok(())
    }

    /// A method of something that is no plain container is called.
    fn method_of(&mut self, at: u64, target: Value, method: &str, items: &[Value]) {
        if matches!(target, Value::Unknown) || self.takes_items(target) {
            return;
        }
        let shown: Vec<String> = items.iter().take(2).map(|v| self.shown(*v)).collect();
        let detail = format!("{}.{method}({})", self.shown(target), shown.join(", "));
        if self.heap.global(target).is_some() {
            self.alert(&rules::HIJACK, at, detail);
        } else {
            self.alert(&rules::FOREIGN_METHOD, at, detail);
        }
    }

    /// Whether a value is an instance of a class that may well be derived
    /// from dict, list or set.
    fn takes_items(&self, target: Value) -> bool {
        let Some(name) = self.class_of(target).and_then(|id| self.names.get(id)) else {
            // Instances of classes that came as code.
            return self.heap.call(target).is_some_and(|c| self.heap.call(c.callee).is_some());
        };
        let class = name.name.rsplit('.').next().unwrap_or_default();
        match name.standing {
            Standing::Rebuild | Standing::Class | Standing::Instance => {
                matches!(class, "dict" | "list" | "set" | "deque" | "defaultdict")
                    || tables::is_class_name(class)
                        && !["Size", "Tensor", "Parameter", "Buffer"].contains(&class)
                        && !class.ends_with("Storage")
            }
            // Whatever is wrong with these has been said.
            Standing::Unknown | Standing::Library | Standing::Code => true,
            Standing::Reference | Standing::Pure | Standing::Denied(_) => false,
        }
    }
}
