//! Rotations of `config.json`: `rope_parameters` of transformers 5, or
//! `rope_theta` and `rope_scaling` of those before.

use serde_json::Value;

use super::config::Fields;
use crate::ImportError;
use crate::import::Options;
use crate::model::Family;
use crate::model::rope::{Rope, Scaling};

const BASE_DEFAULT: f64 = 10_000.0;

/// The model's rotations (the second of Gemma 3 is that of windowed layers)
/// and the context they hold for.
pub(super) fn read(
    c: &Fields<'_>,
    family: Family,
    head_size: usize,
    context: usize,
    options: &Options,
) -> Result<(Vec<Rope>, usize), ImportError> {
    let nested = |kind: &str| c.get("rope_parameters").and_then(|p| p.get(kind)).map(Fields);
    if family == Family::Gemma3 {
        let (global, local) = match (nested("full_attention"), nested("sliding_attention")) {
            (Some(global), Some(local)) => {
                (one(c, &global, head_size, context, options)?, one(c, &local, head_size, context, options)?)
            }
            _ => {
                let base = c.number("rope_local_base_freq")?.unwrap_or(BASE_DEFAULT);
                let mut global = flat(c, 1_000_000.0, head_size, context, options)?;
                global.1 = context;
                (global, (Rope::new(base, head_size, &Scaling::None)?, context))
            }
        };
        return Ok((vec![global.0, local.0], context));
    }
    let (rope, context) = flat(c, BASE_DEFAULT, head_size, context, options)?;
    Ok((vec![rope], context))
}

/// Parameters that hold for all layers.
fn flat(
    c: &Fields<'_>,
    base_default: f64,
    head_size: usize,
    context: usize,
    options: &Options,
) -> Result<(Rope, usize), ImportError> {
    let none = Value::Null;
    let parameters = c.get("rope_parameters").or_else(|| c.get("rope_scaling")).unwrap_or(&none);
    let base = Fields(parameters).number("rope_theta")?.or(c.number("rope_theta")?).unwrap_or(base_default);
    with_base(c, &Fields(parameters), base, head_size, context, options)
}

fn one(
    c: &Fields<'_>,
    parameters: &Fields<'_>,
    head_size: usize,
    context: usize,
    options: &Options,
) -> Result<(Rope, usize), ImportError> {
    let base = parameters.number("rope_theta")?.unwrap_or(BASE_DEFAULT);
    with_base(c, parameters, base, head_size, context, options)
}

fn with_base(
    c: &Fields<'_>,
    parameters: &Fields<'_>,
    base: f64,
    head_size: usize,
    context: usize,
    options: &Options,
) -> Result<(Rope, usize), ImportError> {
    let share = parameters.number("partial_rotary_factor")?.or(c.number("partial_rotary_factor")?).unwrap_or(1.0);
    crate::model::float("partial_rotary_factor", share, 1e-3, 1.0)?;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most the head size, rounded down as transformers does"
    )]
    let dimensions = (head_size as f64 * share) as usize;
    let kind = parameters.text("rope_type").or_else(|| parameters.text("type")).unwrap_or("default");
    let factor = || required(parameters, "factor");
    #[expect(clippy::cast_precision_loss, reason = "context lengths are small")]
    let context_f = context as f64;
    let original =
        parameters.number("original_max_position_embeddings")?.or(c.number("original_max_position_embeddings")?);
    let scaling = match kind {
        "default" => Scaling::None,
        "linear" => Scaling::Linear { factor: factor()? },
        "llama3" => Scaling::Llama3 {
            factor: factor()?,
            low: required(parameters, "low_freq_factor")?,
            high: required(parameters, "high_freq_factor")?,
            original: original.unwrap_or(context_f),
        },
        "yarn" => Scaling::Yarn {
            factor: factor()?,
            original: original.unwrap_or(context_f),
            beta_fast: parameters.number("beta_fast")?.unwrap_or(32.0),
            beta_slow: parameters.number("beta_slow")?.unwrap_or(1.0),
            attention: parameters.number("attention_factor")?,
            truncate: parameters.get("truncate").and_then(Value::as_bool).unwrap_or(true),
        },
        "longrope" | "su" => {
            let stated = parameters.number("factor")?.unwrap_or(1.0);
            let stretch = original.map_or(stated, |original| context_f / original);
            let original = original.unwrap_or(context_f);
            let long = options.long_context;
            let attention = match parameters.number("attention_factor")? {
                Some(stated) => stated,
                None if stretch > 1.0 && original > 1.0 => (1.0 + stretch.ln() / original.ln()).sqrt(),
                None => 1.0,
            };
            let divisors = numbers(parameters, if long { "long_factor" } else { "short_factor" }, dimensions)?;
            let rope = Rope::new(base, dimensions, &Scaling::Divisors { divisors, attention })?;
            return Ok((rope, if long { context } else { context.min(whole(original)) }));
        }
        other => {
            return Err(ImportError::unsupported(
                format!("the rope type `{}`", crate::error::Name::new(other)),
                "supported are default, linear, llama3, yarn and longrope",
            ));
        }
    };
    Ok((Rope::new(base, dimensions, &scaling)?, context))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is only a minimum's side")]
fn whole(value: f64) -> usize {
    value.max(1.0) as usize
}

fn required(parameters: &Fields<'_>, name: &str) -> Result<f64, ImportError> {
    parameters.number(name)?.ok_or_else(|| ImportError::configuration(name, "is missing"))
}

fn numbers(parameters: &Fields<'_>, name: &str, dimensions: usize) -> Result<Vec<f32>, ImportError> {
    let list = parameters.get(name).and_then(Value::as_array);
    let list = list
        .filter(|l| l.len() == dimensions / 2)
        .ok_or_else(|| ImportError::configuration(name, format!("is not a list of {} numbers", dimensions / 2)))?;
    list.iter().map(|v| crate::model::float(name, v.as_f64().unwrap_or(f64::NAN), 1e-3, 1e6)).collect()
}
