//! A model's files as sealed memory.

use std::os::fd::OwnedFd;

use weighbridge_inference_wire::{Failure, FailureKind, Open, Part, PartRole};
use weighbridge_onnx::File;
use weighbridge_platform::frames::HANDLES_MAX;
use weighbridge_platform::sealed::Sealed;

use crate::error::{failed, of_model, short};

/// Longest name of a part, bytes.
const NAME_BYTES_MAX: usize = 1024;

/// A part, mapped.
#[derive(Debug)]
struct Mapped {
    role: PartRole,
    name: String,
    bytes: &'static [u8],
}

/// The parts of a model. They stay mapped for as long as the process lives.
#[derive(Debug)]
pub struct Parts {
    mapped: Vec<Mapped>,
    to_come: Vec<Part>,
}

impl Parts {
    /// Maps `handles` as `open` describes them: all parts, or all but the last
    /// ones that are still to come.
    ///
    /// # Errors
    /// [`FailureKind::Internal`] for memory that is not sealed, or not as long
    /// as was said: whoever sent it has made a mistake, the model none.
    pub fn map(open: &Open, handles: Vec<OwnedFd>) -> Result<Self, Failure> {
        let count = open.parts.len();
        let here = count.checked_sub(open.to_come).filter(|_| (1..=HANDLES_MAX).contains(&count));
        let here = here.and_then(|here| open.parts.get(..here)).filter(|here| here.len() == handles.len());
        let (Some(here), Some(to_come)) = (here, open.parts.get(handles.len()..)) else {
            let (given, to_come) = (handles.len(), open.to_come);
            return Err(internal(format!(
                "{count} parts, {given} descriptors and {to_come} to come; give 1 to {HANDLES_MAX} of each"
            )));
        };
        let mut parts = Self { mapped: Vec::with_capacity(count), to_come: to_come.to_vec() };
        here.iter().zip(&handles).try_for_each(|(part, handle)| parts.add(part, handle))?;
        Ok(parts)
    }

    /// Whether parts are still to come.
    pub fn waits(&self) -> bool {
        !self.to_come.is_empty()
    }

    /// Maps those that were to come.
    ///
    /// # Errors
    /// As [`Parts::map`].
    pub fn complete(&mut self, handles: &[OwnedFd]) -> Result<(), Failure> {
        let to_come = std::mem::take(&mut self.to_come);
        if handles.len() != to_come.len() {
            return Err(internal(format!("{} parts and {} descriptors came", to_come.len(), handles.len())));
        }
        to_come.iter().zip(handles).try_for_each(|(part, handle)| self.add(part, handle))
    }

    fn add(&mut self, part: &Part, handle: &OwnedFd) -> Result<(), Failure> {
        let name = short(&part.name);
        if part.name.len() > NAME_BYTES_MAX {
            return Err(internal(format!("the name of part `{name}` is too long")));
        }
        if self.mapped.iter().any(|p| p.role == part.role && p.name == part.name) {
            return Err(internal(format!("the part `{name}` is there twice")));
        }
        let sealed = Sealed::map(handle, part.size_bytes)
            .map_err(|e| internal(format!("the part `{name}` cannot be used: {e}")))?;
        self.mapped.push(Mapped { role: part.role, name: part.name.clone(), bytes: sealed.leak() });
        Ok(())
    }

    /// The part of a role that there may be one of.
    ///
    /// # Errors
    /// If there are several.
    pub fn one(&self, role: PartRole) -> Result<Option<&'static [u8]>, Failure> {
        let mut all = self.all(role);
        let first = all.next();
        if all.next().is_some() {
            return Err(of_model(format!("the model has several parts of the kind {role:?}; give one")));
        }
        Ok(first)
    }

    /// The part of a role that there must be one of.
    ///
    /// # Errors
    /// If there is none or several.
    pub fn needed(&self, role: PartRole, what: &str) -> Result<&'static [u8], Failure> {
        self.one(role)?.ok_or_else(|| of_model(format!("the model has no {what}; give the whole model")))
    }

    /// All parts of a role.
    pub fn all(&self, role: PartRole) -> impl Iterator<Item = &'static [u8]> {
        self.mapped.iter().filter(move |p| p.role == role).map(|p| p.bytes)
    }

    /// What the graph may name.
    pub fn files(&self) -> Vec<File<'_>> {
        let data = self.mapped.iter().filter(|p| p.role == PartRole::Data);
        data.map(|p| File { name: &p.name, bytes: p.bytes }).collect()
    }
}

fn internal(why: String) -> Failure {
    failed(FailureKind::Internal, why)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use weighbridge_platform::sealed;

    use super::*;

    fn memory(content: &[u8], sealed: bool) -> OwnedFd {
        let mut file = sealed::create("test").unwrap();
        file.write_all(content).unwrap();
        if sealed {
            sealed::seal(&file).unwrap();
        }
        file.into()
    }

    fn open(parts: &[(PartRole, &str, u64)]) -> Open {
        let part = |(role, name, size): &(PartRole, &str, u64)| Part {
            role: *role,
            name: (*name).to_owned(),
            size_bytes: *size,
        };
        let parts = parts.iter().map(part).collect();
        Open { version: 1, name: String::new(), parts, to_come: 0, threads: 1, cache_bytes: 0, context_length: None }
    }

    #[test]
    fn parts_are_found_by_role_and_name() {
        let open = open(&[(PartRole::Graph, "model.onnx", 2), (PartRole::Data, "a", 3), (PartRole::Data, "b", 0)]);
        let handles = vec![memory(b"gr", true), memory(b"abc", true), memory(b"", true)];
        let parts = Parts::map(&open, handles).unwrap();
        assert_eq!(parts.needed(PartRole::Graph, "graph").unwrap(), b"gr");
        assert_eq!(parts.files().iter().map(|f| (f.name, f.bytes.len())).collect::<Vec<_>>(), [("a", 3), ("b", 0)]);
        assert!(parts.one(PartRole::Data).is_err() && parts.one(PartRole::Tokenizer).unwrap().is_none());
    }

    #[test]
    fn the_last_parts_may_come_later() {
        let mut open = open(&[(PartRole::Graph, "model.onnx", 2), (PartRole::Data, "a", 3)]);
        open.to_come = 1;
        let graph = || vec![memory(b"gr", true)];
        let mut parts = Parts::map(&open, graph()).unwrap();
        assert!(parts.waits() && parts.files().is_empty());
        parts.complete(&[memory(b"abc", true)]).unwrap();
        assert!(!parts.waits() && parts.files().len() == 1);
        for handles in [vec![], vec![memory(b"abc", true), memory(b"", true)], vec![memory(b"abcd", true)]] {
            assert!(Parts::map(&open, graph()).unwrap().complete(&handles).is_err());
        }
        for wrong in [0, 2, 3, usize::MAX] {
            open.to_come = wrong;
            assert!(Parts::map(&open, graph()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_as_announced_is_refused_by_name() {
        let graph = [(PartRole::Graph, "model.onnx", 2)];
        let refused = |open: &Open, handles| Parts::map(open, handles).unwrap_err().message;
        assert!(
            refused(&open(&graph), vec![memory(b"gr", false)])
                .contains("`model.onnx` cannot be used: the memory is not sealed")
        );
        assert!(refused(&open(&graph), vec![memory(b"g", true)]).contains("has 1 bytes, not 2"));
        assert!(refused(&open(&graph), vec![]).contains("1 parts, 0 descriptors and 0 to come"));
        assert!(refused(&open(&[]), vec![]).contains("0 parts"));
        let twice = open(&[graph[0], graph[0]]);
        assert!(refused(&twice, vec![memory(b"gr", true), memory(b"gr", true)]).contains("twice"));
        let many = open(&vec![(PartRole::Data, "x", 0); HANDLES_MAX + 1]);
        assert!(refused(&many, (0..=HANDLES_MAX).map(|_| memory(b"", true)).collect()).contains("parts"));
    }
}
