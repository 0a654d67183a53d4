//! tough is asynchronous; nothing else here is.

use std::future::Future;

use crate::error::Error;

/// Runs `future` to its end on a thread of its own, so that callers may have a
/// runtime themselves.
pub fn block_on<F>(future: F) -> Result<F::Output, Error>
where
    F: Future + Send,
    F::Output: Send,
{
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(Error::Runtime)?;
    let joined = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("tuf".to_owned());
        thread.spawn_scoped(scope, || runtime.block_on(future)).map(|thread| thread.join())
    });
    match joined.map_err(Error::Runtime)? {
        Ok(output) => Ok(output),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
