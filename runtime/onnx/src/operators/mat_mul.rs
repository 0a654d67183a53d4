use std::sync::Arc;

use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType as Type;
use weighbridge_kernels::{Finish, Weights, matmul};

use super::{Shared, activation, dimension, float, input, kernel, layout, missing, size};

/// A product with packed weights.
pub(crate) struct MatMul(pub Arc<Shared>);

impl Operator for MatMul {
    type Kernel<'a> = BoxedKernel<'a>;

    fn name(&self) -> &str {
        "MatMul"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [
            OperatorInput::required(Type::Float32),
            OperatorInput::required(Type::Uint8),
            OperatorInput::optional(Type::Float32),
        ]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Type::Float32)]
    }

    fn create_kernel<'a>(&self, node: &KernelContext<'a>) -> ort::Result<BoxedKernel<'a>> {
        let (rows, inputs, layout) = (size(node, "N")?, size(node, "K")?, layout(node)?);
        let softcap = float(node, "softcap", 0.0);
        let activation = node.get::<String>("activation").map(|name| activation(&name)).transpose()?;
        let (shared, bytes) = (Arc::clone(&self.0), self.0.weights_of(node)?);
        Ok(Box::new(move |context: &ComputeContext| {
            let x = input(context, 0, "x")?;
            let bias = context.input(2)?;
            let bias = bias.as_ref().map(|b| b.try_extract_tensor::<f32>()).transpose()?.map(|(_, b)| b);
            let (_, x) = x.try_extract_tensor::<f32>()?;
            let shape = [1, dimension(x.len() / inputs.max(1))?, dimension(rows)?];
            let mut out = context.output(0, shape)?.ok_or_else(|| missing("output", "product"))?;
            let (_, out) = out.try_extract_tensor_mut::<f32>()?;
            let mut state = shared.lock();
            let state = &mut *state;
            let weights = Weights { layout, rows, inputs, bytes };
            let finish = Finish { bias, softcap, activation };
            matmul(&state.pool, state.isa, weights, x, finish, out, &mut state.scratch).map_err(kernel)
        }))
    }
}
