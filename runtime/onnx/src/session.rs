//! Sessions over memory.

use std::ffi::CString;
use std::sync::Arc;

use ort::AsPointer;
use ort::operator::OperatorDomain;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::sys;

use crate::initialisers::{self, External};
use crate::{Library, OnnxError};

/// A file of tensors that the graph names, in memory for as long as the
/// process lives: ONNX Runtime reads from it whenever it likes.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// As the graph names it.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'static [u8],
}

/// How a session computes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Threads {
    /// Threads of ONNX Runtime's own operators.
    pub count: usize,
    /// Whether they wait busily.
    pub spin: bool,
}

/// Opens a graph whose further tensors lie in `files`.
pub(crate) fn open(
    library: &Library,
    graph: &[u8],
    files: &[File<'_>],
    threads: Threads,
    operators: Option<Arc<OperatorDomain>>,
) -> Result<Session, OnnxError> {
    let mut builder = SessionBuilder::new(&library.environment)
        .map_err(OnnxError::graph)?
        .with_intra_threads(threads.count)
        .map_err(OnnxError::graph)?
        .with_inter_threads(1)
        .map_err(OnnxError::graph)?
        .with_intra_op_spinning(threads.spin)
        .map_err(OnnxError::graph)?
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(OnnxError::graph)?;
    if let Some(operators) = operators {
        builder = builder.with_operators(operators).map_err(OnnxError::graph)?;
    }
    give(&mut builder, graph, files)?;
    builder.commit_from_memory(graph).map_err(OnnxError::graph)
}

/// Has ONNX Runtime take the graph's tensors outside it from `files`, where
/// they lie, instead of opening paths.
fn give(builder: &mut SessionBuilder, graph: &[u8], files: &[File<'_>]) -> Result<(), OnnxError> {
    let mut memory = std::ptr::null_mut();
    // SAFETY: writes one pointer, which is never freed: it is used as long as
    // the values below, and those live as long as the process.
    let status = unsafe {
        (ort::api().CreateCpuMemoryInfo)(
            sys::OrtAllocatorType::OrtArenaAllocator,
            sys::OrtMemType::OrtMemTypeDefault,
            &raw mut memory,
        )
    };
    checked(status)?;
    for tensor in initialisers::external(graph)? {
        let bytes = bytes_of(&tensor, files)?;
        let name = CString::new(tensor.name).map_err(|_| OnnxError::Graph("a tensor's name has a zero byte".to_owned()))?;
        let element = element(tensor.element, tensor.name)?;
        let mut value = std::ptr::null_mut();
        // SAFETY: `bytes` is 'static and holds at least what dimensions and
        // element type come to (checked by `bytes_of`); ONNX Runtime only reads
        // initialisers. The value is never released: it lives as long as any
        // session of this process (onnxruntime_c_api.h).
        let status = unsafe {
            (ort::api().CreateTensorWithDataAsOrtValue)(
                memory,
                bytes.as_ptr().cast_mut().cast(),
                bytes.len(),
                tensor.dims.as_ptr(),
                tensor.dims.len(),
                element,
                &raw mut value,
            )
        };
        checked(status)?;
        let (names, values) = ([name.as_ptr()], [value.cast_const()]);
        let options = builder.ptr().cast_mut();
        // SAFETY: `options` is the builder's, borrowed for the call; both arrays
        // hold one element and outlive it; the name is copied.
        let status = unsafe { (ort::api().AddExternalInitializers)(options, names.as_ptr(), values.as_ptr(), 1) };
        checked(status)?;
    }
    Ok(())
}

fn checked(status: sys::OrtStatusPtr) -> Result<(), OnnxError> {
    // SAFETY: the status was just returned by a call and is taken once.
    unsafe { ort::Error::result_from_status(status) }.map_err(OnnxError::graph)
}

/// Where the tensor lies, exactly as long as its dimensions say.
fn bytes_of(tensor: &External<'_>, files: &[File<'_>]) -> Result<&'static [u8], OnnxError> {
    let wrong = |what: String| OnnxError::Graph(format!("tensor `{}` {what}", tensor.name));
    let location = tensor.location.strip_prefix("./").unwrap_or(tensor.location);
    let file = files.iter().find(|f| f.name == location);
    let file = file.ok_or_else(|| wrong(format!("lies in `{location}`, which is no file of this model")))?;
    let elements = tensor.dims.iter().try_fold(1_u64, |n, dim| n.checked_mul(u64::try_from(*dim).ok()?));
    let bits = bits(tensor.element).ok_or_else(|| wrong(format!("has the element type {}", tensor.element)))?;
    let need = elements.and_then(|n| n.checked_mul(bits)).map(|n| n.div_ceil(8));
    let need = need.filter(|need| tensor.length.is_none_or(|length| length == *need));
    let need = need.ok_or_else(|| wrong("is not as long as its dimensions say".to_owned()))?;
    let range = usize::try_from(tensor.offset).ok().zip(usize::try_from(need).ok());
    let range = range.and_then(|(start, length)| Some(start..start.checked_add(length)?));
    let bytes = range.and_then(|range| file.bytes.get(range));
    let bytes = bytes.ok_or_else(|| wrong(format!("lies beyond the end of `{location}`")))?;
    // What no kernel reads unaligned: graphs of others may lie anywhere.
    let aligned = bytes.as_ptr().addr().is_multiple_of(usize::try_from(bits.div_ceil(8).max(1)).unwrap_or(1));
    Ok(if aligned { bytes } else { Vec::leak(bytes.to_vec()) })
}

/// Bits of an element of `TensorProto.DataType`.
fn bits(element: u64) -> Option<u64> {
    Some(match element {
        21 | 22 => 4,
        2 | 3 | 9 | 17..=20 => 8,
        4 | 5 | 10 | 16 => 16,
        1 | 6 | 12 => 32,
        7 | 11 | 13 => 64,
        _ => return None,
    })
}

fn element(element: u64, name: &str) -> Result<sys::ONNXTensorElementDataType, OnnxError> {
    use sys::ONNXTensorElementDataType as Type;
    Ok(match element {
        1 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        2 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
        3 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
        4 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
        5 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
        6 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
        7 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        9 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
        10 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        11 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
        12 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
        13 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
        16 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
        17 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FN,
        18 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FNUZ,
        19 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2,
        20 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2FNUZ,
        21 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT4,
        22 => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT4,
        other => return Err(OnnxError::Graph(format!("tensor `{name}` has the element type {other}"))),
    })
}
