//! A layer's attention: projections, mixing, and the way back.

use super::build::Builder;
use super::writer::int;
use super::{Attribute, Node};
use crate::ImportError;
use crate::model::names::Role;
use crate::weights::{Kind, Plan, Rows, plan};

/// Projections that go into one matrix, with names and rows of each.
struct Group<'t> {
    plan: Plan,
    matrices: Vec<Rows<'t>>,
    names: Vec<(String, usize)>,
}

impl Builder<'_, '_> {
    pub(super) fn attention(&mut self, layer: usize, input: &str) -> Result<String, ImportError> {
        let (model, sizes) = (self.model, self.model.sizes);
        let at = |what: &str| format!("layer.{layer}.attention.{what}");
        let qkv = self.projections(layer, input)?;
        let kind =
            model.layers.get(layer).copied().ok_or_else(|| {
                ImportError::configuration("number of layers", format!("does not reach layer {layer}"))
            })?;
        let mut inputs = vec![qkv, format!("inv_freq.{}", kind.rope)];
        if model.family.head_norms() {
            for (role, name) in [(Role::QueryNorm, "q_norm"), (Role::KeyNorm, "k_norm")] {
                let values = self.norm_weights(&self.names.layer(layer, role), sizes.head_size)?;
                inputs.push(self.writer.vector(&at(name), &values)?);
            }
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let rope_scale = model.ropes.get(kind.rope).map_or(1.0, |r| r.scale);
        self.writer.node(
            "Attention",
            &inputs,
            &at("mixed"),
            &[
                ("layer", int(layer)),
                ("heads", int(sizes.heads)),
                ("kv_heads", int(sizes.kv_heads)),
                ("head_size", int(sizes.head_size)),
                ("interleaved", Attribute::Int(i64::from(model.interleaved))),
                ("scale", Attribute::Float(model.attention_scale)),
                ("window", int(kind.window)),
                ("softcap", Attribute::Float(model.attention_softcap)),
                ("norm_epsilon", Attribute::Float(model.epsilon)),
                ("rope_scale", Attribute::Float(rope_scale)),
            ],
        );
        let name = self.names.layer(layer, Role::Output);
        let inner = sizes.heads * sizes.head_size;
        let rows = self.writer.tensors.matrix(&format!("{name}.weight"), sizes.hidden, inner)?;
        let packed = self.writer.stacked(&at("output"), &[rows])?;
        let bias = self.writer.bias(&[(name, sizes.hidden)], &at("output.bias"))?;
        self.writer.mat_mul(&at("mixed"), &packed, bias.as_deref(), (sizes.hidden, inner), 0.0, &at("out"));
        Ok(at("out"))
    }

    /// Query, key and value in one matrix; where no layout holds all of them
    /// exactly, in as few as do, side by side.
    fn projections(&mut self, layer: usize, input: &str) -> Result<String, ImportError> {
        let sizes = self.model.sizes;
        let at = |what: &str| format!("layer.{layer}.attention.{what}");
        let (queries, keys) = (sizes.heads * sizes.head_size, sizes.kv_heads * sizes.head_size);
        let fused = self.names.layer(layer, Role::Fused);
        let mut parts = if self.writer.tensors.has(&format!("{fused}.weight")) {
            vec![(fused, queries + 2 * keys)]
        } else {
            let each = [(Role::Query, queries), (Role::Key, keys), (Role::Value, keys)];
            each.map(|(role, rows)| (self.names.layer(layer, role), rows)).to_vec()
        };
        let mut groups: Vec<Group<'_>> = Vec::new();
        for (name, rows) in parts.drain(..) {
            let matrix = self.writer.tensors.matrix(&format!("{name}.weight"), rows, sizes.hidden)?;
            let alone = plan(&[matrix.kind()], self.writer.floats);
            // A group grows as long as all of it stays as exact as it was.
            if let Some(group) = groups.last_mut() {
                let kinds: Vec<Kind> = group.matrices.iter().chain([&matrix]).map(Rows::kind).collect();
                if let Some(joined) = plan(&kinds, self.writer.floats).joins(group.plan, alone) {
                    group.plan = joined;
                    group.matrices.push(matrix);
                    group.names.push((name, rows));
                    continue;
                }
            }
            groups.push(Group { plan: alone, matrices: vec![matrix], names: vec![(name, rows)] });
        }
        let several = groups.len() > 1;
        let mut outputs = Vec::new();
        for (n, Group { plan, matrices, names }) in groups.into_iter().enumerate() {
            let suffix = if several { format!(".{n}") } else { String::new() };
            let rows = names.iter().map(|(_, rows)| rows).sum();
            let packed = self.writer.packed(&at(&format!("qkv{suffix}")), &matrices, plan)?;
            let bias = self.writer.bias(&names, &at(&format!("qkv{suffix}.bias")))?;
            let out = at(&format!("qkv{suffix}.out"));
            self.writer.mat_mul(input, &packed, bias.as_deref(), (rows, sizes.hidden), 0.0, &out);
            outputs.push(out);
        }
        if several {
            self.writer.graph.node(Node {
                op: "Concat",
                domain: "",
                inputs: outputs,
                outputs: vec![at("qkv.out")],
                attributes: vec![("axis", Attribute::Int(-1))],
            });
        }
        Ok(at("qkv.out"))
    }
}
