//! NumPy `.npz`: a ZIP archive of `.npy` arrays (numpy.lib.npyio `NpzFile`).

mod rules;

#[cfg(test)]
mod tests;

use crate::codec::zip::{self, Listing, Member};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope};

/// First bytes of every array.
const MAGIC: &[u8] = b"\x93NUMPY";
/// Most array names kept as a fact.
const NAMES_MAX: usize = 64;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "npz",
    name: "NumPy archive",
    extensions: &["npz", "zip"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Zip(recognise),
    inspect,
    rules: rules::ALL,
};

/// Arrays and nothing that has another suffix.
fn recognise(listing: &Listing) -> Confidence {
    let is_array = |m: &Member| m.name.ends_with(".npy");
    let has_no_suffix = |m: &Member| !m.name.rsplit('/').next().unwrap_or_default().contains('.');
    let all = listing.members.iter().all(|m| is_array(m) || has_no_suffix(m));
    if all && listing.members.iter().any(is_array) { Confidence::Likely } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let listing = Listing::read(input)?;
    zip::report_anomalies(ctx, input, &listing)?;
    for member in listing.members.iter().filter(|m| m.size > 0) {
        ctx.work(1)?;
        if member.method == 0
            && let Ok((content, _)) = listing.open(ctx, input, member)
            && content.head(MAGIC.len()).is_ok_and(|head| head != MAGIC)
        {
            ctx.find(&rules::FOREIGN_MEMBER, member.central_header, format!("`{}` is no array", member.name));
        }
    }
    // np.load opens any of them by name, so all are inspected.
    zip::inspect_members(ctx, input, &listing, |_| true)?;
    let names = listing.members.iter().filter_map(|m| m.name.strip_suffix(".npy")).take(NAMES_MAX);
    ctx.fact("arrays", names.collect::<Vec<_>>());
    ctx.fact("tensor_count", listing.members.len());
    Ok(())
}
