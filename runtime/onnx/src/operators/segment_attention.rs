use std::sync::Arc;

use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType as Type;
use weighbridge_kernels::{SegmentShape, segment_attention};

use super::{Shared, dimension, float, input, kernel, missing, size};

/// Attention within each of the batch's segments, before and behind.
pub(crate) struct SegmentAttention(pub Arc<Shared>);

impl Operator for SegmentAttention {
    type Kernel<'a> = BoxedKernel<'a>;

    fn name(&self) -> &str {
        "SegmentAttention"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(Type::Float32), OperatorInput::required(Type::Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Type::Float32)]
    }

    fn create_kernel<'a>(&self, node: &KernelContext<'a>) -> ort::Result<BoxedKernel<'a>> {
        let (heads, head_size, scale) = (size(node, "heads")?, size(node, "head_size")?, float(node, "scale", 1.0));
        let columns = heads.checked_mul(head_size).ok_or_else(|| ort::Error::new("its heads are too large"))?;
        let shared = Arc::clone(&self.0);
        Ok(Box::new(move |context: &ComputeContext| {
            let (qk, values) = (input(context, 0, "qk")?, input(context, 1, "values")?);
            let (_, qk) = qk.try_extract_tensor::<f32>()?;
            let (_, values) = values.try_extract_tensor::<f32>()?;
            let mut state = shared.lock();
            let state = &mut *state;
            let counts: Vec<usize> = state.segments.iter().map(|s| s.count).collect();
            let shape = [1, dimension(counts.iter().sum())?, dimension(columns)?];
            let mut out = context.output(0, shape)?.ok_or_else(|| missing("output", "mixed"))?;
            let (_, out) = out.try_extract_tensor_mut::<f32>()?;
            let shape = SegmentShape { heads, head_size, scale };
            let (pool, isa, scratch) = (&state.pool, state.isa, &mut state.scratch);
            segment_attention(pool, isa, shape, &counts, qk, values, out, scratch).map_err(kernel)
        }))
    }
}
