//! The confined process that runs one model.
//!
//! Job: take a model as sealed memory over a socket, open it, and answer
//! requests about it until the other side is gone. The library of ONNX Runtime
//! is loaded while the process still has rights; then it gives them up; only
//! then does it look at the first byte of a model.
//!
//! Trust boundary: parts of a model are an attacker's bytes, and what runs
//! here may be in the attacker's hands. The gateway is believed.
//!
//! Deliberately unknown here: paths (but the library's), the network, callers,
//! policy.
#![forbid(unsafe_code)]

mod error;
mod inbox;
mod limits;
mod model;
mod outbox;
mod parts;
mod serve;
mod texts;

pub use error::WorkerError;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use weighbridge_inference_wire::{FRAME_BYTES_MAX, Failure, FailureKind, FromWorker, Load, Open, ToWorker, VERSION};
use weighbridge_onnx::Library;
use weighbridge_platform::frames;
use weighbridge_sandbox::{Confinement, Layer, Profile};

use error::{failed, words};
use model::Model;
use outbox::Outbox;
use parts::Parts;

/// Must be set to 1 before the library is loaded: it reads it then.
pub const TELEMETRY_OFF: &str = "ORT_DISABLE_TELEMETRY";

/// Serves the model that arrives on standard input, a socket. `library` is
/// ONNX Runtime's.
///
/// # Errors
/// [`WorkerError`]; the other side has been told, if it could be.
pub fn run_on_standard_input(library: &Path) -> Result<(), WorkerError> {
    // Before the library is loaded, which may keep some of its own. Kernels that
    // cannot leave what the supervisor closes anyhow.
    #[cfg(target_os = "linux")]
    let _ = weighbridge_platform::descriptors::close_inherited();
    let socket = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from)?;
    run(socket, library)
}

/// Serves the model that arrives on `socket`.
///
/// # Errors
/// [`WorkerError`]; the other side has been told, if it could be.
pub fn run(socket: UnixStream, library: &Path) -> Result<(), WorkerError> {
    // Until the confinement sets it again, which changing users clears.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).map_err(io::Error::from)?;
    let socket = Arc::new(socket);
    match begin(&socket, library) {
        Err(WorkerError::Refused(failure)) => {
            let refusal = FromWorker::Refused(failure.clone());
            frames::send(&socket, &refusal, &[], FRAME_BYTES_MAX)?;
            Err(WorkerError::Refused(failure))
        }
        other => other,
    }
}

fn begin(socket: &Arc<UnixStream>, library: &Path) -> Result<(), WorkerError> {
    if std::env::var_os(TELEMETRY_OFF).is_none_or(|v| v != "1") {
        let why = format!("`{TELEMETRY_OFF}` is not 1; start the worker through its supervisor");
        return Err(failed(FailureKind::Internal, why).into());
    }
    let library = Library::load(library).map_err(|e| failed(FailureKind::Internal, words(&e)))?;
    let Some((message, handles)) = frames::receive::<ToWorker>(socket, FRAME_BYTES_MAX)? else { return Ok(()) };
    let ToWorker::Open(open) = message else {
        return Err(failed(FailureKind::Internal, "the first message names no model").into());
    };
    if open.version != VERSION {
        let why = format!("the messages are of version {}, this worker speaks {VERSION}", open.version);
        return Err(failed(FailureKind::Internal, why).into());
    }
    let confinement = weighbridge_sandbox::confine(Profile::ModelLoad, &limits::of(&open));
    told(socket, &confinement)?;
    load(socket, &library, &open, handles)
}

/// Says which layers of confinement are missing; refuses without the one that
/// nothing replaces.
fn told(socket: &UnixStream, confinement: &Confinement) -> Result<(), WorkerError> {
    let unconfined = confinement.missing().map(|(layer, reason)| (layer.to_owned(), reason.to_owned())).collect();
    let load = FromWorker::Loading(Load { step: "confined".to_owned(), unconfined });
    frames::send(socket, &load, &[], FRAME_BYTES_MAX)?;
    match &confinement.seccomp {
        Layer::Active => Ok(()),
        Layer::Missing(reason) => {
            let why = format!("cannot confine the worker: the system call filter is not available ({reason})");
            Err(failed(FailureKind::Internal, why).into())
        }
    }
}

fn load(socket: &Arc<UnixStream>, library: &Library, open: &Open, handles: Vec<OwnedFd>) -> Result<(), WorkerError> {
    let begun = Instant::now();
    let mut parts = Parts::map(open, handles)?;
    // While the weights are being sealed.
    let text = model_code(|| model::text_ahead(&parts))??;
    if parts.waits() {
        match frames::receive::<ToWorker>(socket, FRAME_BYTES_MAX)? {
            Some((ToWorker::Rest, handles)) => parts.complete(&handles)?,
            Some(_) => return Err(failed(FailureKind::Internal, "the second message brings no weights").into()),
            None => return Ok(()),
        }
    }
    let outbox = Outbox::start(Arc::clone(socket))?;
    let mut model = model_code(|| Model::open(library, open, &parts, text))??;
    let inbox = inbox::start(Arc::clone(socket), model.tokenizing())?;
    // With the first run every thread there will be is there.
    model_code(|| model.warm_up())??;
    weighbridge_platform::heap::give_back();
    if let Layer::Missing(reason) = weighbridge_sandbox::narrow(Profile::ModelRun) {
        let why = format!("cannot confine the worker for running: {reason}");
        return Err(failed(FailureKind::Internal, why).into());
    }
    let mut facts = model.facts();
    facts.load_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    outbox.send(FromWorker::Ready(Box::new(facts)));
    serve::run(model, &inbox, &outbox)
}

/// Runs code that a hostile model may make panic.
fn model_code<T>(run: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        failed(FailureKind::Model, format!("the model broke the worker: {}", error::short(&text)))
    })
}
