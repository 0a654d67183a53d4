use serde_json::Value;

use super::rules;
use super::schema::number;
use crate::core::{FormatError, Inspection};

/// Findings about trees.
const FINDINGS_MAX: u32 = 8;

/// Holds the links of every tree against its nodes: predictors follow them
/// without a check.
pub fn inspect(ctx: &mut Inspection<'_>, model: &Value, stated: Option<u64>, features: u64) -> Result<(), FormatError> {
    let Some(trees) = model.get("trees").and_then(Value::as_array) else { return Ok(()) };
    ctx.fact("trees", trees.len());
    if let Some(stated) = stated.filter(|n| *n != trees.len() as u64) {
        ctx.find(&rules::TREE_COUNT, None, format!("num_trees={stated}, {} trees", trees.len()));
    }
    let mut found = 0;
    for (i, tree) in trees.iter().enumerate() {
        if let Some(wrong) = wrong(ctx, tree, features)?
            && found < FINDINGS_MAX
        {
            found += 1;
            ctx.find(&rules::BAD_TREE, None, format!("tree {i}: {wrong}"));
        }
    }
    Ok(())
}

/// What is wrong with the links of `tree`.
fn wrong(ctx: &mut Inspection<'_>, tree: &Value, features: u64) -> Result<Option<String>, FormatError> {
    let list = |key: &str| tree.get(key).and_then(Value::as_array);
    let (Some(left), Some(right)) = (list("left_children"), list("right_children")) else { return Ok(None) };
    ctx.work(left.len() as u64 + right.len() as u64)?;
    if left.len() != right.len() {
        return Ok(Some(format!("{} left children, {} right ones", left.len(), right.len())));
    }
    let stated = tree.pointer("/tree_param/num_nodes").and_then(number);
    if let Some(stated) = stated.filter(|n| usize::try_from(*n) != Ok(left.len())) {
        return Ok(Some(format!("num_nodes={stated}, {} nodes", left.len())));
    }
    // A tree reached from node 0 has no circle if nothing leads to node 0 and
    // no node has two parents.
    let mut has_parent = vec![false; left.len()];
    for (node, child) in left.iter().enumerate().chain(right.iter().enumerate()) {
        match child.as_i64() {
            Some(-1) => {}
            Some(n) => match usize::try_from(n).ok().and_then(|i| has_parent.get_mut(i)) {
                Some(seen) if n == 0 || *seen => return Ok(Some(format!("node {node} leads back to node {n}"))),
                Some(seen) => *seen = true,
                None => return Ok(Some(format!("node {node} leads to node {n} of {}", left.len()))),
            },
            None => return Ok(Some(format!("the child of node {node} is no number"))),
        }
    }
    let beyond = |v: &&Value| v.as_u64().is_none_or(|n| n >= features);
    if features > 0
        && let Some(split) = list("split_indices").and_then(|splits| splits.iter().find(beyond))
    {
        return Ok(Some(format!("a split on feature {split} of {features}")));
    }
    Ok(None)
}
