//! Sessions over memory.

use std::ffi::{CString, c_char};
use std::sync::Arc;

use ort::AsPointer;
use ort::operator::OperatorDomain;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

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
    give(&mut builder, files)?;
    builder.commit_from_memory(graph).map_err(OnnxError::graph)
}

/// Hands `files` over without a copy.
fn give(builder: &mut SessionBuilder, files: &[File<'_>]) -> Result<(), OnnxError> {
    let names: Result<Vec<CString>, _> = files.iter().map(|f| CString::new(f.name)).collect();
    let names = names.map_err(|_| OnnxError::Graph("a file of tensors has a name with a zero byte".to_owned()))?;
    let names: Vec<*const c_char> = names.iter().map(|n| n.as_ptr()).collect();
    // Never written: the graph's constants are inputs.
    let buffers: Vec<*mut c_char> = files.iter().map(|f| f.bytes.as_ptr().cast_mut().cast()).collect();
    let lengths: Vec<usize> = files.iter().map(|f| f.bytes.len()).collect();
    if files.is_empty() {
        return Ok(());
    }
    let options = builder.ptr().cast_mut();
    // SAFETY: `options` is the builder's, borrowed for the call; the three
    // arrays have `files.len()` elements each and outlive it; names end with a
    // zero byte and are copied; the buffers are 'static, so they outlive every
    // session (onnxruntime_c_api.h, AddExternalInitializersFromMemory).
    let status = unsafe {
        (ort::api().AddExternalInitializersFromMemory)(
            options,
            names.as_ptr(),
            buffers.as_ptr(),
            lengths.as_ptr(),
            files.len(),
        )
    };
    // SAFETY: the status is the one just returned and is taken once.
    unsafe { ort::Error::result_from_status(status) }.map_err(OnnxError::graph)
}
