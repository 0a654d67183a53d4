//! Hyperparameters: keys below the architecture's name (ggml `docs/gguf.md`),
//! defaults as llama.cpp has them.

use weighbridge_formats::formats::gguf::catalogue::{Catalogue, Value};

use super::ROPE_TENSORS;
use crate::ImportError;
use crate::import::Options;
use crate::model::rope::{Rope, Scaling};
use crate::model::{Activation, Family, Layer, Model, Sizes, Stated, float};
use crate::weights::Tensors;

/// Window of Gemma 2 where the file does not say.
const GEMMA2_WINDOW: u64 = 4096;
/// Base of Gemma 3's windowed layers; files do not say.
const GEMMA3_LOCAL_BASE: f64 = 10_000.0;

struct Keys<'a> {
    part: &'a str,
    catalogue: &'a Catalogue,
    architecture: &'a str,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn unsigned(&self, name: &str) -> Result<Option<u64>, ImportError> {
        let key = self.key(name);
        if self.catalogue.count(&key).is_some() {
            return Err(ImportError::unsupported(
                format!("a model whose `{}` differs from layer to layer", crate::error::Name::new(&key)),
                "supported are models with equal layers",
            ));
        }
        match self.catalogue.value(&key) {
            None => Ok(None),
            Some(_) => match self.catalogue.unsigned(&key) {
                Some(n) => Ok(Some(n)),
                None => Err(ImportError::configuration(&key, "is not a whole number")),
            },
        }
    }

    fn required(&self, name: &str) -> Result<u64, ImportError> {
        self.unsigned(name)?.ok_or_else(|| ImportError::configuration(&self.key(name), "is missing"))
    }

    fn number(&self, name: &str) -> Result<Option<f64>, ImportError> {
        let key = self.key(name);
        match self.catalogue.value(&key) {
            None => Ok(None),
            Some(Value::Float(f)) => Ok(Some(*f)),
            Some(_) => Err(ImportError::configuration(&key, "is not a floating-point number")),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.catalogue.text(&self.key(name))
    }
}

/// Reads the hyperparameters of `part`.
pub(super) fn read(
    part: &str,
    catalogue: &Catalogue,
    tensors: &Tensors,
    options: &Options,
) -> Result<Model, ImportError> {
    let architecture = catalogue
        .text("general.architecture")
        .ok_or_else(|| ImportError::malformed(part, "does not say its `general.architecture`"))?;
    let family = Family::of(architecture, &[])?;
    let k = Keys { part, catalogue, architecture };
    if k.unsigned("expert_count")?.unwrap_or(0) > 0 {
        return Err(ImportError::unsupported("a mixture of experts", "supported are dense models"));
    }
    let heads = k.required("attention.head_count")?;
    let embedding = crate::model::names::Names::gguf(family).embedding();
    let rows = tensors
        .rows(&embedding)
        .ok_or_else(|| ImportError::tensor(&embedding, "is missing; the model is incomplete"))?;
    let stated = Stated {
        layers: k.required("block_count")?,
        hidden: k.required("embedding_length")?,
        heads,
        kv_heads: k.unsigned("attention.head_count_kv")?.unwrap_or(heads),
        head_size: k.unsigned("attention.key_length")?,
        feed_forward: k.required("feed_forward_length")?,
        vocabulary: rows,
        context: k.required("context_length")?,
    };
    let mut sizes = stated.check()?;
    let values = k.unsigned("attention.value_length")?;
    if values.is_some_and(|n| n != sizes.head_size as u64) {
        return Err(ImportError::unsupported(
            "heads whose keys and values differ in size",
            "there is no such model of this family",
        ));
    }
    let (ropes, context) = ropes(&k, family, &sizes, tensors, options)?;
    sizes.context = context;
    let epsilon = k
        .number("attention.layer_norm_rms_epsilon")?
        .ok_or_else(|| ImportError::configuration(&k.key("attention.layer_norm_rms_epsilon"), "is missing"))?;
    let softcap = |name: &str, default: f64| match family {
        Family::Gemma2 => float(name, k.number(name)?.unwrap_or(default), 1e-3, 1e6),
        _ => Ok(0.0),
    };
    #[expect(clippy::cast_precision_loss, reason = "sizes are small")]
    let (hidden, attention_scale) = (sizes.hidden as f64, (scaled_by(family, &sizes) as f64).powf(-0.5));
    let text = |key: &str| catalogue.text(key).filter(|t| !t.is_empty()).map(|t| t.chars().take(256).collect());
    Ok(Model {
        family,
        architecture: architecture.to_owned(),
        name: text("general.name"),
        licence: text("general.license"),
        sizes,
        epsilon: float("layer norm epsilon", epsilon, 0.0, 1.0)?,
        activation: if family.is_gemma() { Activation::GeluTanh } else { Activation::Silu },
        // The converter reorders the rows of these families' queries and keys.
        interleaved: matches!(family, Family::Llama | Family::Mistral),
        embedding_scale: if family.is_gemma() { float("embedding length", hidden.sqrt(), 1.0, 1e6)? } else { 1.0 },
        attention_scale: float("attention scale", attention_scale, 1e-6, 1e3)?,
        attention_softcap: softcap("attn_logit_softcapping", 50.0)?,
        logit_softcap: softcap("final_logit_softcapping", 30.0)?,
        norm_offset: 0.0,
        tied: false,
        layers: layers(&k, family, sizes.layers)?,
        ropes,
    })
}

/// What attention is scaled by: files do not say, llama.cpp tells the largest
/// Gemmas by their number of layers.
fn scaled_by(family: Family, sizes: &Sizes) -> usize {
    match (family, sizes.layers) {
        (Family::Gemma2, 46) | (Family::Gemma3, 62) => sizes.hidden / sizes.heads,
        _ => sizes.head_size,
    }
}

fn layers(k: &Keys<'_>, family: Family, count: usize) -> Result<Vec<Layer>, ImportError> {
    let default = if family == Family::Gemma2 { GEMMA2_WINDOW } else { 0 };
    let key = "attention.sliding_window";
    let stated = k.unsigned(key)?.unwrap_or(default);
    let window = usize::try_from(stated)
        .ok()
        .filter(|n| *n <= 1 << 28)
        .ok_or_else(|| ImportError::configuration(&k.key(key), format!("is {stated}")))?;
    let pattern = match family {
        Family::Gemma2 => 2,
        Family::Gemma3 => 6,
        _ => 0,
    };
    let pattern = k.unsigned("attention.sliding_window_pattern").unwrap_or(None).unwrap_or(pattern);
    Ok((1..=count as u64)
        .map(|number| {
            let windowed = window > 0 && number.checked_rem(pattern).is_none_or(|rest| rest != 0);
            let rope = usize::from(windowed && family == Family::Gemma3);
            Layer { window: if windowed { window } else { 0 }, rope }
        })
        .collect())
}

fn ropes(
    k: &Keys<'_>,
    family: Family,
    sizes: &Sizes,
    tensors: &Tensors,
    options: &Options,
) -> Result<(Vec<Rope>, usize), ImportError> {
    let default = if family == Family::Gemma3 { 1_000_000.0 } else { 10_000.0 };
    let base = k.number("rope.freq_base")?.unwrap_or(default);
    let dimensions = match k.unsigned("rope.dimension_count")? {
        Some(n) => usize::try_from(n).ok().filter(|n| *n <= sizes.head_size).ok_or_else(|| {
            ImportError::configuration(&k.key("rope.dimension_count"), format!("is {n}, more than a head has"))
        })?,
        None => sizes.head_size,
    };
    let mut context = sizes.context;
    let original = k.unsigned("rope.scaling.original_context_length")?;
    let [every, long, short] = ROPE_TENSORS else { return Err(ImportError::NoModel) };
    let scaling = if tensors.has(every) {
        Scaling::Divisors { divisors: tensors.vector(every, dimensions / 2)?, attention: 1.0 }
    } else if tensors.has(long) || tensors.has(short) {
        let name = if options.long_context { long } else { short };
        if let Some(original) = original.filter(|_| !options.long_context) {
            context = context.min(usize::try_from(original).unwrap_or(usize::MAX).max(1));
        }
        let attention = k.number("rope.scaling.attn_factor")?.unwrap_or(1.0);
        Scaling::Divisors { divisors: tensors.vector(name, dimensions / 2)?, attention }
    } else {
        stated_scaling(k, original, sizes)?
    };
    let mut ropes = vec![Rope::new(base, dimensions, &scaling)?];
    if family == Family::Gemma3 {
        ropes.push(Rope::new(GEMMA3_LOCAL_BASE, dimensions, &Scaling::None)?);
    }
    Ok((ropes, context))
}

fn stated_scaling(k: &Keys<'_>, original: Option<u64>, sizes: &Sizes) -> Result<Scaling, ImportError> {
    let factor = k.number("rope.scaling.factor")?.or(k.number("rope.scale_linear")?);
    #[expect(clippy::cast_precision_loss, reason = "context lengths are small")]
    let original = original.unwrap_or(sizes.context as u64) as f64;
    match (k.text("rope.scaling.type"), factor) {
        (None | Some("none"), None) | (Some("none"), Some(_)) | (Some("longrope"), None) => Ok(Scaling::None),
        (None | Some("linear"), Some(factor)) if factor > 0.0 => Ok(Scaling::Linear { factor }),
        (None | Some("linear"), _) => Ok(Scaling::None),
        (Some("yarn"), Some(factor)) => Ok(Scaling::Yarn {
            factor,
            original,
            beta_fast: k.number("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
            beta_slow: k.number("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
            attention: k.number("rope.scaling.attn_factor")?.map(|a| a * (0.1 * factor.max(1e-3).ln() + 1.0)),
            truncate: true,
        }),
        (Some(other), _) => Err(ImportError::unsupported(
            format!("the rope scaling `{}` of `{}`", crate::error::Name::new(other), crate::error::Name::new(k.part)),
            "supported are none, linear, yarn, and factors in tensors",
        )),
    }
}
