//! Tensors into the weights file and their names into the graph, whatever the
//! model.

use weighbridge_kernels::layout::Layout;

use super::{Attribute, DOMAIN, Element, Graph, Node};
use crate::ImportError;
use crate::weights::{Kind, Packer, Plan, Rows, Tensors, plan};

/// A graph and its weights in the making.
pub(super) struct Writer<'m, 'o> {
    pub(super) tensors: &'m Tensors,
    /// Layout of matrices stored as floats.
    pub(super) floats: Layout,
    pub(super) packer: &'m mut Packer<'o>,
    pub(super) graph: Graph,
}

/// A packed matrix in the graph.
pub(super) struct Packed {
    pub(super) name: String,
    pub(super) layout: Layout,
}

impl<'m, 'o> Writer<'m, 'o> {
    pub(super) fn new(tensors: &'m Tensors, floats: Layout, packer: &'m mut Packer<'o>) -> Self {
        Self { tensors, floats, packer, graph: Graph::default() }
    }

    /// The biases of stacked projections, if any has one.
    pub(super) fn bias(&mut self, parts: &[(String, usize)], name: &str) -> Result<Option<String>, ImportError> {
        if !parts.iter().any(|(part, _)| self.tensors.has(&format!("{part}.bias"))) {
            return Ok(None);
        }
        let mut values = Vec::new();
        for (part, rows) in parts {
            let bias = format!("{part}.bias");
            if self.tensors.has(&bias) {
                values.extend(self.tensors.vector(&bias, *rows)?);
            } else {
                values.resize(values.len() + rows, 0.0);
            }
        }
        Ok(Some(self.vector(name, &values)?))
    }

    pub(super) fn vector(&mut self, name: &str, values: &[f32]) -> Result<String, ImportError> {
        let extent = self.packer.floats(values)?;
        Ok(self.graph.initialiser(name, Element::Float, &[values.len() as u64], extent))
    }

    pub(super) fn stacked(&mut self, name: &str, parts: &[Rows<'_>]) -> Result<Packed, ImportError> {
        let kinds: Vec<Kind> = parts.iter().map(Rows::kind).collect();
        self.packed(name, parts, plan(&kinds, self.floats))
    }

    pub(super) fn packed(&mut self, name: &str, parts: &[Rows<'_>], plan: Plan) -> Result<Packed, ImportError> {
        let extent = self.packer.stacked(parts, plan)?;
        let name = self.graph.initialiser(name, Element::Bytes, &[extent.length], extent);
        Ok(Packed { name, layout: plan.layout })
    }

    pub(super) fn mat_mul(
        &mut self,
        input: &str,
        weights: &Packed,
        bias: Option<&str>,
        (rows, inputs): (usize, usize),
        softcap: f32,
        output: &str,
    ) {
        self.bent(input, weights, bias, (rows, inputs), softcap, None, output);
    }

    /// A product, its bias and cap, and what bends it.
    #[expect(clippy::too_many_arguments, reason = "the operator's attributes, one by one")]
    pub(super) fn bent(
        &mut self,
        input: &str,
        weights: &Packed,
        bias: Option<&str>,
        (rows, inputs): (usize, usize),
        softcap: f32,
        activation: Option<&'static str>,
        output: &str,
    ) {
        let mut names = vec![input, weights.name.as_str()];
        names.extend(bias);
        let mut attributes = vec![
            ("N", int(rows)),
            ("K", int(inputs)),
            ("layout", Attribute::Text(weights.layout.name())),
            ("softcap", Attribute::Float(softcap)),
        ];
        attributes.extend(activation.map(|name| ("activation", Attribute::Text(name))));
        self.node("MatMul", &names, output, &attributes);
    }

    /// A node of our own domain.
    pub(super) fn node(
        &mut self,
        op: &'static str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&'static str, Attribute)],
    ) {
        self.graph.node(Node {
            op,
            domain: DOMAIN,
            inputs: inputs.iter().map(|i| (*i).to_owned()).collect(),
            outputs: vec![output.to_owned()],
            attributes: attributes.to_vec(),
        });
    }
}

/// Sizes stay far below 2^63.
pub(super) fn int(value: usize) -> Attribute {
    Attribute::Int(i64::try_from(value).unwrap_or(i64::MAX))
}
