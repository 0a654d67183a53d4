use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use half::{bf16, f16};
use weighbridge_formats::Input;

use super::blocks;
use crate::ImportError;
use crate::error::Name;

/// Longest row accepted, elements: four times the widest model.
pub(crate) const ROW_MAX: u64 = 1 << 18;
/// Longest vector accepted, elements.
const VECTOR_MAX: u64 = 1 << 22;

/// How a tensor's values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
}

impl Kind {
    /// The kind that ggml or safetensors call `name`.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "F32" => Self::F32,
            "F16" => Self::F16,
            "BF16" => Self::Bf16,
            "Q4_0" => Self::Q4_0,
            "Q4_1" => Self::Q4_1,
            "Q5_0" => Self::Q5_0,
            "Q5_1" => Self::Q5_1,
            "Q8_0" => Self::Q8_0,
            "Q2_K" => Self::Q2K,
            "Q3_K" => Self::Q3K,
            "Q4_K" => Self::Q4K,
            "Q5_K" => Self::Q5K,
            "Q6_K" => Self::Q6K,
            _ => return None,
        })
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q2K => "Q2_K",
            Self::Q3K => "Q3_K",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        }
    }

    /// Elements and bytes of one stored block.
    pub(crate) const fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q2K => (256, 84),
            Self::Q3K => (256, 110),
            Self::Q4K => (256, 144),
            Self::Q5K => (256, 176),
            Self::Q6K => (256, 210),
        }
    }

    pub(crate) const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16)
    }
}

/// Where one tensor lies.
#[derive(Debug, Clone)]
struct Stored {
    part: usize,
    kind: Kind,
    row: u64,
    rows: u64,
    start: u64,
}

/// All tensors of a model.
#[derive(Default)]
pub(crate) struct Tensors {
    parts: Vec<(String, Input)>,
    stored: BTreeMap<String, Stored>,
    used: RefCell<BTreeSet<String>>,
    /// Elements in all.
    pub(crate) parameters: u64,
}

/// What a catalogue says of one tensor.
pub(crate) struct Described<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: &'static str,
    pub(crate) row: u64,
    pub(crate) elements: u64,
    pub(crate) start: u64,
    pub(crate) size: u64,
}

impl Tensors {
    /// Adds a file; what it returns names it in [`Self::add`].
    pub(crate) fn part(&mut self, name: &str, input: &Input) -> usize {
        self.parts.push((name.to_owned(), input.clone()));
        self.parts.len() - 1
    }

    /// Adds a tensor of part `part`.
    pub(crate) fn add(&mut self, part: usize, d: &Described<'_>) -> Result<(), ImportError> {
        let fail = |reason: String| ImportError::tensor(d.name, reason);
        let kind = Kind::of(d.kind).ok_or_else(|| {
            fail(format!(
                "has type `{}`; convert the model to one of F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K",
                d.kind
            ))
        })?;
        let rows = d.elements.checked_div(d.row).unwrap_or(0);
        let (block, bytes) = kind.block();
        let expected = (d.elements / block as u64).checked_mul(bytes as u64);
        if d.elements == 0 || rows.checked_mul(d.row) != Some(d.elements) || expected != Some(d.size) {
            return Err(fail("has a shape that does not fit its bytes".to_owned()));
        }
        let stored = Stored { part, kind, row: d.row, rows, start: d.start };
        if self.stored.insert(d.name.to_owned(), stored).is_some() {
            return Err(fail("occurs twice".to_owned()));
        }
        self.parameters = self.parameters.saturating_add(d.elements);
        Ok(())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.stored.contains_key(name)
    }

    /// Rows of the matrix `name`, if it is there.
    pub(crate) fn rows(&self, name: &str) -> Option<u64> {
        self.stored.get(name).map(|s| s.rows)
    }

    /// Says that `name` is known and left out on purpose.
    pub(crate) fn ignore(&self, name: &str) {
        self.used.borrow_mut().insert(name.to_owned());
    }

    /// The same of all names that `known` knows.
    pub(crate) fn ignore_all(&self, known: impl Fn(&str) -> bool) {
        self.used.borrow_mut().extend(self.stored.keys().filter(|name| known(name)).cloned());
    }

    /// The first tensor nobody asked for.
    pub(crate) fn unused(&self) -> Option<&str> {
        let used = self.used.borrow();
        self.stored.keys().find(|name| !used.contains(*name)).map(String::as_str)
    }

    fn get(&self, name: &str) -> Result<&Stored, ImportError> {
        self.used.borrow_mut().insert(name.to_owned());
        self.stored.get(name).ok_or_else(|| ImportError::tensor(name, "is missing; the model is incomplete"))
    }

    /// The matrix `name`, which must be `rows` by `inputs`.
    pub(crate) fn matrix(&self, name: &str, rows: usize, inputs: usize) -> Result<Rows<'_>, ImportError> {
        let stored = self.get(name)?;
        if stored.rows != rows as u64 || stored.row != inputs as u64 {
            let reason = format!("is {} by {}; the configuration asks for {rows} by {inputs}", stored.rows, stored.row);
            return Err(ImportError::tensor(name, reason));
        }
        Ok(Rows { tensors: self, name: name.to_owned(), stored: stored.clone(), first: 0, count: rows, inputs })
    }

    /// The vector `name` of `len` elements as `f32`.
    pub(crate) fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>, ImportError> {
        let stored = self.get(name)?;
        let fits = stored.rows == 1 && stored.row == len as u64 && stored.row <= VECTOR_MAX;
        if !fits || !stored.kind.is_float() {
            let reason = format!(
                "is {} by {} of {}; the configuration asks for a vector of {len} floats",
                stored.rows,
                stored.row,
                stored.kind.name()
            );
            return Err(ImportError::tensor(name, reason));
        }
        let mut bytes = vec![0; len.saturating_mul(stored.kind.block().1)];
        self.read(name, stored, stored.start, &mut bytes)?;
        let mut out = vec![0.0; len];
        floats(stored.kind, &bytes, &mut out);
        if out.iter().any(|v| !v.is_finite()) {
            return Err(ImportError::tensor(name, "holds values that are not finite"));
        }
        Ok(out)
    }

    /// The first row of the matrix `name` of rows of `len` elements, as `f32`.
    pub(crate) fn first_row(&self, name: &str, len: usize) -> Result<Vec<f32>, ImportError> {
        let rows = usize::try_from(self.get(name)?.rows).unwrap_or(usize::MAX);
        let matrix = self.matrix(name, rows, len)?;
        let mut bytes = vec![0; matrix.row_bytes()];
        matrix.read(0, &mut bytes)?;
        let mut out = vec![0.0; len];
        floats(matrix.kind(), &bytes, &mut out);
        if out.iter().any(|v| !v.is_finite()) {
            return Err(ImportError::tensor(name, "holds values that are not finite"));
        }
        Ok(out)
    }

    fn read(&self, name: &str, stored: &Stored, at: u64, out: &mut [u8]) -> Result<(), ImportError> {
        let Some((part, input)) = self.parts.get(stored.part) else {
            return Err(ImportError::tensor(name, "lies in no file"));
        };
        let fail = |source| ImportError::Read { part: Name::new(part), source };
        if input.read_at(at, out).map_err(fail)? < out.len() {
            return Err(fail(std::io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }
}

/// Consecutive rows of a stored matrix.
#[derive(Clone)]
pub(crate) struct Rows<'a> {
    tensors: &'a Tensors,
    name: String,
    stored: Stored,
    first: usize,
    count: usize,
    inputs: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn kind(&self) -> Kind {
        self.stored.kind
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// The rows before `at` and those from it on.
    pub(crate) fn split(&self, at: usize) -> (Rows<'a>, Rows<'a>) {
        let at = at.min(self.count);
        (Rows { count: at, ..self.clone() }, Rows { first: self.first + at, count: self.count - at, ..self.clone() })
    }

    /// Stored bytes of one row.
    pub(crate) fn row_bytes(&self) -> usize {
        let (block, bytes) = self.stored.kind.block();
        self.inputs / block * bytes
    }

    /// Reads whole rows from `row` on, as many as `out` holds.
    pub(crate) fn read(&self, row: usize, out: &mut [u8]) -> Result<(), ImportError> {
        let bytes = self.row_bytes() as u64;
        let at = ((self.first + row) as u64).checked_mul(bytes).and_then(|b| b.checked_add(self.stored.start));
        let at = at.ok_or_else(|| ImportError::tensor(&self.name, "lies beyond 2^64"))?;
        self.tensors.read(&self.name, &self.stored, at, out)
    }
}

/// Stored floats as `f32`.
pub(crate) fn floats(kind: Kind, bytes: &[u8], out: &mut [f32]) {
    match kind {
        Kind::F32 => {
            for (to, from) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *to = f32::from_le_bytes(*from);
            }
        }
        Kind::F16 => {
            for (to, from) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *to = f16::from_le_bytes(*from).to_f32();
            }
        }
        Kind::Bf16 => {
            for (to, from) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *to = bf16::from_le_bytes(*from).to_f32();
            }
        }
        _ => blocks::floats(kind, bytes, out),
    }
}
