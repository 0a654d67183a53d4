use std::collections::{BTreeMap, HashSet};

use crate::codec::protobuf::{Message, Value};
use crate::core::{FormatError, Input, Inspection};

use super::body::{Body, Origin};
use super::node::{NAME_BYTES_MAX, Node, NodeReader};
use super::ops::{self, Class};

/// Distinct operators counted.
const OPS_MAX: usize = 5000;
/// Functions remembered.
const FUNCTIONS_MAX: usize = 100_000;
/// Nodes remembered that reach outside.
const REACHING_MAX: usize = 10_000;
/// Assets, signatures and roots remembered.
const ENTRIES_MAX: usize = 10_000;

/// What one `MetaGraphDef`, or a graph alone, holds.
#[derive(Debug, Default)]
pub struct Gathered {
    pub main: Body,
    pub functions: BTreeMap<String, Function>,
    pub ops: BTreeMap<String, OpUse>,
    /// `filename_tensor_name`, `save_tensor_name`, `restore_op_name`
    pub saver: [String; 3],
    pub signatures: Vec<Signature>,
    /// Nodes run at load, beyond signatures: `collection_def`.
    pub init_nodes: Vec<String>,
    pub assets: Vec<Asset>,
    pub tags: Vec<String>,
    pub version: String,
    /// Functions the object graph offers to callers.
    pub object_functions: HashSet<String>,
    /// `user_object` identifiers.
    pub object_types: BTreeMap<String, u64>,
}

/// A function of the library, without its nodes.
#[derive(Debug, Default)]
pub struct Function {
    pub at: u64,
    /// Functions it calls.
    pub calls: HashSet<String>,
    pub reaching: Vec<Call>,
}

/// A node that reaches outside the graph.
#[derive(Debug)]
pub struct Call {
    pub class: Class,
    pub does: &'static str,
    pub op: String,
    pub node: String,
    pub at: u64,
    /// The node as a call.
    pub shown: String,
    /// The file it names.
    pub path: Origin,
}

/// Uses of an operator.
#[derive(Debug, Default)]
pub struct OpUse {
    pub count: u64,
    pub at: u64,
    pub node: String,
}

/// `SignatureDef`
#[derive(Debug, Default)]
pub struct Signature {
    pub name: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    /// Nodes of the outputs.
    pub roots: Vec<String>,
}

/// `AssetFileDef`
#[derive(Debug, Default)]
pub struct Asset {
    pub at: u64,
    pub tensor: String,
    pub file: String,
}

/// Reads a `MetaGraphDef` from the wire.
pub struct MetaGraph<'a> {
    pub nodes: NodeReader<'a>,
    pub gathered: Gathered,
}

impl Gathered {
    /// Adds a node of the main graph.
    ///
    /// # Errors
    /// [`FormatError::Limit`] if the graph takes too much memory.
    pub fn main_node(&mut self, node: Node) -> Result<(), FormatError> {
        self.count(&node);
        self.main.push(node)
    }

    /// Adds a function with its nodes.
    pub fn function(&mut self, name: String, at: u64, body: &Body) {
        let mut function = Function { at, ..Function::default() };
        let none = HashSet::new();
        for node in &body.nodes {
            self.count(node);
            function.calls.extend(node.calls.iter().cloned());
            function.calls.insert(node.op.clone());
            if function.reaching.len() < REACHING_MAX {
                function.reaching.extend(call(body, node, &none));
            }
        }
        function.calls.retain(|name| !ops::is_known(name));
        if self.functions.len() < FUNCTIONS_MAX {
            // A second function of that name may be the one that is used.
            let known = self.functions.entry(name).or_default();
            known.at = at;
            known.calls.extend(function.calls);
            known.reaching.extend(function.reaching);
        }
    }

    fn count(&mut self, node: &Node) {
        if let Some(seen) = self.ops.get_mut(&node.op) {
            seen.count += 1;
        } else if self.ops.len() < OPS_MAX {
            self.ops.insert(node.op.clone(), OpUse { count: 1, at: node.at, node: node.name.clone() });
        }
    }

    /// Adds an asset.
    pub fn asset(&mut self, asset: Asset) {
        if self.assets.len() < ENTRIES_MAX {
            self.assets.push(asset);
        }
    }

    /// Adds a signature.
    pub fn signature(&mut self, signature: Signature) {
        if self.signatures.len() < ENTRIES_MAX {
            self.signatures.push(signature);
        }
    }
}

/// `node` as a [`Call`], if it reaches outside.
pub fn call(body: &Body, node: &Node, assets: &HashSet<&str>) -> Option<Call> {
    let reaching = ops::reaching(&node.op)?;
    Some(Call {
        class: reaching.class,
        does: reaching.does,
        op: node.op.clone(),
        node: node.name.clone(),
        at: node.at,
        shown: body.call(node),
        path: body.path(node, reaching, assets),
    })
}

impl<'a> MetaGraph<'a> {
    /// Nothing read yet.
    pub fn new(input: &'a Input) -> Self {
        Self { nodes: NodeReader::new(input), gathered: Gathered::default() }
    }

    /// `MetaGraphDef`
    ///
    /// # Errors
    /// Whatever no decoder would take; what was gathered stays.
    pub fn meta_graph(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.nodes.r)? {
            let Value::Bytes(inner) = field.value else { continue };
            match field.number {
                1 => self.meta_info(ctx, inner)?,
                2 => self.graph_def(ctx, inner)?,
                3 => self.saver(ctx, inner)?,
                4 => self.collection(ctx, inner)?,
                5 => self.signature(ctx, inner)?,
                6 => self.asset(ctx, inner)?,
                7 => super::objects::object_graph(self, ctx, inner)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `GraphDef`
    ///
    /// # Errors
    /// Whatever no decoder would take; what was gathered stays.
    pub fn graph_def(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.nodes.r)? {
            match (field.number, field.value) {
                (1, Value::Bytes(node)) => {
                    let node = self.nodes.node(ctx, node)?;
                    self.gathered.main_node(node)?;
                }
                (2, Value::Bytes(library)) => self.library(ctx, library)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `FunctionDefLibrary`
    fn library(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.nodes.r)? {
            if let (1, Value::Bytes(function)) = (field.number, field.value) {
                self.function(ctx, function)?;
            }
        }
        Ok(())
    }

    /// `FunctionDef`
    fn function(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let mut name = String::new();
        let mut nodes = Body::default();
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.nodes.r)? {
            match (field.number, field.value) {
                (1, Value::Bytes(signature)) => name = self.one_text(ctx, signature, 1)?.unwrap_or(name),
                (3, Value::Bytes(node)) => nodes.push(self.nodes.node(ctx, node)?)?,
                _ => {}
            }
        }
        self.gathered.function(name, body.start, &nodes);
        Ok(())
    }

    fn meta_info(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.nodes.r)? {
            match (field.number, field.value) {
                (4, Value::Bytes(tag)) if self.gathered.tags.len() < ENTRIES_MAX => {
                    let tag = tag.text(&mut self.nodes.r, NAME_BYTES_MAX, "tag")?;
                    self.gathered.tags.push(tag);
                }
                (5, Value::Bytes(version)) => {
                    self.gathered.version = version.text(&mut self.nodes.r, NAME_BYTES_MAX, "version")?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// `SaverDef`
    fn saver(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.nodes.r)? {
            if let (n @ 1..=3, Value::Bytes(text)) = (field.number, field.value) {
                let text = text.text(&mut self.nodes.r, NAME_BYTES_MAX, "saver")?;
                if let Some(slot) = self.gathered.saver.get_mut(n as usize - 1) {
                    *slot = text;
                }
            }
        }
        Ok(())
    }

    /// An entry of `collection_def`: node lists that loaders run, and assets
    /// of TensorFlow 1.
    fn collection(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        const RUN_AT_LOAD: &[&str] =
            &["saved_model_main_op", "legacy_init_op", "saved_model_train_op", "table_initializer"];
        let key = self.one_text(ctx, body, 1)?.unwrap_or_default();
        let is_run = RUN_AT_LOAD.contains(&key.as_str());
        if !is_run && key != "saved_model_assets" {
            return Ok(());
        }
        // CollectionDef{node_list = 1 {value = 1}, any_list = 5 {value = 1 {value = 2}}}
        for path in [&[2, 1, 1][..], &[2, 5, 1, 2]] {
            for found in self.descend(ctx, body, path)? {
                if path.len() == 3 && is_run {
                    let node = found.text(&mut self.nodes.r, NAME_BYTES_MAX, "node")?;
                    self.gathered.init_nodes.push(node);
                } else if path.len() == 4 {
                    self.asset(ctx, found)?;
                }
            }
        }
        Ok(())
    }

    /// An entry of `signature_def`.
    fn signature(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let mut signature =
            Signature { name: self.one_text(ctx, body, 1)?.unwrap_or_default(), ..Signature::default() };
        for (number, is_output) in [(1, false), (2, true)] {
            for entry in self.descend(ctx, body, &[2, number])? {
                let name = self.one_text(ctx, entry, 1)?.unwrap_or_default();
                for tensor in self.descend(ctx, entry, &[2, 1])? {
                    let tensor = tensor.text(&mut self.nodes.r, NAME_BYTES_MAX, "tensor")?;
                    if is_output {
                        signature.roots.push(tensor);
                    }
                }
                if is_output { &mut signature.outputs } else { &mut signature.inputs }.push(name);
            }
        }
        self.gathered.signature(signature);
        Ok(())
    }

    /// `AssetFileDef`
    fn asset(&mut self, ctx: &mut Inspection<'_>, body: Message) -> Result<(), FormatError> {
        let mut asset =
            Asset { at: body.start, file: self.one_text(ctx, body, 2)?.unwrap_or_default(), ..Asset::default() };
        for tensor in self.descend(ctx, body, &[1, 1])? {
            asset.tensor = tensor.text(&mut self.nodes.r, NAME_BYTES_MAX, "tensor")?;
        }
        self.gathered.asset(asset);
        Ok(())
    }

    /// The last value of the text field `number`.
    pub fn one_text(
        &mut self,
        ctx: &mut Inspection<'_>,
        body: Message,
        number: u32,
    ) -> Result<Option<String>, FormatError> {
        let last = self.descend(ctx, body, &[number])?.pop();
        last.map(|text| text.text(&mut self.nodes.r, NAME_BYTES_MAX, "text")).transpose()
    }

    /// The bodies of all fields along a path of field numbers.
    pub fn descend(
        &mut self,
        ctx: &mut Inspection<'_>,
        body: Message,
        path: &[u32],
    ) -> Result<Vec<Message>, FormatError> {
        body.descend(ctx, &mut self.nodes.r, path)
    }
}
