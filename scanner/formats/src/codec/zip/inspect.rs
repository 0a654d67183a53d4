use crate::codec::archive::rules::{BOMB, ENCRYPTED};
use crate::codec::archive::{self, Kind, Survey};
use crate::codec::zip::{Anomaly, AnomalyKind, Audit, Listing, Member, rules};
use crate::core::{FormatError, Input, Inspection, Interest};

/// Bytes of a member looked at to tell what it is.
const PEEK_BYTES: usize = 4096;
/// Largest JSON document unpacked to see whether it is a model's.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;
/// Largest member unpacked for its patterns alone, beside a model.
const LEFTOVER_BYTES_MAX: u64 = 1 << 20;
/// Most such members.
const LEFTOVERS_MAX: usize = 1000;
/// Most members reported as not readable.
const UNREADABLE_MAX: usize = 16;
/// Longest link target read.
const LINK_BYTES_MAX: usize = 4096;
/// Examples named in one finding.
const EXAMPLES_MAX: usize = 3;
/// Size and ratio from which on content of no known kind is a bomb.
const BOMB_BYTES_MIN: u64 = 4 << 20;
const BOMB_RATIO: u64 = 500;
/// The same for very large content.
const LARGE_BOMB_BYTES_MIN: u64 = 1 << 30;
const LARGE_BOMB_RATIO: u64 = 100;

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
        if !member.is_empty() {
            inspect_member(ctx, input, listing, member);
        }
    }
    Ok(())
}

/// Reports what in this archive different readers would see differently
/// (names, flags, sizes, duplicate and hidden members, several directories),
/// path traversal, links and bombs, and inspects the members that only another
/// reader would see: hidden ones, and those [`Listing::get`] does not find
/// because an earlier one has their name. For a format that is a model in a
/// ZIP; call it once, before or after [`inspect_members`].
///
/// # Errors
/// [`FormatError::Limit`] when a budget is spent.
pub fn report_anomalies(ctx: &mut Inspection<'_>, input: &Input, listing: &Listing) -> Result<(), FormatError> {
    let audit = listing.audit(input)?;
    let survey = survey(ctx, input, listing);
    report_differences(ctx, input, listing, &audit, &survey);
    report_encrypted(ctx, input, listing, &audit);
    survey.report(ctx, true);
    let mut bombs = Bombs::default();
    for member in listing.members.iter().filter(|m| Bombs::is_candidate(m)) {
        if let Ok(head) = listing.peek(ctx, input, member, PEEK_BYTES)
            && ctx.interest(&member.name, &head.as_input(member.size)) == Interest::Nothing
        {
            bombs.add(member);
        }
    }
    bombs.report(ctx);
    for member in shadowed(listing, &audit).chain(&audit.hidden) {
        ctx.work(1)?;
        inspect_member(ctx, input, listing, member);
    }
    inspect_around(ctx, input, &audit);
    Ok(())
}

/// Inspects an archive that no format claims. Cheap where there is no model:
/// of each member only the first 4 KiB are unpacked, and nothing is reported
/// but what attacks whoever unpacks it. Where there is one, whatever lies
/// beside it counts, and so do differences between readers.
///
/// # Errors
/// [`FormatError::Limit`] when a budget is spent.
pub fn inspect_archive(ctx: &mut Inspection<'_>, input: &Input, listing: &Listing) -> Result<(), FormatError> {
    let audit = listing.audit(input)?;
    let mut survey = survey(ctx, input, listing);
    let mut bombs = Bombs::default();
    let mut companions = Vec::new();
    let mut named = Vec::new();
    let mut leftovers = Vec::new();
    let mut unreadable = Vec::new();
    for member in listing.members.iter().chain(&audit.hidden) {
        ctx.work(1)?;
        if member.is_empty() {
            continue;
        }
        let head = match listing.peek(ctx, input, member, PEEK_BYTES) {
            Ok(head) => head,
            Err(error @ FormatError::Limit { .. }) => return Err(error),
            Err(error) => {
                unreadable.push((member, error));
                continue;
            }
        };
        match ctx.interest(&member.name, &head.as_input(member.size)) {
            Interest::Content => inspect_member(ctx, input, listing, member),
            Interest::Document if head.complete || head.bytes.trim_ascii_start().starts_with(b"<") => {}
            Interest::Document if member.size <= DOCUMENT_BYTES_MAX => inspect_document(ctx, input, listing, member)?,
            Interest::Document => {}
            Interest::Companion => {
                if archive::is_executable(&head.bytes) {
                    survey.add_executable();
                }
                companions.push(member);
            }
            Interest::Named => named.push(member),
            Interest::Nothing if Bombs::is_candidate(member) => bombs.add(member),
            Interest::Nothing => leftovers.push(member),
        }
    }
    inspect_around(ctx, input, &audit);
    bombs.report(ctx);
    report_encrypted(ctx, input, listing, &audit);
    if ctx.holds_model() || ctx.claims_model() {
        report_differences(ctx, input, listing, &audit, &survey);
    } else if let Some(overlap) = audit.anomalies.iter().find(|a| a.kind == AnomalyKind::Overlap) {
        ctx.find(&rules::OVERLAP, overlap.offset, format!("`{}` {}", overlap.member, overlap.detail));
    }
    let beside_model = ctx.holds_model() || ctx.claims_model();
    for (member, error) in unreadable.iter().take(UNREADABLE_MAX) {
        if beside_model || ctx.interest(&member.name, &Input::bytes(Vec::new())) == Interest::Named {
            ctx.within(&member.name, &Input::bytes(Vec::new()), |ctx, _| ctx.stopped(error));
        }
    }
    if !survey.is_program() {
        let small = |m: &&Member| m.size <= LEFTOVER_BYTES_MAX && m.method != 0;
        let beside = companions.into_iter().chain(leftovers.into_iter().filter(small).take(LEFTOVERS_MAX));
        for member in named {
            inspect_member(ctx, input, listing, member);
        }
        if ctx.holds_model() {
            for member in beside {
                ctx.work(1)?;
                inspect_member(ctx, input, listing, member);
            }
        }
    }
    survey.report(ctx, true);
    if listing.cut {
        return Err(FormatError::limit("zip_members_max", listing.members.len() as u64));
    }
    Ok(())
}

fn inspect_member(ctx: &mut Inspection<'_>, input: &Input, listing: &Listing, member: &Member) {
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

/// A document's keys tell whether it belongs to a model; they may come late.
fn inspect_document(
    ctx: &mut Inspection<'_>,
    input: &Input,
    listing: &Listing,
    member: &Member,
) -> Result<(), FormatError> {
    let Ok((content, _)) = listing.open(ctx, input, member) else { return Ok(()) };
    if ctx.interest(&member.name, &content) == Interest::Content {
        ctx.child(&member.name, &content);
    }
    Ok(())
}

/// Bytes before and after the archive, by whatever they turn out to be. The
/// program in front of a self-extracting archive is no part of the model.
fn inspect_around(ctx: &mut Inspection<'_>, input: &Input, audit: &Audit) {
    for range in &audit.around {
        let Some(part) = input.slice(range.start, range.end - range.start) else { continue };
        let head = part.head(PEEK_BYTES).unwrap_or_default();
        let name = if range.start == 0 { "(before the archive)" } else { "(after the archive)" };
        let wanted = match ctx.interest(name, &part) {
            Interest::Content if head.starts_with(b"PK") => false,
            Interest::Content => range.start > 0 || !archive::is_executable(&head),
            Interest::Companion => range.start > 0,
            _ => false,
        };
        if wanted {
            ctx.child(name, &part);
        }
    }
}

fn survey(ctx: &mut Inspection<'_>, input: &Input, listing: &Listing) -> Survey {
    let mut survey = Survey::default();
    for member in &listing.members {
        let offset = member.central_header;
        let mode = member.unix_mode();
        if member.is_symbolic_link() {
            let head = listing.peek(ctx, input, member, LINK_BYTES_MAX);
            let target = head.map(|h| String::from_utf8_lossy(&h.bytes).into_owned()).unwrap_or_default();
            survey.add(&member.name, Kind::SymbolicLink(&target), mode, offset);
            continue;
        }
        let kind = match mode & 0o170_000 {
            0o020_000 | 0o060_000 | 0o010_000 => Kind::Device,
            _ if member.name.ends_with('/') => Kind::Folder,
            _ => Kind::File,
        };
        survey.add(&member.name, kind, mode, offset);
    }
    survey
}

/// Members that a look-up by name does not find: those whose name an earlier
/// one has, exactly or but for case.
fn shadowed<'a>(listing: &'a Listing, audit: &Audit) -> impl Iterator<Item = &'a Member> {
    let offsets: std::collections::HashSet<u64> =
        audit.anomalies.iter().filter(|a| a.kind == AnomalyKind::Duplicate).map(|a| a.offset).collect();
    listing.members.iter().filter(move |m| offsets.contains(&m.central_header))
}

fn report_differences(ctx: &mut Inspection<'_>, input: &Input, listing: &Listing, audit: &Audit, survey: &Survey) {
    for (kind, rule) in [
        (AnomalyKind::Name, &rules::NAME_MISMATCH),
        (AnomalyKind::Header, &rules::HEADER_MISMATCH),
        (AnomalyKind::Method, &rules::UNKNOWN_METHOD),
        (AnomalyKind::Duplicate, &rules::DUPLICATE_NAME),
        (AnomalyKind::Overlap, &rules::OVERLAP),
        (AnomalyKind::Hidden, &rules::HIDDEN_MEMBER),
        (AnomalyKind::Directory, &rules::AMBIGUOUS_DIRECTORY),
        (AnomalyKind::Count, &rules::COUNT_MISMATCH),
        (AnomalyKind::Damaged, &rules::DIRECTORY_DAMAGED),
        (AnomalyKind::Prefix, &rules::PREFIX_DATA),
        (AnomalyKind::Suffix, &rules::SUFFIX_DATA),
    ] {
        let of_kind: Vec<&Anomaly> = audit.anomalies.iter().filter(|a| a.kind == kind).collect();
        let Some(first) = of_kind.first() else { continue };
        if kind == AnomalyKind::Duplicate && survey.is_program() {
            continue;
        }
        let shown: Vec<String> = of_kind
            .iter()
            .take(EXAMPLES_MAX)
            .map(|a| if a.member.is_empty() { a.detail.clone() } else { format!("`{}`: {}", a.member, a.detail) })
            .collect();
        ctx.find(rule, first.offset, listed(&shown, of_kind.len()));
    }
    report_flags(ctx, input, listing, audit);
}

/// Flagged members that are plainly readable: a trick. Those that are not are
/// encrypted.
fn report_flags(ctx: &mut Inspection<'_>, input: &Input, listing: &Listing, audit: &Audit) {
    let (plain, _) = flagged(ctx, input, listing, audit);
    if let Some(first) = plain.first() {
        let shown: Vec<String> =
            plain.iter().take(EXAMPLES_MAX).map(|m| format!("`{}` has flags {:#06x}", m.name, m.flags)).collect();
        ctx.find(&rules::FLAG_TRICK, first.central_header, listed(&shown, plain.len()));
    }
}

fn report_encrypted(ctx: &mut Inspection<'_>, input: &Input, listing: &Listing, audit: &Audit) {
    let (_, encrypted) = flagged(ctx, input, listing, audit);
    if let Some(first) = encrypted.first() {
        let shown: Vec<String> = encrypted.iter().take(EXAMPLES_MAX).map(|m| format!("`{}`", m.name)).collect();
        ctx.find(&ENCRYPTED, first.central_header, listed(&shown, encrypted.len()));
    }
}

/// Flagged members, those plainly readable first.
fn flagged<'a>(
    ctx: &mut Inspection<'_>,
    input: &Input,
    listing: &Listing,
    audit: &'a Audit,
) -> (Vec<&'a Member>, Vec<&'a Member>) {
    audit.flagged.iter().filter(|m| !m.is_empty()).partition(|m| listing.is_plain(ctx, input, m))
}

fn listed(shown: &[String], count: usize) -> String {
    let more = count - shown.len().min(count);
    let tail = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{tail}", shown.join("; "))
}

/// Members that expand out of all proportion to nothing known.
#[derive(Default)]
struct Bombs<'a> {
    found: Vec<&'a Member>,
}

impl<'a> Bombs<'a> {
    fn is_candidate(member: &Member) -> bool {
        let ratio = member.size / member.compressed_size.max(1);
        (member.size >= BOMB_BYTES_MIN && ratio >= BOMB_RATIO)
            || (member.size >= LARGE_BOMB_BYTES_MIN && ratio >= LARGE_BOMB_RATIO)
    }

    fn add(&mut self, member: &'a Member) {
        self.found.push(member);
    }

    fn report(&self, ctx: &mut Inspection<'_>) {
        let Some(first) = self.found.first() else { return };
        let shown: Vec<String> = self
            .found
            .iter()
            .take(EXAMPLES_MAX)
            .map(|m| format!("`{}`: {} bytes from {}", m.name, m.size, m.compressed_size))
            .collect();
        ctx.find(&BOMB, first.central_header, listed(&shown, self.found.len()));
    }
}
