use std::sync::Arc;

use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType as Type;
use weighbridge_kernels::{AttentionShape, Segment, attention};

use super::{Shared, dimension, float, input, kernel, missing, size};

/// Attention of the batch's segments over paged keys and values.
pub(crate) struct Attention(pub Arc<Shared>);

impl Operator for Attention {
    type Kernel<'a> = BoxedKernel<'a>;

    fn name(&self) -> &str {
        "Attention"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [
            OperatorInput::required(Type::Float32),
            OperatorInput::required(Type::Float32),
            OperatorInput::optional(Type::Float32),
            OperatorInput::optional(Type::Float32),
        ]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Type::Float32)]
    }

    fn create_kernel<'a>(&self, node: &KernelContext<'a>) -> ort::Result<BoxedKernel<'a>> {
        let (layer, window) = (size(node, "layer")?, size(node, "window")?);
        let (heads, kv_heads, head_size) = (size(node, "heads")?, size(node, "kv_heads")?, size(node, "head_size")?);
        let interleaved = size(node, "interleaved")? != 0;
        let (scale, softcap) = (float(node, "scale", 1.0), float(node, "softcap", 0.0));
        let (norm_epsilon, rope_scale) = (float(node, "norm_epsilon", 0.0), float(node, "rope_scale", 1.0));
        let columns = heads.checked_mul(head_size).ok_or_else(|| ort::Error::new("heads of that size are too many"))?;
        let shared = Arc::clone(&self.0);
        Ok(Box::new(move |context: &ComputeContext| {
            let (qkv, inv_freq) = (input(context, 0, "qkv")?, input(context, 1, "inv_freq")?);
            let (_, qkv) = qkv.try_extract_tensor::<f32>()?;
            let (_, inv_freq) = inv_freq.try_extract_tensor::<f32>()?;
            let (q_norm, k_norm) = (context.input(2)?, context.input(3)?);
            let q_norm = q_norm.as_ref().map(|n| n.try_extract_tensor::<f32>()).transpose()?.map(|(_, n)| n);
            let k_norm = k_norm.as_ref().map(|n| n.try_extract_tensor::<f32>()).transpose()?.map(|(_, n)| n);
            let mut state = shared.lock();
            let state = &mut *state;
            let tokens = state.segments.iter().map(|s| s.count).sum();
            let shape = [1, dimension(tokens)?, dimension(columns)?];
            let mut out = context.output(0, shape)?.ok_or_else(|| missing("output", "mixed"))?;
            let (_, out) = out.try_extract_tensor_mut::<f32>()?;
            let pages = &state.pages;
            let segments: Option<Vec<Segment<'_>>> = state
                .segments
                .iter()
                .map(|s| {
                    let pages = pages.get(s.pages.0..s.pages.1)?;
                    Some(Segment { first_row: s.first, rows: s.count, past: s.past, pages })
                })
                .collect();
            let segments = segments.ok_or_else(|| ort::Error::new("a segment's pages are not there"))?;
            let shape = AttentionShape {
                heads,
                kv_heads,
                head_size,
                inv_freq,
                interleaved,
                rope_scale,
                q_norm,
                k_norm,
                norm_epsilon,
                scale,
                window,
                softcap,
            };
            let (pool, isa) = (&state.pool, state.isa);
            let store = state.store.as_mut().ok_or_else(|| ort::Error::new("this model keeps no keys and values"))?;
            attention(pool, isa, &shape, store, layer, &segments, qkv, out, &mut state.scratch).map_err(kernel)
        }))
    }
}
