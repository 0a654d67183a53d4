use super::ReferenceError;

/// A node's attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// INT
    Int(i64),
    /// FLOAT
    Float(f32),
    /// STRING
    Text(String),
}

/// One operator.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Unique name.
    pub name: String,
    /// Operator.
    pub op: String,
    /// Operator set.
    pub domain: String,
    /// Values read; empty where an optional one is left out.
    pub inputs: Vec<String>,
    /// Values made.
    pub outputs: Vec<String>,
    /// By name.
    pub attributes: Vec<(String, Attribute)>,
}

/// A tensor in the weights file.
#[derive(Debug, Clone, Default)]
pub struct Initialiser {
    /// Name in the graph.
    pub name: String,
    /// `TensorProto.DataType`.
    pub element: u64,
    /// Shape.
    pub dims: Vec<u64>,
    /// First byte in the weights file.
    pub offset: usize,
    /// Bytes.
    pub length: usize,
}

/// What `model.onnx` holds.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// In the order they run.
    pub nodes: Vec<Node>,
    /// Weights.
    pub initialisers: Vec<Initialiser>,
}

enum Field<'a> {
    Int(u64),
    Fixed(u32),
    Bytes(&'a [u8]),
}

struct Message<'a>(&'a [u8]);

const CUT: ReferenceError = ReferenceError::Graph("a field ends beyond its message");

impl<'a> Message<'a> {
    fn varint(&mut self) -> Result<u64, ReferenceError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(CUT)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ReferenceError::Graph("an overlong number"))
    }

    fn bytes(&mut self, n: usize) -> Result<&'a [u8], ReferenceError> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(CUT)?;
        self.0 = rest;
        Ok(head)
    }

    fn fields(mut self) -> Result<Vec<(u64, Field<'a>)>, ReferenceError> {
        let mut out = Vec::new();
        while !self.0.is_empty() {
            let tag = self.varint()?;
            let field = match tag & 7 {
                0 => Field::Int(self.varint()?),
                2 => {
                    let n = usize::try_from(self.varint()?).map_err(|_| CUT)?;
                    Field::Bytes(self.bytes(n)?)
                }
                5 => Field::Fixed(u32::from_le_bytes(*self.bytes(4)?.first_chunk().ok_or(CUT)?)),
                _ => return Err(ReferenceError::Graph("a field of another wire type")),
            };
            out.push((tag >> 3, field));
        }
        Ok(out)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Graph {
    /// Reads `model.onnx`.
    ///
    /// # Errors
    /// Bytes that are no such file.
    pub fn read(bytes: &[u8]) -> Result<Self, ReferenceError> {
        let mut graph = Self::default();
        for (number, field) in Message(bytes).fields()? {
            let (7, Field::Bytes(inner)) = (number, field) else { continue };
            for (number, field) in Message(inner).fields()? {
                match (number, field) {
                    (1, Field::Bytes(b)) => graph.nodes.push(node(b)?),
                    (5, Field::Bytes(b)) => graph.initialisers.push(initialiser(b)?),
                    _ => {}
                }
            }
        }
        Ok(graph)
    }
}

fn node(bytes: &[u8]) -> Result<Node, ReferenceError> {
    let mut node = Node::default();
    for (number, field) in Message(bytes).fields()? {
        let Field::Bytes(b) = field else { continue };
        match number {
            1 => node.inputs.push(text(b)),
            2 => node.outputs.push(text(b)),
            3 => node.name = text(b),
            4 => node.op = text(b),
            5 => node.attributes.push(attribute(b)?),
            7 => node.domain = text(b),
            _ => {}
        }
    }
    Ok(node)
}

fn attribute(bytes: &[u8]) -> Result<(String, Attribute), ReferenceError> {
    let (mut name, mut value) = (String::new(), None);
    for (number, field) in Message(bytes).fields()? {
        match (number, field) {
            (1, Field::Bytes(b)) => name = text(b),
            (2, Field::Fixed(bits)) => value = Some(Attribute::Float(f32::from_bits(bits))),
            (3, Field::Int(i)) => value = Some(Attribute::Int(i.cast_signed())),
            (4, Field::Bytes(b)) => value = Some(Attribute::Text(text(b))),
            _ => {}
        }
    }
    Ok((name, value.ok_or(ReferenceError::Graph("an attribute without a value"))?))
}

fn initialiser(bytes: &[u8]) -> Result<Initialiser, ReferenceError> {
    let mut out = Initialiser::default();
    for (number, field) in Message(bytes).fields()? {
        match (number, field) {
            (1, Field::Int(d)) => out.dims.push(d),
            (2, Field::Int(e)) => out.element = e,
            (8, Field::Bytes(b)) => out.name = text(b),
            (13, Field::Bytes(b)) => {
                let (mut key, mut value) = (String::new(), String::new());
                for (number, field) in Message(b).fields()? {
                    match (number, field) {
                        (1, Field::Bytes(b)) => key = text(b),
                        (2, Field::Bytes(b)) => value = text(b),
                        _ => {}
                    }
                }
                let number = || value.parse().map_err(|_| ReferenceError::Graph("an offset that is no number"));
                match key.as_str() {
                    "offset" => out.offset = number()?,
                    "length" => out.length = number()?,
                    _ => {}
                }
            }
            _ => {}
        }
    }
    Ok(out)
}
