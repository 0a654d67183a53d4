use std::sync::Arc;

use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType as Type;
use weighbridge_kernels::{Norm, add_norm};

use super::{Shared, dimension, float, input, kernel, missing};

/// Layer norm of a sum of two or three, of which the third may be one row.
/// ONNX Runtime's own would run on one thread: the others are ours.
pub(crate) struct AddNorm(pub Arc<Shared>);

impl Operator for AddNorm {
    type Kernel<'a> = BoxedKernel<'a>;

    fn name(&self) -> &str {
        "AddNorm"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [
            OperatorInput::required(Type::Float32),
            OperatorInput::required(Type::Float32),
            OperatorInput::required(Type::Float32),
            OperatorInput::required(Type::Float32),
            OperatorInput::optional(Type::Float32),
        ]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Type::Float32)]
    }

    fn create_kernel<'a>(&self, node: &KernelContext<'a>) -> ort::Result<BoxedKernel<'a>> {
        let epsilon = float(node, "epsilon", 1e-12);
        let shared = Arc::clone(&self.0);
        Ok(Box::new(move |context: &ComputeContext| {
            let first = input(context, 0, "first")?;
            let second = input(context, 1, "second")?;
            let (scale, bias) = (input(context, 2, "scale")?, input(context, 3, "bias")?);
            let third = context.input(4)?;
            let (_, first) = first.try_extract_tensor::<f32>()?;
            let mut parts = vec![first, second.try_extract_tensor::<f32>()?.1];
            if let Some(third) = &third {
                parts.push(third.try_extract_tensor::<f32>()?.1);
            }
            let (_, scale) = scale.try_extract_tensor::<f32>()?;
            let (_, bias) = bias.try_extract_tensor::<f32>()?;
            let shape = [1, dimension(first.len() / scale.len().max(1))?, dimension(scale.len())?];
            let mut out = context.output(0, shape)?.ok_or_else(|| missing("output", "normed"))?;
            let (_, out) = out.try_extract_tensor_mut::<f32>()?;
            let state = shared.lock();
            add_norm(&state.pool, state.isa, &parts, Norm { scale, bias, epsilon }, out).map_err(kernel)
        }))
    }
}
