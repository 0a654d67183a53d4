//! Models in several files (`llama-gguf-split`): `split.*` keys and names of
//! the form `name-00001-of-00005.gguf`.

use weighbridge_types::LinkKind;

use crate::core::Inspection;
use crate::formats::gguf::metadata::Metadata;
use crate::formats::gguf::rules;

/// Most parts linked to; the largest published models have some hundred.
const PARTS_MAX: u64 = 2048;

/// Checks the `split.*` keys and links to the other parts.
pub fn report(ctx: &mut Inspection<'_>, metadata: &Metadata, tensors: u64) {
    let Some(count) = metadata.unsigned("split.count") else { return };
    let number = metadata.unsigned("split.no").unwrap_or(0);
    let total = metadata.unsigned("split.tensors.count");
    if count == 0 && number == 0 {
        return;
    }
    if number >= count {
        ctx.find(&rules::SPLIT_COUNT, None, format!("`split.no` is {number} of {count}"));
    }
    if total.is_some_and(|total| total < tensors) {
        ctx.find(
            &rules::SPLIT_COUNT,
            None,
            format!("`split.tensors.count` is {} over all parts; this one alone has {tensors}", total.unwrap_or(0)),
        );
    }
    let name = ctx.name().as_given().to_owned();
    let Some((stem, named_number, named_count)) = parts(&name) else { return };
    if named_count != count || named_number.checked_sub(1) != Some(number) {
        ctx.find(
            &rules::SPLIT_NAME,
            None,
            format!(
                "the name says part {named_number} of {named_count}, the content {} of {count}",
                number.saturating_add(1)
            ),
        );
    }
    ctx.fact("split", format!("{} of {count}", number.saturating_add(1)));
    for part in (1..=count.min(PARTS_MAX)).filter(|part| *part != named_number) {
        ctx.link(LinkKind::Shard, &format!("{stem}-{part:05}-of-{count:05}.gguf"));
    }
}

/// `stem-00002-of-00005.gguf` as its stem, 2 and 5.
fn parts(name: &str) -> Option<(&str, u64, u64)> {
    let (rest, extension) = name.rsplit_once('.')?;
    let (rest, count) = rest.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    (extension.eq_ignore_ascii_case("gguf") && digits(number) && digits(count))
        .then(|| Some((stem, number.parse().ok()?, count.parse().ok()?)))
        .flatten()
}
