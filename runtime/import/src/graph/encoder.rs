//! The graph of an encoder: tables, layers, and a head for scores.

use weighbridge_kernels::layout::Layout;

use super::proto::{self, Dim, Port};
use super::writer::{Writer, int};
use super::{Attribute, Element, Node};
use crate::ImportError;
use crate::encoder::{Encoder, Role};
use crate::manifest::Task;
use crate::weights::{Kind, Packer, Rows, Tensors, plan};

/// Packs the weights of `encoder` and returns the bytes of its graph. `first`
/// has it give the rows of first tokens alone; `labels` is what a head gives.
///
/// # Errors
/// Whatever keeps a tensor from being what the model needs.
pub(crate) fn build(
    encoder: &Encoder,
    labels: usize,
    first: bool,
    tensors: &Tensors,
    floats: Layout,
    packer: &mut Packer<'_>,
) -> Result<Vec<u8>, ImportError> {
    let mut b = Builder { encoder, first, writer: Writer::new(tensors, floats, packer) };
    let mut hidden = b.embeddings()?;
    for layer in 0..encoder.sizes.layers {
        hidden = b.layer(layer, hidden)?;
    }
    let scores = encoder.task == Task::Rerank;
    if scores {
        b.head(&hidden, labels)?;
    }
    let tokens = || vec![Dim::Fixed(1), Dim::Named("tokens")];
    let mut inputs = vec![
        Port { name: "input_ids", element: Element::Int64, dims: tokens() },
        Port { name: "position_ids", element: Element::Int64, dims: tokens() },
    ];
    if encoder.has_types {
        inputs.push(Port { name: "token_type_ids", element: Element::Int64, dims: tokens() });
    }
    if first {
        inputs.push(Port { name: "rows", element: Element::Int64, dims: vec![Dim::Named("rows")] });
    }
    let rows = Dim::Named(if first { "rows" } else { "tokens" });
    let (name, size) = if scores { ("logits", labels) } else { ("last_hidden_state", encoder.sizes.hidden) };
    let output = Port { name, element: Element::Float, dims: vec![Dim::Fixed(1), rows, Dim::Fixed(size as u64)] };
    Ok(proto::model(&b.writer.graph, &encoder.architecture, &inputs, &[output]))
}

struct Builder<'m, 'o> {
    encoder: &'m Encoder,
    first: bool,
    writer: Writer<'m, 'o>,
}

impl Builder<'_, '_> {
    /// The normed sum of a token's, its position's and its type's rows.
    fn embeddings(&mut self) -> Result<String, ImportError> {
        let Encoder { sizes, positions, type_rows, has_types, ref names, .. } = *self.encoder;
        // A row is all that a layer sees of a token: four bits are too few.
        let words = if self.writer.floats == Layout::Q4 { Layout::Q8 } else { self.writer.floats };
        self.table("input_ids", "word", sizes.vocabulary, words)?;
        self.table("position_ids", "position", positions, Layout::F16)?;
        let mut more = Vec::new();
        if has_types {
            self.table("token_type_ids", "token_type", type_rows, Layout::F16)?;
            more.push("token_type.out".to_owned());
        } else if type_rows > 0 {
            // All tokens are of the first type.
            let name = format!("{}.weight", names.embedding("token_type_embeddings"));
            let row = self.writer.tensors.first_row(&name, sizes.hidden)?;
            more.push(self.writer.vector("token_type", &row)?);
        }
        let norm = names.embedding("LayerNorm");
        self.add_norm(["word.out", "position.out"], &more, &norm, "embeddings")
    }

    fn table(&mut self, input: &str, what: &str, rows: usize, layout: Layout) -> Result<(), ImportError> {
        let hidden = self.encoder.sizes.hidden;
        let name = format!("{}.weight", self.encoder.names.embedding(&format!("{what}_embeddings")));
        let matrix = self.writer.tensors.matrix(&name, rows, hidden)?;
        let plan = plan(&[matrix.kind()], layout);
        let packed = self.writer.packed(what, &[matrix], plan)?;
        let attributes = [
            ("rows", int(rows)),
            ("K", int(hidden)),
            ("layout", Attribute::Text(packed.layout.name())),
            ("scale", Attribute::Float(1.0)),
        ];
        self.writer.node("Embed", &[input, &packed.name], &format!("{what}.out"), &attributes);
        Ok(())
    }

    fn layer(&mut self, layer: usize, hidden: String) -> Result<String, ImportError> {
        let Encoder { sizes, ref names, activation, .. } = *self.encoder;
        let at = |what: &str| format!("layer.{layer}.{what}");
        let part = |role: Role| (names.layer(layer, role), sizes.hidden);
        let floats = self.writer.floats;
        self.product(&hidden, &[Role::Query, Role::Key].map(part), floats, sizes.hidden, None, &at("qk"))?;
        // Rounded inputs cost vectors of short texts most of their precision
        // here, where a few tokens' values are all there is to mix.
        self.product(&hidden, &[part(Role::Value)], Layout::F16, sizes.hidden, None, &at("values"))?;
        #[expect(clippy::cast_precision_loss, reason = "heads are small")]
        let scale = (sizes.head_size as f32).powf(-0.5);
        let attributes =
            [("heads", int(sizes.heads)), ("head_size", int(sizes.head_size)), ("scale", Attribute::Float(scale))];
        self.writer.node("SegmentAttention", &[&at("qk.out"), &at("values.out")], &at("mixed"), &attributes);
        let (mut mixed, mut hidden) = (at("mixed"), hidden);
        if self.first && layer + 1 == sizes.layers {
            // What follows is done to each row alone.
            mixed = self.rows(&mixed);
            hidden = self.rows(&hidden);
        }
        self.product(&mixed, &[part(Role::Output)], floats, sizes.hidden, None, &at("output"))?;
        let norm = names.layer(layer, Role::AttentionNorm);
        let attended = self.add_norm([&at("output.out"), &hidden], &[], &norm, &at("attended"))?;
        let up = [(names.layer(layer, Role::Up), sizes.feed_forward)];
        self.product(&attended, &up, floats, sizes.hidden, Some(activation), &at("up"))?;
        self.product(&at("up.out"), &[part(Role::Down)], floats, sizes.feed_forward, None, &at("down"))?;
        let last = layer + 1 == sizes.layers && self.encoder.task == Task::Embed;
        let out = if last { "last_hidden_state".to_owned() } else { at("out") };
        let norm = names.layer(layer, Role::FeedForwardNorm);
        self.add_norm([&at("down.out"), &attended], &[], &norm, &out)
    }

    /// From first tokens to scores. It is small, so it stays exact.
    fn head(&mut self, hidden: &str, labels: usize) -> Result<(), ImportError> {
        let size = self.encoder.sizes.hidden;
        let (dense, activation, last) = self.encoder.names.head();
        self.writer.floats = Layout::F16;
        let rows = self.writer.tensors.matrix(&format!("{dense}.weight"), size, size)?;
        let packed = self.writer.stacked("dense", &[rows])?;
        let bias = self.writer.bias(&[(dense, size)], "dense.bias")?;
        // A cap of 1 is the hyperbolic tangent.
        let softcap = if activation.is_none() { 1.0 } else { 0.0 };
        self.writer.bent(hidden, &packed, bias.as_deref(), (size, size), softcap, activation, "dense.out");
        let rows = self.writer.tensors.matrix(&format!("{last}.weight"), labels, size)?;
        let packed = self.writer.stacked("classifier", &[rows])?;
        let bias = self.writer.bias(&[(last.to_owned(), labels)], "classifier.bias")?;
        self.writer.mat_mul("dense.out", &packed, bias.as_deref(), (labels, size), 0.0, "logits");
        Ok(())
    }

    /// A product with stacked matrices and their biases; makes `{at}.out`.
    fn product(
        &mut self,
        input: &str,
        parts: &[(String, usize)],
        floats: Layout,
        inputs: usize,
        activation: Option<&'static str>,
        at: &str,
    ) -> Result<(), ImportError> {
        let tensors = self.writer.tensors;
        let matrix = |(name, rows): &(String, usize)| tensors.matrix(&format!("{name}.weight"), *rows, inputs);
        let matrices = parts.iter().map(matrix).collect::<Result<Vec<Rows<'_>>, _>>()?;
        let kinds: Vec<Kind> = matrices.iter().map(Rows::kind).collect();
        let packed = self.writer.packed(at, &matrices, plan(&kinds, floats))?;
        let bias = self.writer.bias(parts, &format!("{at}.bias"))?;
        let rows = parts.iter().map(|(_, rows)| rows).sum();
        self.writer.bent(input, &packed, bias.as_deref(), (rows, inputs), 0.0, activation, &format!("{at}.out"));
        Ok(())
    }

    fn rows(&mut self, input: &str) -> String {
        let output = format!("{input}.rows");
        self.writer.graph.node(Node {
            op: "Gather",
            domain: "",
            inputs: vec![input.to_owned(), "rows".to_owned()],
            outputs: vec![output.clone()],
            attributes: vec![("axis", Attribute::Int(1))],
        });
        output
    }

    /// The normed sum of `addends` and `more`. Old checkpoints call scale and
    /// bias `gamma` and `beta`.
    fn add_norm(
        &mut self,
        addends: [&str; 2],
        more: &[String],
        norm: &str,
        output: &str,
    ) -> Result<String, ImportError> {
        let hidden = self.encoder.sizes.hidden;
        let mut names = addends.map(str::to_owned).to_vec();
        for (new, old) in [("weight", "gamma"), ("bias", "beta")] {
            let (new, old) = (format!("{norm}.{new}"), format!("{norm}.{old}"));
            let name = if self.writer.tensors.has(&old) { old } else { new };
            let values = self.writer.tensors.vector(&name, hidden)?;
            let suffix = if names.len() == 2 { "scale" } else { "bias" };
            names.push(self.writer.vector(&format!("{output}.{suffix}"), &values)?);
        }
        names.extend_from_slice(more);
        let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
        self.writer.node("AddNorm", &inputs, output, &[("epsilon", Attribute::Float(self.encoder.epsilon))]);
        Ok(output.to_owned())
    }
}
