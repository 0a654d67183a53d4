//! What the gateway asks of models.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use weighbridge_gateway::{Caller, Events, ModelInfo, Models, Refusal, Work};
use weighbridge_inference_wire::{Failure, FailureKind, Stats};

use crate::Supervisor;

impl Models for Supervisor {
    fn list(&self) -> Vec<Arc<ModelInfo>> {
        Self::list(self).iter().map(|handle| Arc::new(handle.info())).collect()
    }

    fn find(&self, name: &str) -> Option<Arc<ModelInfo>> {
        Self::find(self, name).map(|handle| Arc::new(handle.info()))
    }

    fn submit(&self, model: &ModelInfo, work: Work, caller: &Caller) -> BoxFuture<'static, Result<Events, Refusal>> {
        // Nothing waits here: the request goes into a queue or is refused.
        let submitted = match Self::find(self, &model.id) {
            Some(handle) => handle.submit(scoped(work, self.scope(&caller.shown()))),
            None => {
                let message = format!("`{}` is not served any more; see the list of models", model.id);
                Err(Refusal { failure: Failure { kind: FailureKind::Gone, message, field: None }, retry_after: None })
            }
        };
        futures::future::ready(submitted).boxed()
    }

    fn stats(&self, model: &str) -> Option<Stats> {
        Self::find(self, model)?.stats()
    }

    fn joules(&self) -> Option<f64> {
        Self::joules(self)
    }
}

/// Beginnings of texts are found again by the same caller alone.
fn scoped(mut work: Work, scope: u64) -> Work {
    if let Work::Generate(generate) = &mut work {
        generate.scope = scope;
    }
    work
}
