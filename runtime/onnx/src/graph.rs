//! Any model that is no imported language model: tensors in, tensors out.

use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Outlet, Shape, Tensor as Value, ValueType};
use ort::value::{PrimitiveTensorElementType, TensorElementType};
use weighbridge_engine::StepError;
use weighbridge_engine::embedding::{Hidden, TensorModel, TokenBatch};

use crate::session::{self, File, Threads};
use crate::{Library, OnnxError};

/// Most elements of one tensor, in or out.
const ELEMENTS_MAX: usize = 1 << 30;
/// Most dimensions.
const RANK_MAX: usize = 16;

/// A loaded graph.
pub struct Graph {
    pub(crate) session: Session,
}

/// Numbers with a shape, little-endian and row-major; texts one by one.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// In the graph.
    pub name: String,
    /// Element type.
    pub element: Element,
    /// Lengths, outermost first.
    pub shape: Vec<u64>,
    /// The elements.
    pub data: Data,
}

/// Elements of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Bytes, little-endian.
    Bytes(Vec<u8>),
    /// Texts.
    Texts(Vec<String>),
}

/// Element types that go in and out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of ONNX say it")]
pub enum Element {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    F32,
    F64,
    Text,
}

/// An input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Element type; none for what is no tensor.
    pub element: Option<Element>,
    /// Lengths; -1 for any.
    pub shape: Vec<i64>,
}

/// Why a run failed, and whose fault it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The request does not fit the graph.
    #[error("input `{input}` {reason}")]
    Input {
        /// Which.
        input: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The graph failed on it.
    #[error("the model's graph failed: {0}")]
    Graph(String),
}

impl Graph {
    /// Opens `graph`, whose further tensors lie in `files`.
    ///
    /// # Errors
    /// [`OnnxError::Graph`].
    pub fn open(library: &Library, graph: &[u8], files: &[File<'_>], threads: usize) -> Result<Self, OnnxError> {
        let threads = Threads { count: threads.max(1), spin: false };
        Ok(Self { session: session::open(library, graph, files, threads)? })
    }

    /// Inputs, in the graph's order.
    #[must_use]
    pub fn inputs(&self) -> Vec<Port> {
        self.session.inputs().iter().map(port).collect()
    }

    /// Outputs, in the graph's order.
    #[must_use]
    pub fn outputs(&self) -> Vec<Port> {
        self.session.outputs().iter().map(port).collect()
    }

    /// Runs the graph; `wanted` names outputs, all if it is empty.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn run(&mut self, inputs: Vec<Numbers>, wanted: &[String]) -> Result<Vec<Numbers>, RunError> {
        let ports = self.inputs();
        for port in &ports {
            if !inputs.iter().any(|i| i.name == port.name) {
                return Err(RunError::Input { input: port.name.clone(), reason: "is missing".to_owned() });
            }
        }
        let known = self.outputs();
        if let Some(name) = wanted.iter().find(|name| !known.iter().any(|o| o.name == **name)) {
            let reason = "is no output of the model".to_owned();
            return Err(RunError::Input { input: name.clone(), reason });
        }
        let mut values: Vec<(String, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for input in inputs {
            let port = ports.iter().find(|p| p.name == input.name);
            let wrong = |reason: &str| RunError::Input { input: input.name.clone(), reason: reason.to_owned() };
            let port = port.ok_or_else(|| wrong("is no input of the model"))?;
            fits(port, &input).map_err(|reason| wrong(&reason))?;
            let name = input.name.clone();
            values.push((name, value(input)?.into()));
        }
        let failed = |e: ort::Error| RunError::Graph(e.to_string());
        let mut outputs = self.session.run(values).map_err(failed)?;
        let names: Vec<String> =
            known.into_iter().map(|o| o.name).filter(|n| wanted.is_empty() || wanted.contains(n)).collect();
        names
            .into_iter()
            .map(|name| {
                let value =
                    outputs.remove(&name).ok_or_else(|| RunError::Graph(format!("it has no output `{name}`")))?;
                numbers(name, &value)
            })
            .collect()
    }
}

impl TensorModel for Graph {
    fn run(&mut self, batch: &TokenBatch) -> Result<Hidden, StepError> {
        let shape = vec![batch.rows as u64, batch.columns as u64];
        let of = |port: &Port| {
            let numbers = match port.name.as_str() {
                "input_ids" => &batch.tokens,
                "attention_mask" => &batch.mask,
                "token_type_ids" => &batch.types,
                other => {
                    return Err(StepError::Graph(format!("its input `{other}` is none that texts are made into")));
                }
            };
            let bytes = match port.element {
                Some(Element::I32) => {
                    numbers.iter().flat_map(|n| i32::try_from(*n).unwrap_or(i32::MAX).to_le_bytes()).collect()
                }
                _ => numbers.iter().flat_map(|n| n.to_le_bytes()).collect(),
            };
            let element = if port.element == Some(Element::I32) { Element::I32 } else { Element::I64 };
            Ok(Numbers { name: port.name.clone(), element, shape: shape.clone(), data: Data::Bytes(bytes) })
        };
        let inputs: Result<Vec<Numbers>, StepError> = self.inputs().iter().map(of).collect();
        let outputs = self.outputs();
        // What was pooled in the graph goes before hidden states of every token.
        let preferred = ["sentence_embedding", "logits", "last_hidden_state", "token_embeddings"];
        let wanted = preferred.iter().find(|name| outputs.iter().any(|o| o.name == **name)).map(|n| (*n).to_owned());
        let wanted = wanted.or_else(|| outputs.first().map(|o| o.name.clone()));
        let wanted: Vec<String> = wanted.into_iter().collect();
        let outputs = Self::run(self, inputs?, &wanted).map_err(|e| StepError::Graph(e.to_string()))?;
        let output = outputs.into_iter().next().ok_or_else(|| StepError::Graph("it has no output".to_owned()))?;
        hidden(output)
    }
}

/// The main output as numbers.
fn hidden(output: Numbers) -> Result<Hidden, StepError> {
    let wrong = || StepError::Graph(format!("its output `{}` holds no vectors", output.name));
    let Data::Bytes(bytes) = &output.data else { return Err(wrong()) };
    let data = match output.element {
        Element::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Element::F64 =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "vectors are f32")]
            bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect()
        }
        Element::F16 => bytes.as_chunks::<2>().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32()).collect(),
        _ => return Err(wrong()),
    };
    let shape: Option<Vec<usize>> = output.shape.iter().map(|n| usize::try_from(*n).ok()).collect();
    Ok(Hidden { shape: shape.ok_or_else(wrong)?, data })
}

/// Whether what was sent can go in there.
fn fits(port: &Port, input: &Numbers) -> Result<(), String> {
    let element = port.element.ok_or("is no tensor in this model")?;
    if element != input.element {
        return Err(format!("has elements of type {:?}, the model wants {element:?}", input.element));
    }
    if input.shape.len() != port.shape.len() || input.shape.len() > RANK_MAX {
        return Err(format!("has {} dimensions, the model wants {}", input.shape.len(), port.shape.len()));
    }
    let mut wrong =
        port.shape.iter().zip(&input.shape).filter(|(want, have)| **want >= 0 && want.unsigned_abs() != **have);
    if let Some((want, have)) = wrong.next() {
        return Err(format!("has a dimension of {have} where the model wants {want}"));
    }
    let elements = input.shape.iter().try_fold(1_usize, |n, d| n.checked_mul(usize::try_from(*d).ok()?));
    let elements = elements.filter(|n| *n <= ELEMENTS_MAX).ok_or("has more elements than fit")?;
    let have = match &input.data {
        Data::Bytes(bytes) => bytes.len(),
        Data::Texts(texts) => texts.len(),
    };
    let need = elements.checked_mul(element.bytes()).ok_or("has more elements than fit")?;
    if have == need { Ok(()) } else { Err(format!("holds {have} bytes where its shape needs {need}")) }
}

impl Element {
    /// Bytes of one; 1 for texts, which are counted.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 | Self::Text => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    fn of(element: TensorElementType) -> Option<Self> {
        Some(match element {
            TensorElementType::Bool => Self::Bool,
            TensorElementType::Uint8 => Self::U8,
            TensorElementType::Uint16 => Self::U16,
            TensorElementType::Uint32 => Self::U32,
            TensorElementType::Uint64 => Self::U64,
            TensorElementType::Int8 => Self::I8,
            TensorElementType::Int16 => Self::I16,
            TensorElementType::Int32 => Self::I32,
            TensorElementType::Int64 => Self::I64,
            TensorElementType::Float16 => Self::F16,
            TensorElementType::Float32 => Self::F32,
            TensorElementType::Float64 => Self::F64,
            TensorElementType::String => Self::Text,
            _ => return None,
        })
    }
}

fn port(outlet: &Outlet) -> Port {
    let (element, shape) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => (Element::of(*ty), shape.to_vec()),
        _ => (None, Vec::new()),
    };
    Port { name: outlet.name().to_owned(), element, shape }
}

/// As ONNX Runtime wants it; lengths were checked.
fn value(input: Numbers) -> Result<DynValue, RunError> {
    let Numbers { name, element, shape, data } = input;
    let shape = Shape::new(shape.iter().map(|d| i64::try_from(*d).unwrap_or(i64::MAX)));
    let failed = |e: ort::Error| RunError::Input { input: name.clone(), reason: format!("cannot be used: {e}") };
    let made = match (element, &data) {
        (Element::Text, Data::Texts(texts)) => Value::from_string_array((shape, texts.as_slice())).map(Value::into_dyn),
        (_, Data::Texts(_)) => Err(ort::Error::new("it holds texts")),
        (Element::Text, Data::Bytes(_)) => Err(ort::Error::new("it holds no texts")),
        (Element::Bool, Data::Bytes(b)) => tensor(shape, b.iter().map(|b| *b != 0).collect::<Vec<bool>>()),
        (Element::U8, Data::Bytes(b)) => tensor(shape, b.clone()),
        (Element::I8, Data::Bytes(b)) => tensor(shape, b.iter().map(|b| b.cast_signed()).collect::<Vec<i8>>()),
        (Element::U16, Data::Bytes(b)) => tensor(shape, each(b, u16::from_le_bytes)),
        (Element::I16, Data::Bytes(b)) => tensor(shape, each(b, i16::from_le_bytes)),
        (Element::F16, Data::Bytes(b)) => tensor(shape, each(b, half::f16::from_le_bytes)),
        (Element::U32, Data::Bytes(b)) => tensor(shape, each(b, u32::from_le_bytes)),
        (Element::I32, Data::Bytes(b)) => tensor(shape, each(b, i32::from_le_bytes)),
        (Element::F32, Data::Bytes(b)) => tensor(shape, each(b, f32::from_le_bytes)),
        (Element::U64, Data::Bytes(b)) => tensor(shape, each(b, u64::from_le_bytes)),
        (Element::I64, Data::Bytes(b)) => tensor(shape, each(b, i64::from_le_bytes)),
        (Element::F64, Data::Bytes(b)) => tensor(shape, each(b, f64::from_le_bytes)),
    };
    made.map_err(failed)
}

fn tensor<T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static>(
    shape: Shape,
    numbers: Vec<T>,
) -> ort::Result<DynValue> {
    Value::from_array((shape, numbers)).map(Value::into_dyn)
}

fn each<T, const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|b| read(*b)).collect()
}

/// What came out.
fn numbers(name: String, value: &DynValue) -> Result<Numbers, RunError> {
    let wrong = |reason: String| RunError::Graph(format!("its output `{name}` {reason}"));
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else { return Err(wrong("is no tensor".to_owned())) };
    let element = Element::of(*ty).ok_or_else(|| wrong(format!("has elements of type {ty}")))?;
    let shape: Result<Vec<u64>, _> = shape.iter().map(|d| u64::try_from(*d)).collect();
    let shape = shape.map_err(|_| wrong("has a dimension below zero".to_owned()))?;
    fn bytes<T: PrimitiveTensorElementType + Copy, const N: usize>(
        value: &DynValue,
        write: impl Fn(T) -> [u8; N],
    ) -> ort::Result<Vec<u8>> {
        Ok(value.try_extract_tensor::<T>()?.1.iter().flat_map(|n| write(*n)).collect())
    }
    let data = match element {
        Element::Text => value.try_extract_strings().map(|(_, texts)| Data::Texts(texts)),
        Element::Bool => bytes(value, |b: bool| [u8::from(b)]).map(Data::Bytes),
        Element::U8 => bytes(value, u8::to_le_bytes).map(Data::Bytes),
        Element::I8 => bytes(value, i8::to_le_bytes).map(Data::Bytes),
        Element::U16 => bytes(value, u16::to_le_bytes).map(Data::Bytes),
        Element::I16 => bytes(value, i16::to_le_bytes).map(Data::Bytes),
        Element::F16 => bytes(value, half::f16::to_le_bytes).map(Data::Bytes),
        Element::U32 => bytes(value, u32::to_le_bytes).map(Data::Bytes),
        Element::I32 => bytes(value, i32::to_le_bytes).map(Data::Bytes),
        Element::F32 => bytes(value, f32::to_le_bytes).map(Data::Bytes),
        Element::U64 => bytes(value, u64::to_le_bytes).map(Data::Bytes),
        Element::I64 => bytes(value, i64::to_le_bytes).map(Data::Bytes),
        Element::F64 => bytes(value, f64::to_le_bytes).map(Data::Bytes),
    };
    let data = data.map_err(|e| wrong(format!("cannot be read: {e}")))?;
    Ok(Numbers { name, element, shape, data })
}
