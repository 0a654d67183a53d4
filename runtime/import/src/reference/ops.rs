use std::collections::HashMap;

use weighbridge_kernels::layout::{GROUP_ROWS, Layout, unpack_row};

use super::{Attribute, Graph, Initialiser, Matrix, Node, ReferenceError};

/// A node with all it can see.
pub(super) struct Call<'a> {
    pub(super) node: &'a Node,
    pub(super) graph: &'a Graph,
    pub(super) weights: &'a [u8],
    pub(super) values: &'a HashMap<&'a str, Matrix>,
    /// Whole numbers that go into the graph.
    pub(super) numbers: &'a HashMap<&'a str, &'a [i64]>,
}

/// A packed matrix.
struct Packed<'a> {
    name: &'a str,
    layout: Layout,
    bytes: &'a [u8],
    inputs: usize,
}

impl Packed<'_> {
    fn row(&self, row: usize) -> Result<Vec<f32>, ReferenceError> {
        let mut out = vec![0.0; self.inputs];
        unpack_row(self.layout, self.bytes, row, self.inputs, &mut out)
            .map_err(|source| ReferenceError::Unpack { tensor: self.name.to_owned(), source })?;
        Ok(out)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
}

impl<'a> Call<'a> {
    pub(super) fn missing(&self, what: impl Into<String>) -> ReferenceError {
        ReferenceError::Missing { node: self.node.name.clone(), what: what.into() }
    }

    fn attribute(&self, name: &str) -> Result<&'a Attribute, ReferenceError> {
        let found = self.node.attributes.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value).ok_or_else(|| self.missing(name))
    }

    pub(super) fn int(&self, name: &str) -> Result<i64, ReferenceError> {
        match self.attribute(name)? {
            Attribute::Int(i) => Ok(*i),
            _ => Err(self.missing(name)),
        }
    }

    pub(super) fn size(&self, name: &str) -> Result<usize, ReferenceError> {
        usize::try_from(self.int(name)?).map_err(|_| self.missing(name))
    }

    pub(super) fn float(&self, name: &str) -> Result<f32, ReferenceError> {
        match self.attribute(name)? {
            Attribute::Float(f) => Ok(*f),
            _ => Err(self.missing(name)),
        }
    }

    fn text(&self, name: &str) -> Result<&'a str, ReferenceError> {
        match self.attribute(name)? {
            Attribute::Text(t) => Ok(t),
            _ => Err(self.missing(name)),
        }
    }

    fn input(&self, n: usize) -> Option<&'a str> {
        self.node.inputs.get(n).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// A computed value.
    pub(super) fn value(&self, n: usize) -> Result<&'a Matrix, ReferenceError> {
        let name = self.input(n).ok_or_else(|| self.missing(format!("input {n}")))?;
        self.values.get(name).ok_or_else(|| self.missing(name))
    }

    fn initialiser(&self, n: usize) -> Result<(&'a Initialiser, &'a [u8]), ReferenceError> {
        let name = self.input(n).ok_or_else(|| self.missing(format!("input {n}")))?;
        let found = self.graph.initialisers.iter().find(|i| i.name == name).ok_or_else(|| self.missing(name))?;
        let bytes = self.weights.get(found.offset..found.offset + found.length);
        Ok((found, bytes.ok_or_else(|| self.missing(name))?))
    }

    /// A vector of floats among the weights, if the node has input `n`.
    pub(super) fn vector(&self, n: usize) -> Result<Option<Vec<f32>>, ReferenceError> {
        if self.input(n).is_none() {
            return Ok(None);
        }
        let (_, bytes) = self.initialiser(n)?;
        Ok(Some(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()))
    }

    fn packed(&self, n: usize) -> Result<Packed<'a>, ReferenceError> {
        let (found, bytes) = self.initialiser(n)?;
        let layout = Layout::from_name(self.text("layout")?)
            .map_err(|source| ReferenceError::Unpack { tensor: found.name.clone(), source })?;
        Ok(Packed { name: &found.name, layout, bytes, inputs: self.size("K")? })
    }

    fn whole(&self, n: usize) -> Result<&'a [i64], ReferenceError> {
        let name = self.input(n).ok_or_else(|| self.missing(format!("input {n}")))?;
        self.numbers.get(name).copied().ok_or_else(|| self.missing(name))
    }

    pub(super) fn embed(&self) -> Result<Matrix, ReferenceError> {
        let ids = self.whole(0)?;
        let (packed, rows, scale) = (self.packed(1)?, self.size("rows")?, self.float("scale")?);
        let mut values = Vec::new();
        for id in ids {
            let id = usize::try_from(*id).ok().filter(|id| *id < rows).ok_or_else(|| self.missing("a token"))?;
            values.extend(packed.row(id)?.into_iter().map(|v| v * scale));
        }
        Ok(Matrix { width: packed.inputs, values })
    }

    pub(super) fn mat_mul(&self) -> Result<Matrix, ReferenceError> {
        let (x, packed, outputs, cap) = (self.value(0)?, self.packed(1)?, self.size("N")?, self.float("softcap")?);
        let bias = self.vector(2)?;
        let activation = if self.attribute("activation").is_ok() { Some(self.activation()?) } else { None };
        let mut out = Matrix { width: outputs, values: vec![0.0; x.values.len() / packed.inputs * outputs] };
        for n in 0..outputs {
            let row = packed.row(n)?;
            for (t, x) in x.rows().enumerate() {
                let plain = dot(x, &row) + bias.as_ref().map_or(0.0, |b| b[n]);
                let capped = if cap > 0.0 { cap * (plain / cap).tanh() } else { plain };
                out.values[t * outputs + n] = activation.map_or(capped, |bend| bend(capped));
            }
        }
        Ok(out)
    }

    fn activation(&self) -> Result<fn(f32) -> f32, ReferenceError> {
        Ok(match self.text("activation")? {
            "silu" => |v| v / (1.0 + (-v).exp()),
            "gelu_tanh" => |v| 0.5 * v * (1.0 + (0.797_884_6 * (v + 0.044_715 * v * v * v)).tanh()),
            "gelu" => |v| (0.5 * f64::from(v) * (1.0 + erf(f64::from(v) / std::f64::consts::SQRT_2))) as f32,
            "relu" => |v| v.max(0.0),
            other => return Err(self.missing(other)),
        })
    }

    pub(super) fn gated_feed_forward(&self) -> Result<Matrix, ReferenceError> {
        let (x, packed, outputs) = (self.value(0)?, self.packed(1)?, self.size("N")?);
        let activation = self.activation()?;
        let mut out = Matrix { width: outputs, values: vec![0.0; x.values.len() / packed.inputs * outputs] };
        for n in 0..outputs {
            let at = n / GROUP_ROWS * 2 * GROUP_ROWS + n % GROUP_ROWS;
            let (gate, up) = (packed.row(at)?, packed.row(at + GROUP_ROWS)?);
            for (t, x) in x.rows().enumerate() {
                out.values[t * outputs + n] = activation(dot(x, &gate)) * dot(x, &up);
            }
        }
        Ok(out)
    }

    /// Root-mean-square norm of `x` with the weights of input `n`.
    pub(super) fn norm(&self, x: &Matrix, n: usize) -> Result<Matrix, ReferenceError> {
        let weights = self.vector(n)?.ok_or_else(|| self.missing("scale"))?;
        let epsilon = self.float("epsilon")?;
        let values = x.rows().flat_map(|row| normed(row, &weights, epsilon)).collect();
        Ok(Matrix { width: x.width, values })
    }

    pub(super) fn sum(&self) -> Result<Matrix, ReferenceError> {
        let (a, b) = (self.value(0)?, self.value(1)?);
        Ok(Matrix { width: a.width, values: a.values.iter().zip(&b.values).map(|(a, b)| a + b).collect() })
    }

    /// Layer norm of a sum; an addend of one row among the weights is added
    /// to all.
    pub(super) fn add_norm(&self) -> Result<Matrix, ReferenceError> {
        let mut sum = self.sum()?;
        if let Some(third) = self.input(4) {
            let more = match self.values.get(third) {
                Some(more) => more.values.clone(),
                None => self.vector(4)?.unwrap_or_default(),
            };
            sum.values.iter_mut().zip(more.iter().cycle()).for_each(|(a, b)| *a += b);
        }
        let (scale, bias) = (self.vector(2)?.unwrap_or_default(), self.vector(3)?.unwrap_or_default());
        let epsilon = f64::from(self.float("epsilon")?);
        let mut values = Vec::new();
        for row in sum.rows() {
            let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / row.len() as f64;
            let variance = row.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / row.len() as f64;
            let factor = 1.0 / (variance + epsilon).sqrt();
            let normed = row.iter().map(|v| ((f64::from(*v) - mean) * factor) as f32);
            values.extend(normed.zip(&scale).zip(&bias).map(|((v, s), b)| v * s + b));
        }
        Ok(Matrix { width: sum.width, values })
    }

    pub(super) fn gather(&self) -> Result<Matrix, ReferenceError> {
        let (x, rows) = (self.value(0)?, self.whole(1)?);
        let mut values = Vec::new();
        for row in rows {
            let row = x.rows().nth(*row as usize).ok_or_else(|| self.missing("a row"))?;
            values.extend_from_slice(row);
        }
        Ok(Matrix { width: x.width, values })
    }

    pub(super) fn concat(&self) -> Result<Matrix, ReferenceError> {
        let parts = (0..self.node.inputs.len()).map(|n| self.value(n)).collect::<Result<Vec<_>, _>>()?;
        let width = parts.iter().map(|p| p.width).sum();
        let rows = parts.first().map_or(0, |p| p.rows().count());
        let mut values = Vec::new();
        for row in 0..rows {
            for part in &parts {
                values.extend_from_slice(&part.values[row * part.width..][..part.width]);
            }
        }
        Ok(Matrix { width, values })
    }
}

/// The error function's Taylor series; 1 where less than 1e-8 is left.
fn erf(z: f64) -> f64 {
    if z.abs() > 4.0 {
        return z.signum();
    }
    let (mut term, mut sum) = (z, z);
    for n in 1..200 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

pub(super) fn normed(row: &[f32], weights: &[f32], epsilon: f32) -> Vec<f32> {
    let square = row.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>() / row.len() as f64;
    let factor = (1.0 / (square + f64::from(epsilon)).sqrt()) as f32;
    row.iter().zip(weights).map(|(v, w)| v * factor * w).collect()
}
