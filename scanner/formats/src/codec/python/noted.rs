//! What a walk over the source notes: calls, imports, definitions and who
//! runs whom.

use super::danger::Danger;
use super::{Import, Payload, Reach};

/// Most calls kept that nothing objects to.
const CALLS_MAX: usize = 20_000;
/// Most dangerous calls kept.
const DANGERS_MAX: usize = 2_000;
/// Most imports kept.
const IMPORTS_MAX: usize = 4_000;
/// Most names of secret places kept.
const SECRETS_MAX: usize = 64;
/// Most embedded payloads kept.
const PAYLOADS_MAX: usize = 16;

/// Where a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Module,
    MainGuard,
    Def(usize),
}

/// A function or class.
#[derive(Debug)]
pub(super) struct Def {
    pub name: String,
    /// The class whose body it stands in.
    pub class: Option<usize>,
    pub is_class: bool,
    /// For a class: whether it derives from something.
    pub derived: bool,
}

/// A call as it was met.
#[derive(Debug)]
pub(super) struct RawCall {
    pub name: String,
    pub line: u32,
    pub offset: usize,
    pub place: Place,
    pub danger: Option<Danger>,
    pub argument: Option<String>,
    pub origin: u8,
    pub evidence: String,
}

#[derive(Debug, Default)]
pub(super) struct Noted {
    pub calls: Vec<RawCall>,
    pub imports: Vec<Import>,
    pub payloads: Vec<Payload>,
    /// Something was left out.
    pub dropped: bool,
    /// Secret places named in strings: key files, credential stores.
    pub secrets: Vec<(&'static str, u32)>,
    defs: Vec<Def>,
    edges: Vec<(Place, usize)>,
    dangers: usize,
}

impl Noted {
    pub fn define(&mut self, def: Def) -> usize {
        self.defs.push(def);
        self.defs.len() - 1
    }

    pub fn edge(&mut self, from: Place, to: usize) {
        self.edges.push((from, to));
    }

    pub fn import(&mut self, module: &str, line: u32) {
        if self.imports.len() < IMPORTS_MAX {
            self.imports.push(Import { module: module.to_owned(), line });
        }
    }

    pub fn payload(&mut self, payload: Payload) {
        if self.payloads.len() < PAYLOADS_MAX {
            self.payloads.push(payload);
        }
    }

    pub fn call(&mut self, call: RawCall) {
        let room = if call.danger.is_some() {
            self.dangers += 1;
            self.dangers <= DANGERS_MAX
        } else {
            self.calls.len() < CALLS_MAX + self.dangers
        };
        if room {
            self.calls.push(call);
        } else {
            self.dropped |= call.danger.is_some();
        }
    }

    pub fn secret(&mut self, place: &'static str, line: u32) {
        if self.secrets.len() < SECRETS_MAX {
            self.secrets.push((place, line));
        }
    }

    /// Calls, imports and payloads of nested source.
    pub fn into_parts(self) -> (Vec<RawCall>, Vec<Import>, Vec<Payload>) {
        (self.calls, self.imports, self.payloads)
    }

    pub fn is_function(&self, def: usize) -> bool {
        self.defs.get(def).is_some_and(|d| !d.is_class)
    }

    pub fn is_reduce(&self, def: usize) -> bool {
        self.defs.get(def).is_some_and(|d| matches!(d.name.as_str(), "__reduce__" | "__reduce_ex__"))
    }

    /// When each function runs: with the import, when a loader calls its
    /// hooks, or only when somebody asks. A fixed point over "who runs whom".
    pub fn reaches(&self) -> Vec<Reach> {
        let mut outgoing: Vec<Vec<usize>> = vec![Vec::new(); self.defs.len()];
        let mut at_import = Vec::new();
        for (from, to) in &self.edges {
            match from {
                Place::Module => at_import.push(*to),
                Place::MainGuard => {}
                Place::Def(def) => {
                    if let Some(list) = outgoing.get_mut(*def) {
                        list.push(*to);
                    }
                }
            }
        }
        // Making an instance runs the special methods.
        for (index, def) in self.defs.iter().enumerate() {
            if let Some(list) = def.class.and_then(|c| outgoing.get_mut(c))
                && def.name.starts_with("__")
            {
                list.push(index);
            }
        }
        let hooks = self.defs.iter().enumerate().filter(|(_, d)| self.is_hook(d)).map(|(index, _)| index).collect();
        let mut reaches = vec![Reach::Function; self.defs.len()];
        for (roots, reach) in [(at_import, Reach::Import), (hooks, Reach::Hook)] {
            let mut open: Vec<usize> = roots;
            while let Some(def) = open.pop() {
                let Some(seen) = reaches.get_mut(def) else { continue };
                if *seen != Reach::Function {
                    continue;
                }
                *seen = reach;
                open.extend(outgoing.get(def).into_iter().flatten());
            }
        }
        reaches
    }

    /// Whether loaders and servers of models call it by its name.
    fn is_hook(&self, def: &Def) -> bool {
        const FUNCTIONS: &[&str] = &[
            "handle",
            "initialize",
            "init",
            "model_fn",
            "input_fn",
            "predict_fn",
            "output_fn",
            "transform_fn",
            "_load_pyfunc",
            "load_model",
            "get_model",
            "setup",
            "main",
            "__getattr__",
            "__dir__",
        ];
        const METHODS: &[&str] = &[
            "forward",
            "call",
            "build",
            "initialize",
            "handle",
            "preprocess",
            "inference",
            "postprocess",
            "load",
            "load_context",
            "predict",
            "predict_stream",
            "setup",
            "transform",
            "fit",
            "from_config",
            "from_pretrained",
            "_from_pretrained",
            "post_init",
            "_init_weights",
            "init_weights",
            "generate",
            "prepare_inputs_for_generation",
            "tokenize",
            "_tokenize",
            "encode",
            "decode",
            "execute",
            "finalize",
            "run",
            "from_dict",
            "from_json_file",
        ];
        if def.is_class {
            return false;
        }
        match def.class {
            None => FUNCTIONS.contains(&def.name.as_str()) && def.name != "main",
            Some(class) => {
                let derived = self.defs.get(class).is_some_and(|c| c.derived);
                let special = def.name.starts_with("__") && def.name.ends_with("__");
                let handler = matches!(def.name.as_str(), "initialize" | "handle" | "load_context" | "execute");
                derived && (special || METHODS.contains(&def.name.as_str())) || handler
            }
        }
    }
}
