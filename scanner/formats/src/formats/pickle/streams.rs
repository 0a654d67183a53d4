//! One stream interpreted from its start to its STOP or breaking point, and a
//! whole file of streams with everything between and after them.

use weighbridge_types::LinkKind;

use crate::codec::marshal;
use crate::core::{FormatError, Input, Inspection, Reader};
use crate::formats::pickle::calls;
use crate::formats::pickle::joblib::{self, Follows};
use crate::formats::pickle::machine::{Fault, Flow, Machine};
use crate::formats::pickle::ops::{self, code};
use crate::formats::pickle::special::Special;
use crate::formats::pickle::tables::{self, Standing};
use crate::formats::pickle::{Dialect, Facts, nested, rules, sniff};

/// Pickles in one file.
const STREAMS_MAX: u64 = 100_000;
/// Pickles inside object arrays inside pickles.
const ARRAY_DEPTH_MAX: u32 = 16;
/// Globals listed in the facts.
const GLOBALS_MAX: usize = 1024;
/// Bytes searched for a further stream.
const SEARCH_BYTES_MAX: u64 = 64 << 20;
/// Places in those bytes walked as if a stream began there.
const SEARCH_WALKS_MAX: u32 = 4096;
/// Bytes looked at to tell whether a stream begins.
const HEAD_BYTES: usize = 4096;
/// Opcodes followed in array bytes, as a loader other than joblib would.
const ARRAY_OPCODES_MAX: u32 = 100_000;
/// Longest marshalled code inspected, bytes.
const MARSHAL_BYTES_MAX: usize = 1 << 20;

/// Interprets the stream at `start`; its findings are reported.
///
/// # Errors
/// [`FormatError::Limit`] and [`FormatError::Io`]; damage is a finding and
/// shows in [`Facts::complete`].
pub fn inspect_stream(ctx: &mut Inspection<'_>, input: &Input, start: u64) -> Result<Facts, FormatError> {
    inspect_stream_as(ctx, input, start, Dialect::Python)
}

/// As [`inspect_stream`], for a stream read by `dialect`.
///
/// # Errors
/// As [`inspect_stream`].
pub fn inspect_stream_as(
    ctx: &mut Inspection<'_>,
    input: &Input,
    start: u64,
    dialect: Dialect,
) -> Result<Facts, FormatError> {
    interpret(ctx, input, start, 0, dialect)
}

/// Interprets every stream of `input`, and looks at what lies between and
/// behind them.
///
/// # Errors
/// As [`inspect_stream`].
pub fn inspect_all(ctx: &mut Inspection<'_>, input: &Input) -> Result<Facts, FormatError> {
    let mut all = interpret(ctx, input, 0, 0, Dialect::Python)?;
    all.streams = 1;
    loop {
        let here = all.end;
        if here >= input.len() {
            break;
        }
        if all.streams >= STREAMS_MAX {
            return Err(FormatError::limit("pickle_streams_max", STREAMS_MAX));
        }
        let Some(next) = next_stream(ctx, input, here, all.complete)? else {
            if all.complete {
                let rest = input.len() - here;
                ctx.find(&rules::TRAILING_DATA, here, format!("{rest} bytes"));
            }
            break;
        };
        if next > here && !is_padding(input, here, next) {
            ctx.find(&rules::JUNK_BETWEEN, next, format!("{} other bytes before it", next - here));
        }
        let facts = interpret(ctx, input, next, 0, Dialect::Python)?;
        all.streams += 1;
        all.add(facts);
    }
    Ok(all)
}

/// Zero bytes and white space.
fn is_padding(input: &Input, from: u64, to: u64) -> bool {
    let bytes = input.read_vec(from, usize::try_from((to - from).min(65_536)).unwrap_or(0)).unwrap_or_default();
    bytes.len() as u64 == to - from && bytes.iter().all(|b| *b == 0 || b.is_ascii_whitespace())
}

/// Where the next stream begins at or after `from`. Behind a complete stream
/// anything that may be one counts; further on it must be beyond doubt.
fn next_stream(ctx: &mut Inspection<'_>, input: &Input, from: u64, complete: bool) -> Result<Option<u64>, FormatError> {
    let head = |at: u64| input.read_vec(at, HEAD_BYTES).map_err(|source| FormatError::Io { offset: at, source });
    let here = head(from)?;
    if complete && sniff::may_follow(&here, input.len() - from) {
        return Ok(Some(from));
    }
    let mut at = from + u64::from(!complete);
    let end = input.len().min(from.saturating_add(SEARCH_BYTES_MAX));
    let mut walks = 0;
    while at < end {
        let want = usize::try_from((end - at).min(1 << 20)).unwrap_or(0);
        let window = input.read_vec(at, want).map_err(|source| FormatError::Io { offset: at, source })?;
        if window.is_empty() {
            break;
        }
        ctx.work(window.len() as u64 / 64 + 1)?;
        for candidate in candidates(&window) {
            let place = at + candidate as u64;
            walks += 1;
            if walks > SEARCH_WALKS_MAX {
                return Ok(None);
            }
            ctx.work(64)?;
            if sniff::imports_something(&head(place)?, input.len() - place) {
                return Ok(Some(place));
            }
        }
        // Candidates need the bytes behind them: overlap the windows.
        at += if window.len() > 64 { window.len() as u64 - 32 } else { window.len() as u64 };
    }
    Ok(None)
}

/// Places where a stream may begin: PROTO with a protocol that exists, or an
/// import line that only a pickle has.
fn candidates(window: &[u8]) -> impl Iterator<Item = usize> + '_ {
    memchr::memchr2_iter(code::PROTO, code::GLOBAL, window).filter(|at| match window.get(*at..) {
        Some([code::PROTO, 2..=5, ..]) => true,
        Some([code::GLOBAL, rest @ ..]) => {
            let line = rest.get(..rest.len().min(200)).unwrap_or_default();
            let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
            let module = line.iter().take_while(|b| word(b)).count();
            let name = line.get(module + 1..).unwrap_or_default();
            module > 1
                && line.get(module) == Some(&b'\n')
                && name.iter().take_while(|b| word(b)).count() > 1
                && name.iter().find(|b| !word(b)) == Some(&b'\n')
        }
        _ => false,
    })
}

/// Interprets one stream. `depth` counts pickles inside array data.
fn interpret(
    ctx: &mut Inspection<'_>,
    input: &Input,
    start: u64,
    depth: u32,
    dialect: Dialect,
) -> Result<Facts, FormatError> {
    let mut r = Reader::at(input, start);
    let mut machine = Machine::new(input);
    machine.names.dialect = dialect;
    let mut facts = Facts { end: start, ..Facts::default() };
    let mut nested_facts = Vec::new();
    let stopped = loop {
        if let Err(error) = ctx.work(1) {
            break Some(error);
        }
        let op = match ops::next(&mut r) {
            Ok(op) => op,
            Err(FormatError::Malformed { field, offset, reason }) => {
                machine.broken = Some((offset, format!("{field}: {reason}")));
                facts.end = offset;
                break None;
            }
            Err(error) => {
                facts.end = r.position();
                break Some(error);
            }
        };
        facts.opcodes += 1;
        match machine.step(&op) {
            Ok(Flow::Next) => {}
            Ok(Flow::Stop) => {
                facts.complete = machine.broken.is_none();
                facts.end = r.position();
                break None;
            }
            Ok(Flow::Array(wrapper)) => {
                facts.joblib_arrays += 1;
                match array(ctx, &mut machine, &mut r, wrapper, depth) {
                    Ok(inner) => nested_facts.extend(inner),
                    Err(error) => {
                        facts.end = r.position();
                        break Some(error);
                    }
                }
            }
            Err(Fault::Broken(what)) => {
                machine.broken = Some((op.at, what));
                facts.end = op.at;
                break None;
            }
            Err(Fault::Format(error)) => {
                facts.end = op.at;
                break Some(error);
            }
        }
    };
    collect(&machine, &mut facts);
    for inner in nested_facts {
        facts.absorb(inner);
    }
    report(ctx, input, &mut machine, &facts);
    match stopped {
        Some(error @ (FormatError::Limit { .. } | FormatError::Io { .. })) => Err(error),
        Some(error) => {
            ctx.stopped(&error);
            Ok(facts)
        }
        None => Ok(facts),
    }
}

/// Steps over the array behind a joblib wrapper.
fn array(
    ctx: &mut Inspection<'_>,
    machine: &mut Machine<'_>,
    r: &mut Reader<'_>,
    wrapper: crate::formats::pickle::heap::Value,
    depth: u32,
) -> Result<Option<Facts>, FormatError> {
    let at = r.position();
    match machine.follows(wrapper) {
        Ok(Follows::Bytes { len, padded }) => {
            if padded {
                joblib::skip_padding(r)?;
            }
            let start = r.position();
            as_opcodes(ctx, r.input(), at)?;
            r.skip(len, "interleaved array")?;
            ctx.opaque(r.input(), start..start + len);
            Ok(None)
        }
        Ok(Follows::Pickle) => {
            if depth >= ARRAY_DEPTH_MAX {
                return Err(FormatError::limit("pickle_array_depth_max", ARRAY_DEPTH_MAX.into()));
            }
            let inner = interpret(ctx, r.input(), at, depth + 1, Dialect::Python)?;
            r.seek(inner.end, "object array")?;
            Ok(Some(inner))
        }
        Ok(Follows::Elsewhere(file)) => {
            if file.contains(['/', '\\']) {
                ctx.find(&rules::UNEXPECTED_CALL, at, format!("reads its array from outside its folder: {file}"));
            }
            ctx.link(LinkKind::ExternalData, &file);
            Ok(None)
        }
        Err(why) => {
            ctx.find(&rules::UNREADABLE_ARRAY, at, why);
            Ok(None)
        }
    }
}

/// A loader other than joblib takes array bytes for opcodes. Only what is
/// beyond doubt counts here: a dangerous import that is called.
fn as_opcodes(ctx: &mut Inspection<'_>, input: &Input, start: u64) -> Result<(), FormatError> {
    let mut r = Reader::at(input, start);
    let mut machine = Machine::new(input);
    machine.assume_stack(8);
    for _ in 0..ARRAY_OPCODES_MAX {
        ctx.work(1)?;
        let Ok(op) = ops::next(&mut r) else { break };
        if !matches!(machine.step(&op), Ok(Flow::Next)) {
            break;
        }
    }
    for alert in machine.alerts.iter().filter(|a| std::ptr::eq(a.rule, &rules::DANGEROUS_CALL)) {
        ctx.find(alert.rule, alert.at, format!("{} (in array bytes, as pickle.load reads them)", alert.detail));
    }
    Ok(())
}

fn collect(machine: &Machine<'_>, facts: &mut Facts) {
    facts.protocol = machine.protocol;
    facts.sklearn_version.clone_from(&machine.sklearn_version);
    facts.storages.clone_from(&machine.storages);
    facts.globals = machine.names.iter().filter(|n| n.imported).take(GLOBALS_MAX).map(|n| n.full()).collect();
    facts.joblib_arrays += u64::from(machine.names.iter().any(|n| {
        n.imported && facts.joblib_arrays == 0 && n.module.contains("joblib") && calls::is_joblib_wrapper(&n.name)
    }));
    facts.estimator = machine
        .names
        .iter()
        .filter(|n| n.imported && !matches!(n.canonical().0, "copyreg" | "builtins" | "collections"))
        .take(1)
        .find(|n| {
            ["sklearn.", "xgboost.sklearn", "lightgbm.sklearn", "imblearn."].iter().any(|p| n.module.starts_with(p))
                && tables::is_class_name(&n.name)
        })
        .map(|n| n.name.clone());
}

/// Turns what the machine saw into findings.
fn report(ctx: &mut Inspection<'_>, input: &Input, machine: &mut Machine<'_>, facts: &Facts) {
    for (at, _, shown) in std::mem::take(&mut machine.code_types) {
        machine.alert(&rules::DANGEROUS_CODE, at, format!("looks up a type that makes code, for nothing: {shown}"));
    }
    for alert in &machine.alerts {
        ctx.find(alert.rule, alert.at, &alert.detail);
    }
    for name in machine.names.iter().filter(|n| n.imported && n.reported == 0) {
        match name.standing {
            Standing::Denied(reason) => {
                ctx.find(&rules::DANGEROUS_IMPORT, name.at, format!("imports {}: {reason}", name.full()));
            }
            // What these mean depends on their arguments, judged there.
            _ if name.special == Some(Special::TypeByName) => {}
            Standing::Unknown | Standing::Library => {
                ctx.find(&rules::UNKNOWN_GLOBAL, name.at, format!("imports {}", name.full()));
            }
            _ => {}
        }
    }
    if let Some((at, what)) = &machine.broken {
        ctx.find(&rules::BROKEN, *at, format!("after {} opcodes: {what}", facts.opcodes));
    }
    loaded(ctx, machine);
    let mut tensors = Vec::new();
    for value in &machine.torch_files {
        if let Some((at, file)) = machine.constant(*value) {
            tensors.push(at);
            ctx.child(&format!("tensor at {at}.pt"), &file);
        }
    }
    for payload in std::mem::take(&mut machine.payloads) {
        if tensors.contains(&payload.at) {
            continue;
        }
        if let Err(error) = nested::inspect(ctx, input, &payload) {
            ctx.stopped(&error);
        }
    }
}

/// Constants given to functions that load them.
fn loaded(ctx: &mut Inspection<'_>, machine: &mut Machine<'_>) {
    for value in std::mem::take(&mut machine.loaded) {
        let Some((at, content)) = machine.constant(value) else { continue };
        let bytes = content.head(MARSHAL_BYTES_MAX).unwrap_or_default();
        if marshal::inspect(ctx, &bytes, &format!("constant at {at}")) {
            continue;
        }
        machine.payloads.retain(|p| p.at != at);
        let head = bytes.get(..HEAD_BYTES).unwrap_or(&bytes);
        if !sniff::is_convincing(head, content.len()) && !sniff::may_follow(head, content.len()) {
            continue;
        }
        if let Err(error) = nested::inspect_loaded(ctx, &content, at) {
            ctx.stopped(&error);
        }
    }
}
