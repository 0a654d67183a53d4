//! The JSON header, read member by member: memory follows the number of
//! tensors, never the length of the text.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::codec::stream::InputReader;
use crate::core::{FormatError, Input, Inspection, Reader};
use crate::formats::gguf::rules::is_deceptive;
use crate::formats::safetensors::metadata::Metadata;
use crate::formats::safetensors::{HEADER_BYTES_MAX, LENGTH_BYTES, rules};

/// Most tensors kept; the largest published file has some ten thousand.
const TENSORS_MAX: usize = 400_000;
/// Bytes of names kept for evidence.
const NAMES_BYTES_MAX: usize = 4 << 20;
/// Longest string in the header, bytes: training metadata of LoRAs runs to
/// megabytes.
const STRING_BYTES_MAX: usize = 8 << 20;
/// Findings of one kind that are kept.
const REPEATS_MAX: usize = 8;
/// Longest name any loader is asked for.
const NAME_BYTES_PLAUSIBLE_MAX: usize = 4096;

/// Element types (`enum Dtype`) and their width in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// binary64
    F64,
    /// binary32
    F32,
    /// binary16
    F16,
    /// bfloat16
    Bf16,
    /// Any other: its place in [`OTHERS`].
    Other(u8),
}

/// Element types without a float's statistics: name and bits.
const OTHERS: &[(&str, u8)] = &[
    ("BOOL", 8),
    ("F4", 4),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("U8", 8),
    ("I8", 8),
    ("F8_E5M2", 8),
    ("F8_E4M3", 8),
    ("F8_E8M0", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E5M2FNUZ", 8),
    ("I16", 16),
    ("U16", 16),
    ("I32", 32),
    ("U32", 32),
    ("C64", 64),
    ("I64", 64),
    ("U64", 64),
];

impl Dtype {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "F64" => Self::F64,
            "F32" => Self::F32,
            "F16" => Self::F16,
            "BF16" => Self::Bf16,
            _ => Self::Other(u8::try_from(OTHERS.iter().position(|(n, _)| *n == name)?).ok()?),
        })
    }

    /// Name as it stands in headers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Other(n) => OTHERS.get(usize::from(n)).map_or("", |(name, _)| name),
        }
    }

    /// Bits of one element.
    #[must_use]
    pub fn bits(self) -> u64 {
        match self {
            Self::F64 => 64,
            Self::F32 => 32,
            Self::F16 | Self::Bf16 => 16,
            Self::Other(n) => OTHERS.get(usize::from(n)).map_or(8, |(_, bits)| u64::from(*bits)),
        }
    }
}

/// One tensor, as compact as 400 000 of them must be.
#[derive(Debug, Clone, Copy)]
pub struct Tensor {
    /// First byte, counted from the end of the header.
    pub begin: u64,
    /// First byte after it.
    pub end: u64,
    /// Bytes that shape and type ask for; `None` if that overflows.
    pub bytes: Option<u64>,
    /// Elements; the sum counts parameters.
    pub elements: u64,
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions.
    pub rank: u8,
    /// Elements of the innermost dimension; 1 for a scalar.
    pub row: u64,
    name: (u32, u16),
}

/// Everything the header says.
#[derive(Default)]
pub struct Header {
    /// Tensors in the order of the header.
    pub tensors: Vec<Tensor>,
    /// `__metadata__`
    pub metadata: Metadata,
    /// Marks in the names that tell adapters and quantisations apart.
    pub marks: BTreeMap<&'static str, u64>,
    names: String,
    seen: HashSet<u64, RandomState>,
    duplicates: Vec<String>,
    deceptive: Vec<String>,
}

/// Parts of tensor names that tell what a file is.
const MARKS: &[&str] = &[
    ".lora_A",
    ".lora_B",
    ".lora_a",
    ".lora_b",
    "lora_up",
    "lora_down",
    "lora.up",
    "lora.down",
    "hada_w1",
    "lokr_w1",
    ".qweight",
    ".qzeros",
    ".g_idx",
    ".scales",
    ".biases",
    ".q_weight",
    ".q_perm",
    ".absmax",
    "quant_state.bitsandbytes__nf4",
    "quant_state.bitsandbytes__fp4",
    ".SCB",
    "weight_scale",
    "weight_scale_2",
    "_blocks",
    "_scales",
    "weight_packed",
];

impl Header {
    /// A tensor's name, if that was kept.
    #[must_use]
    pub fn full_name(&self, tensor: &Tensor) -> Option<&str> {
        let (start, len) = tensor.name;
        let start = usize::try_from(start).ok()?;
        self.names.get(start..start.checked_add(len.into())?).filter(|name| !name.is_empty())
    }

    /// What to call a tensor.
    #[must_use]
    pub fn name(&self, tensor: &Tensor) -> String {
        self.full_name(tensor).map_or_else(|| format!("at {}", tensor.begin), str::to_owned)
    }

    /// Reports what the names and the metadata gave away.
    pub fn report(&mut self, ctx: &mut Inspection<'_>) {
        self.report_names(ctx);
        std::mem::take(&mut self.metadata.hits).report(ctx);
    }

    /// Reports what the names gave away.
    pub fn report_names(&self, ctx: &mut Inspection<'_>) {
        for name in &self.duplicates {
            ctx.find(&rules::DUPLICATE_KEY, LENGTH_BYTES, format!("`{name}` occurs again"));
        }
        for name in &self.deceptive {
            ctx.find(&rules::BAD_NAME, LENGTH_BYTES, format!("the tensor name `{name}`"));
        }
    }

    fn begin_entry(&mut self, name: &str) {
        if !self.seen.insert(self.seen.hasher().hash_one(name)) && self.duplicates.len() < REPEATS_MAX {
            self.duplicates.push(name.chars().take(200).collect());
        }
        if name == "__metadata__" {
            return;
        }
        let traverses = name.split(['/', '\\']).any(|part| part == "..");
        if (name.is_empty() || name.len() > NAME_BYTES_PLAUSIBLE_MAX || traverses || name.chars().any(is_deceptive))
            && self.deceptive.len() < REPEATS_MAX
        {
            self.deceptive.push(name.chars().take(200).collect());
        }
        for mark in MARKS.iter().filter(|mark| name.contains(**mark)) {
            *self.marks.entry(mark).or_default() += 1;
        }
    }

    fn keep_name(&mut self, name: &str) -> (u32, u16) {
        let start = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        match u16::try_from(name.len()) {
            Ok(len) if self.names.len() + name.len() <= NAMES_BYTES_MAX => {
                self.names.push_str(name);
                (start, len)
            }
            _ => (start, 0),
        }
    }
}

/// Reads the header's length and holds it against the rules.
///
/// # Errors
/// [`FormatError::Truncated`] if the header is not all there.
pub fn length(ctx: &mut Inspection<'_>, input: &Input) -> Result<u64, FormatError> {
    let mut r = Reader::new(input);
    let length = r.u64_le("header length")?;
    if length > HEADER_BYTES_MAX {
        ctx.find(&rules::HEADER_LENGTH, 0, format!("the header claims {length} bytes of a file of {}", input.len()));
        return Err(FormatError::malformed("header length", 0, "above 100 MB"));
    }
    if length < 2 {
        return Err(FormatError::malformed("header length", 0, "too short for a JSON object"));
    }
    if length > r.remaining() {
        return Err(FormatError::truncated("header", LENGTH_BYTES));
    }
    if r.peek(1)? != b"{" {
        return Err(FormatError::malformed("header", LENGTH_BYTES, "does not start with `{`"));
    }
    Ok(length)
}

/// Reads `content`, the header's text, into `header`; what was read before an
/// error stays.
///
/// # Errors
/// [`FormatError::Malformed`] for what the library would refuse as well.
pub fn read(content: &Input, header: &mut Header) -> Result<(), FormatError> {
    let reader = ShortStrings { inner: InputReader::buffered(content.clone()), inside: false, escaped: false, run: 0 };
    let mut deserializer = serde_json::Deserializer::from_reader(io::BufReader::with_capacity(16 * 1024, reader));
    Entries(header).deserialize(&mut deserializer).and_then(|()| deserializer.end()).map_err(|e| {
        if e.is_io() && e.to_string().contains(STRING_TOO_LONG) {
            return FormatError::limit("header_string_bytes_max", STRING_BYTES_MAX as u64);
        }
        let at = if e.line() <= 1 { e.column() as u64 } else { 0 };
        FormatError::malformed("header", LENGTH_BYTES + at, e.to_string())
    })
}

const STRING_TOO_LONG: &str = "a string is too long";

/// Passes JSON text through and stops at overlong strings, which the parser
/// would hold in memory.
struct ShortStrings<R> {
    inner: R,
    inside: bool,
    escaped: bool,
    run: usize,
}

impl<R: Read> Read for ShortStrings<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        for byte in buf.iter().take(n) {
            self.run += 1;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.inside => self.escaped = true,
                b'"' => {
                    self.inside = !self.inside;
                    self.run = 0;
                }
                _ => {}
            }
            if self.inside && self.run > STRING_BYTES_MAX {
                return Err(io::Error::other(STRING_TOO_LONG));
            }
        }
        Ok(n)
    }
}

struct Entries<'a>(&'a mut Header);

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let header = self.0;
        while let Some(name) = map.next_key::<String>()? {
            header.begin_entry(&name);
            if name == "__metadata__" {
                map.next_value_seed(&mut header.metadata)?;
                continue;
            }
            let mut tensor = map.next_value_seed(Info)?;
            if header.tensors.len() >= TENSORS_MAX {
                return Err(A::Error::custom(format!("more than {TENSORS_MAX} tensors")));
            }
            tensor.name = header.keep_name(&name);
            header.tensors.push(tensor);
        }
        Ok(())
    }
}

/// `{"dtype": …, "shape": […], "data_offsets": [begin, end]}`; other members
/// are ignored, as in the library.
struct Info;

impl<'de> DeserializeSeed<'de> for Info {
    type Value = Tensor;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tensor, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Info {
    type Value = Tensor;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tensor's description")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tensor, A::Error> {
        let (mut dtype, mut elements, mut offsets) = (None, None, None);
        let once =
            |again: bool, field: &'static str| if again { Err(A::Error::duplicate_field(field)) } else { Ok(()) };
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "dtype" => {
                    once(dtype.is_some(), "dtype")?;
                    let name: String = map.next_value()?;
                    dtype = Some(Dtype::of(&name).ok_or_else(|| A::Error::custom(format!("unknown dtype `{name}`")))?);
                }
                "shape" => {
                    once(elements.is_some(), "shape")?;
                    elements = Some(map.next_value_seed(Elements)?);
                }
                "data_offsets" => {
                    once(offsets.is_some(), "data_offsets")?;
                    offsets = Some(map.next_value::<(u64, u64)>()?);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let dtype: Dtype = dtype.ok_or_else(|| A::Error::missing_field("dtype"))?;
        let Extents { elements, rank, row } = elements.ok_or_else(|| A::Error::missing_field("shape"))?;
        let (begin, end) = offsets.ok_or_else(|| A::Error::missing_field("data_offsets"))?;
        let bits = elements.and_then(|e| e.checked_mul(dtype.bits()));
        let bytes = bits.filter(|b| b.is_multiple_of(8)).map(|b| b / 8);
        Ok(Tensor { begin, end, bytes, elements: elements.unwrap_or(0), dtype, rank, row, name: (0, 0) })
    }
}

/// What is kept of a shape.
struct Extents {
    /// The product, or `None` where it overflows.
    elements: Option<u64>,
    rank: u8,
    row: u64,
}

struct Elements;

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = Extents;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Extents, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = Extents;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a shape")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Extents, A::Error> {
        let mut shape = Extents { elements: Some(1), rank: 0, row: 1 };
        while let Some(extent) = seq.next_element::<u64>()? {
            shape.elements = shape.elements.and_then(|p| p.checked_mul(extent));
            shape.rank = shape.rank.saturating_add(1);
            shape.row = extent;
        }
        Ok(shape)
    }
}
