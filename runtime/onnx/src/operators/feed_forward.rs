use std::sync::Arc;

use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType as Type;
use weighbridge_kernels::{Weights, gated_feed_forward};

use super::{Shared, activation, dimension, input, kernel, layout, missing, size};

/// Both products of a gated layer and the gate between them.
pub(crate) struct GatedFeedForward(pub Arc<Shared>);

impl Operator for GatedFeedForward {
    type Kernel<'a> = BoxedKernel<'a>;

    fn name(&self) -> &str {
        "GatedFeedForward"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(Type::Float32), OperatorInput::required(Type::Uint8)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Type::Float32)]
    }

    fn create_kernel<'a>(&self, node: &KernelContext<'a>) -> ort::Result<BoxedKernel<'a>> {
        let (rows, inputs, layout) = (size(node, "N")?, size(node, "K")?, layout(node)?);
        let name: String = node.get("activation").ok_or_else(|| missing("attribute", "activation"))?;
        let activation = activation(&name)?;
        let (shared, bytes) = (Arc::clone(&self.0), self.0.weights_of(node)?);
        Ok(Box::new(move |context: &ComputeContext| {
            let x = input(context, 0, "x")?;
            let (_, x) = x.try_extract_tensor::<f32>()?;
            let shape = [1, dimension(x.len() / inputs.max(1))?, dimension(rows)?];
            let mut out = context.output(0, shape)?.ok_or_else(|| missing("output", "gated"))?;
            let (_, out) = out.try_extract_tensor_mut::<f32>()?;
            let mut state = shared.lock();
            let state = &mut *state;
            let weights = Weights { layout, rows, inputs, bytes };
            gated_feed_forward(&state.pool, state.isa, weights, activation, x, out, &mut state.scratch).map_err(kernel)
        }))
    }
}
