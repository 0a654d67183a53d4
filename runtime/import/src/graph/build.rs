//! From a model and its tensors to the graph and the packed weights.

use weighbridge_kernels::layout::Layout;

use super::proto::{self, Dim, Port};
use super::writer::{Writer, int};
use super::{Attribute, Element, MICROSOFT, Node};
use crate::ImportError;
use crate::model::Model;
use crate::model::names::{Names, Role};
use crate::weights::{Packer, Tensors, plan};

/// Packs the weights of `model` and returns the bytes of its graph.
///
/// # Errors
/// Whatever keeps a tensor from being what the model needs.
pub(crate) fn build(
    model: &Model,
    names: &Names,
    tensors: &Tensors,
    floats: Layout,
    packer: &mut Packer<'_>,
) -> Result<Vec<u8>, ImportError> {
    let mut b = Builder { model, names, writer: Writer::new(tensors, floats, packer) };
    b.model()?;
    let inputs = [
        Port { name: "input_ids", element: Element::Int64, dims: vec![Dim::Fixed(1), Dim::Named("tokens")] },
        Port { name: "logit_rows", element: Element::Int64, dims: vec![Dim::Named("rows")] },
    ];
    let vocabulary = Dim::Fixed(model.sizes.vocabulary as u64);
    let logits =
        Port { name: "logits", element: Element::Float, dims: vec![Dim::Fixed(1), Dim::Named("rows"), vocabulary] };
    Ok(proto::model(&b.writer.graph, &model.architecture, &inputs, &[logits]))
}

pub(super) struct Builder<'m, 'o> {
    pub(super) model: &'m Model,
    pub(super) names: &'m Names,
    pub(super) writer: Writer<'m, 'o>,
}

impl Builder<'_, '_> {
    fn model(&mut self) -> Result<(), ImportError> {
        let (model, sizes) = (self.model, self.model.sizes);
        for (n, rope) in model.ropes.iter().enumerate() {
            self.writer.vector(&format!("inv_freq.{n}"), &rope.inv_freq)?;
        }
        let embedding = self.writer.tensors.matrix(&self.names.embedding(), sizes.vocabulary, sizes.hidden)?;
        let embedding = self.writer.stacked("embedding", &[embedding])?;
        let head = self.names.head();
        if model.tied {
            self.writer.tensors.ignore(head);
        }
        let mut residual = "embedding.out".to_owned();
        self.writer.node(
            "Embed",
            &["input_ids", &embedding.name],
            &residual,
            &[
                ("rows", int(sizes.vocabulary)),
                ("K", int(sizes.hidden)),
                ("layout", Attribute::Text(embedding.layout.name())),
                ("scale", Attribute::Float(model.embedding_scale)),
            ],
        );
        let mut hidden = self.norm(&residual, &self.names.layer(0, Role::AttentionNorm), "layer.0.attention.in")?;
        for layer in 0..sizes.layers {
            let at = |what: &str| format!("layer.{layer}.{what}");
            let attention = self.attention(layer, &hidden)?;
            let attention = self.post_norm(layer, Role::PostAttentionNorm, attention)?;
            let norm = self.names.layer(layer, Role::FeedForwardNorm);
            (hidden, residual) = self.add_and_norm(&residual, &attention, &norm, &at("feed_forward.in"))?;
            let fed = self.feed_forward(layer, &hidden)?;
            let fed = self.post_norm(layer, Role::PostFeedForwardNorm, fed)?;
            let last = layer + 1 == sizes.layers;
            let (norm, out) = if last {
                (self.names.final_norm(), "final".to_owned())
            } else {
                (self.names.layer(layer + 1, Role::AttentionNorm), format!("layer.{}.attention.in", layer + 1))
            };
            let norm = norm.strip_suffix(".weight").unwrap_or(&norm).to_owned();
            (hidden, residual) = self.add_and_norm(&residual, &fed, &norm, &out)?;
        }
        let head = if model.tied || !self.writer.tensors.has(head) {
            embedding
        } else {
            let rows = self.writer.tensors.matrix(head, sizes.vocabulary, sizes.hidden)?;
            self.writer.stacked("head", &[rows])?
        };
        self.writer.graph.node(Node {
            op: "Gather",
            domain: "",
            inputs: vec![hidden, "logit_rows".to_owned()],
            outputs: vec!["final.rows".to_owned()],
            attributes: vec![("axis", Attribute::Int(1))],
        });
        self.writer.mat_mul("final.rows", &head, None, (sizes.vocabulary, sizes.hidden), model.logit_softcap, "logits");
        Ok(())
    }

    fn feed_forward(&mut self, layer: usize, input: &str) -> Result<String, ImportError> {
        let sizes = self.model.sizes;
        let (inner, hidden) = (sizes.feed_forward, sizes.hidden);
        let at = |what: &str| format!("layer.{layer}.feed_forward.{what}");
        let fused = format!("{}.weight", self.names.layer(layer, Role::GateUp));
        let (gate, up) = if self.writer.tensors.rows(&fused) == Some(2 * inner as u64) {
            self.writer.tensors.matrix(&fused, 2 * inner, hidden)?.split(inner)
        } else {
            let part =
                |role| self.writer.tensors.matrix(&format!("{}.weight", self.names.layer(layer, role)), inner, hidden);
            (part(Role::Gate)?, part(Role::Up)?)
        };
        let plan = plan(&[gate.kind(), up.kind()], self.writer.floats);
        let extent = self.writer.packer.interleaved(&gate, &up, plan)?;
        let name = self.writer.graph.initialiser(&at("gate_up"), Element::Bytes, &[extent.length], extent);
        self.writer.node(
            "GatedFeedForward",
            &[input, &name],
            &at("gated"),
            &[
                ("N", int(inner)),
                ("K", int(hidden)),
                ("layout", Attribute::Text(plan.layout.name())),
                ("activation", Attribute::Text(self.model.activation.name())),
            ],
        );
        let down = self.names.layer(layer, Role::Down);
        let rows = self.writer.tensors.matrix(&format!("{down}.weight"), hidden, inner)?;
        let packed = self.writer.stacked(&at("down"), &[rows])?;
        let bias = self.writer.bias(&[(down, hidden)], &at("down.bias"))?;
        self.writer.mat_mul(&at("gated"), &packed, bias.as_deref(), (hidden, inner), 0.0, &at("out"));
        Ok(at("out"))
    }

    fn post_norm(&mut self, layer: usize, role: Role, input: String) -> Result<String, ImportError> {
        if !self.model.family.post_norms() {
            return Ok(input);
        }
        self.norm(&input, &self.names.layer(layer, role), &format!("{input}.normed"))
    }

    fn norm(&mut self, input: &str, name: &str, output: &str) -> Result<String, ImportError> {
        let values = self.norm_weights(name, self.model.sizes.hidden)?;
        let weights = self.writer.vector(&format!("{output}.norm"), &values)?;
        self.writer.graph.node(Node {
            op: "SimplifiedLayerNormalization",
            domain: "",
            inputs: vec![input.to_owned(), weights],
            outputs: vec![output.to_owned()],
            attributes: vec![("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(self.model.epsilon))],
        });
        Ok(output.to_owned())
    }

    /// Adds `branch` to the residual stream; returns the normed sum and the
    /// sum itself.
    fn add_and_norm(
        &mut self,
        residual: &str,
        branch: &str,
        name: &str,
        output: &str,
    ) -> Result<(String, String), ImportError> {
        let values = self.norm_weights(name, self.model.sizes.hidden)?;
        let weights = self.writer.vector(&format!("{output}.norm"), &values)?;
        let sum = format!("{output}.sum");
        self.writer.graph.node(Node {
            op: "SkipSimplifiedLayerNormalization",
            domain: MICROSOFT,
            inputs: vec![residual.to_owned(), branch.to_owned(), weights],
            outputs: vec![output.to_owned(), String::new(), String::new(), sum.clone()],
            attributes: vec![("epsilon", Attribute::Float(self.model.epsilon))],
        });
        Ok((output.to_owned(), sum))
    }

    pub(super) fn norm_weights(&self, name: &str, len: usize) -> Result<Vec<f32>, ImportError> {
        let mut values = self.writer.tensors.vector(&format!("{name}.weight"), len)?;
        values.iter_mut().for_each(|v| *v += self.model.norm_offset);
        Ok(values)
    }
}
