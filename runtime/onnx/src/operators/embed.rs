use std::sync::Arc;

use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType as Type;
use weighbridge_kernels::{Weights, embed};

use super::{Shared, dimension, float, input, kernel, layout, missing, size};

/// Rows of the packed table of tokens.
pub(crate) struct Embed(pub Arc<Shared>);

impl Operator for Embed {
    type Kernel<'a> = BoxedKernel<'a>;

    fn name(&self) -> &str {
        "Embed"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(Type::Int64), OperatorInput::required(Type::Uint8)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Type::Float32)]
    }

    fn create_kernel<'a>(&self, node: &KernelContext<'a>) -> ort::Result<BoxedKernel<'a>> {
        let (rows, inputs, layout) = (size(node, "rows")?, size(node, "K")?, layout(node)?);
        let scale = float(node, "scale", 1.0);
        let (shared, bytes) = (Arc::clone(&self.0), self.0.weights_of(node)?);
        Ok(Box::new(move |context: &ComputeContext| {
            let tokens = input(context, 0, "input_ids")?;
            let (_, tokens) = tokens.try_extract_tensor::<i64>()?;
            let shape = [1, dimension(tokens.len())?, dimension(inputs)?];
            let mut out = context.output(0, shape)?.ok_or_else(|| missing("output", "embedded"))?;
            let (_, out) = out.try_extract_tensor_mut::<f32>()?;
            let state = shared.lock();
            embed(&state.pool, Weights { layout, rows, inputs, bytes }, tokens, scale, out).map_err(kernel)
        }))
    }
}
