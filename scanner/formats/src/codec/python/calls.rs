//! Calls: what is noted of them, and what the few functions give that hide
//! names and code: decoders, `getattr`, `__import__`, `exec`.

use std::io::Read;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::danger::{self, Danger};
use super::eval::Args;
use super::lexer::Token;
use super::noted::RawCall;
use super::value::{CONSTANT_MAX, Constant, Value, taint};
use super::walk::{Known, Walker};
use super::{Payload, PayloadKind};

/// Deepest nesting of source in source that is followed.
const NESTING_MAX: usize = 4;
/// Longest argument kept as evidence, bytes.
const ARGUMENT_BYTES_MAX: usize = 400;
/// Bytes of the source shown around a call.
const EVIDENCE_BYTES: usize = 160;
/// Longest text looked at for the names of secret places, bytes.
const SECRET_TEXT_MAX: usize = 4096;
/// Shortest embedded pickle or code object, bytes.
const PAYLOAD_BYTES_MIN: usize = 4;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

impl<'a> Walker<'a> {
    /// Notes a call and gives its value as far as known.
    pub(super) fn call(&mut self, callee: &Value, args: &Args, token: Token<'a>) -> Value {
        self.leads_to(callee);
        for arg in args.all() {
            self.leads_to_function(arg);
            self.note_reference(arg, token);
        }
        let path = callee.path_text();
        if !path.is_empty() && !path.starts_with('.') {
            self.note_call(path, args, token);
        }
        if let Some(def) = callee.local {
            return self.returns_of(def).with_taint(args.taint());
        }
        let known =
            if path.starts_with('.') { self.method_of_constant(callee, args) } else { self.known_call(path, args) };
        known.unwrap_or_else(|| {
            let result = if path.is_empty() || path.starts_with('.') {
                Value::default()
            } else {
                Value::path(format!("{path}()"))
            };
            let partial = taint::PARTIAL;
            result.with_taint((callee.taint | args.taint() | danger::origin(path)) & !partial)
        })
    }

    /// A function handed over as an argument will be called by the receiver.
    fn leads_to_function(&mut self, arg: &Value) {
        if arg.local.is_some_and(|def| self.noted.is_function(def)) {
            self.leads_to(arg);
        }
    }

    /// A dangerous function handed over uncalled: `map(os.system, …)`.
    pub(super) fn note_reference(&mut self, value: &Value, token: Token<'a>) {
        if let Some(danger @ (Danger::RunsCommand | Danger::EvaluatesText)) = danger::classify(value.path_text()) {
            self.note(value.path_text(), Some(danger), None, value.taint, token);
        }
    }

    fn note_call(&mut self, path: &str, args: &Args, token: Token<'a>) {
        let mut found = danger::classify(path);
        let mut origin = args.taint();
        let first = args.first();
        match found {
            Some(Danger::EvaluatesText) => {
                let argument = first.cloned().unwrap_or_default();
                origin = argument.taint;
                if self.evaluates_plain_text(&argument) {
                    found = None;
                }
                self.nested(&argument, token);
            }
            Some(Danger::OpensFile) if !writes(path, args) => found = None,
            Some(Danger::LoadsObjects | Danger::LoadsCode) => self.note_payload(path, args, token),
            _ => {}
        }
        if found.is_none() && hides_a_name(path, args) {
            found = Some(Danger::HidesNames);
        }
        if path == "object.__subclasses__" || path == "builtins.object.__subclasses__" {
            found = Some(Danger::HidesNames);
        }
        if danger::sends(path) && args.taint() & (taint::ENVIRONMENT | taint::SECRET) != 0 {
            found = Some(Danger::SendsSecrets);
        }
        self.note(path, found, argument_text(args), origin, token);
    }

    /// Text known in full that was written plainly is looked at instead of
    /// being held against the call itself.
    fn evaluates_plain_text(&self, argument: &Value) -> bool {
        let hidden = taint::PARTIAL | taint::DECODED | taint::REMOTE;
        argument.text().is_some() && argument.taint & hidden == 0 && self.nesting < NESTING_MAX
    }

    fn note(&mut self, path: &str, danger: Option<Danger>, argument: Option<String>, origin: u8, token: Token<'a>) {
        let evidence = if danger.is_some() { self.evidence(token.offset) } else { String::new() };
        let place = self.place();
        self.noted.call(RawCall {
            name: path.to_owned(),
            line: token.line,
            offset: token.offset,
            place,
            danger,
            argument,
            origin,
            evidence,
        });
    }

    /// The line around `offset`, cut.
    fn evidence(&self, offset: usize) -> String {
        let before = self.source.get(..offset).unwrap_or_default();
        let start = before.bytes().rev().take(EVIDENCE_BYTES).position(|b| b == b'\n').unwrap_or(0);
        let from = offset.saturating_sub(start);
        let rest = self.source.get(from..).unwrap_or_default();
        let line: String = rest.chars().take(EVIDENCE_BYTES).take_while(|c| *c != '\n' && *c != '\r').collect();
        line.trim().to_owned()
    }

    /// Analyses the constant text that is evaluated.
    fn nested(&mut self, argument: &Value, token: Token<'a>) {
        let Some(bytes) = argument.bytes().filter(|b| b.len() >= 3 && self.nesting < NESTING_MAX) else { return };
        if !self.spend(bytes.len().saturating_mul(4)) {
            self.noted.dropped = true;
            return;
        }
        let text = String::from_utf8_lossy(bytes).into_owned();
        let known = Known::default();
        let mut inner = Walker::new(&text, &known, self.budget, self.nesting + 1);
        inner.run();
        self.budget = inner.budget;
        let place = self.place();
        let (calls, imports, payloads) = inner.noted.into_parts();
        for call in calls {
            let origin = call.origin | argument.taint;
            let evidence = format!("in evaluated text: {}", call.evidence);
            self.noted.call(RawCall { line: token.line, offset: token.offset, place, origin, evidence, ..call });
        }
        for import in imports {
            self.noted.import(&import.module, token.line);
        }
        for payload in payloads {
            self.noted.payload(payload);
        }
    }

    fn note_payload(&mut self, path: &str, args: &Args, token: Token<'a>) {
        let Some(bytes) = args.first().and_then(Value::bytes).filter(|b| b.len() >= PAYLOAD_BYTES_MIN) else { return };
        if self.spend(bytes.len()) {
            let kind = if path.starts_with("marshal.") { PayloadKind::Marshal } else { PayloadKind::Pickle };
            self.noted.payload(Payload { kind, line: token.line, bytes: bytes.to_vec() });
        }
    }

    /// Marks text that names where secrets lie.
    pub(super) fn marked_secret(&mut self, value: Value) -> Value {
        let Some(place) = value.text().filter(|t| t.len() <= SECRET_TEXT_MAX).and_then(danger::secret_place) else {
            return value;
        };
        self.noted.secret(place, self.current.line);
        value.with_taint(taint::SECRET)
    }

    /// Functions whose result matters to find hidden names.
    fn known_call(&mut self, path: &str, args: &Args) -> Option<Value> {
        let first = args.first();
        let exact = first.and_then(exact_text);
        match path {
            "builtins.__import__" | "importlib.__import__" => {
                let name = exact?;
                let top = if args.positional.len() > 3 { name } else { name.split('.').next().unwrap_or(name) };
                Some(Value::path(top))
            }
            "importlib.import_module" => exact.map(Value::path),
            "pkgutil.resolve_name" | "pydoc.locate" => exact.map(|name| Value::path(name.replace(':', "."))),
            "builtins.getattr" | "operator.attrgetter()" | "builtins.object.__getattribute__" => {
                let name = args.get(1).and_then(exact_text)?;
                first.map(|object| object.attribute(name))
            }
            "operator.attrgetter" | "operator.methodcaller" => None,
            "functools.partial" => first.cloned(),
            "builtins.vars" => first.map(|v| Value::path(format!("{}.__dict__", v.path_text()))),
            "builtins.compile" | "textwrap.dedent" | "inspect.cleandoc" => first.cloned(),
            "builtins.chr" => Some(match first.and_then(Value::int).and_then(|n| u32::try_from(n).ok()) {
                Some(code) => {
                    text_value(char::from_u32(code).unwrap_or('\u{fffd}').to_string()).with_taint(taint::DECODED)
                }
                None => Value::tainted(taint::DECODED),
            }),
            "builtins.map" if first.is_some_and(|f| f.path_text() == "builtins.chr") => {
                Some(self.characters(args.get(1).and_then(Value::items)))
            }
            "builtins.list" | "builtins.tuple" | "builtins.reversed" | "builtins.iter" => first.cloned(),
            "builtins.bytes" | "builtins.bytearray" => Some(self.bytes_of(first)),
            "builtins.str" | "builtins.memoryview" => first.map(|v| match v.bytes() {
                Some(bytes) if v.text().is_none() => {
                    text_value(String::from_utf8_lossy(bytes).into_owned()).with_taint(v.taint)
                }
                _ if v.constant.is_some() => v.clone(),
                _ => Value::tainted(v.taint),
            }),
            "os.path.expanduser" | "os.path.expandvars" | "pathlib.Path" | "os.fspath" | "os.path.abspath" => {
                first.cloned()
            }
            "os.path.join" => Some(self.joined_path(args)),
            _ => self.decoded(path, args),
        }
    }

    fn characters(&mut self, items: Option<&[Value]>) -> Value {
        let codes = items.filter(|items| self.spend(items.len() * 8));
        let text: Option<Vec<Value>> = codes.map(|items| {
            let to_char = |v: &Value| v.int().and_then(|n| u32::try_from(n).ok()).and_then(char::from_u32);
            items.iter().map(|v| text_value(to_char(v).unwrap_or('\u{fffd}').to_string())).collect()
        });
        text.map_or_else(Value::default, |items| Value::constant(Constant::Items(items))).with_taint(taint::DECODED)
    }

    fn bytes_of(&mut self, first: Option<&Value>) -> Value {
        let Some(value) = first else { return Value::default() };
        let flags = value.taint;
        if let Some(bytes) = value.bytes().filter(|b| self.budget >= b.len()) {
            let bytes = bytes.to_vec();
            self.spend(bytes.len());
            return Value::constant(Constant::Bytes(bytes)).with_taint(flags);
        }
        match value.items() {
            Some(items) if self.spend(items.len()) => {
                let bytes =
                    items.iter().map(|v| v.int().and_then(|n| u8::try_from(n).ok()).unwrap_or_default()).collect();
                Value::constant(Constant::Bytes(bytes)).with_taint(flags | taint::DECODED)
            }
            _ => Value::tainted(flags | taint::DECODED),
        }
    }

    fn joined_path(&mut self, args: &Args) -> Value {
        let mut out = String::new();
        for part in &args.positional {
            let part = part.text().unwrap_or("_");
            if out.len() + part.len() > ARGUMENT_BYTES_MAX {
                break;
            }
            if !out.is_empty() && !out.ends_with('/') {
                out.push('/');
            }
            out.push_str(part);
        }
        let value = text_value(out).with_taint(args.taint() | taint::PARTIAL);
        self.marked_secret(value)
    }

    /// Decoders of constant text; their results are marked as decoded.
    fn decoded(&mut self, path: &str, args: &Args) -> Option<Value> {
        let codec = args.get(1).or_else(|| args.keyword("encoding")).and_then(exact_text).unwrap_or_default();
        let decoder = match path {
            "base64.b64decode"
            | "base64.standard_b64decode"
            | "base64.decodebytes"
            | "base64.decodestring"
            | "binascii.a2b_base64" => Decoder::Base64,
            "base64.urlsafe_b64decode" => Decoder::Base64Url,
            "base64.b16decode"
            | "binascii.unhexlify"
            | "binascii.a2b_hex"
            | "builtins.bytes.fromhex"
            | "builtins.bytearray.fromhex" => Decoder::Hex,
            "zlib.decompress" => Decoder::Zlib,
            "gzip.decompress" => Decoder::Gzip,
            "codecs.decode" => Decoder::named(codec)?,
            _ => return None,
        };
        let flags = args.taint() | taint::DECODED;
        let input = args.first().and_then(Value::bytes).filter(|b| b.len() <= self.budget)?.to_vec();
        self.spend(input.len());
        let max = CONSTANT_MAX.min(self.budget);
        let Some(output) = decoder.decode(&input, max) else { return Some(Value::tainted(flags)) };
        self.spend(output.len());
        let constant = match decoder {
            Decoder::Rot13 => Constant::Text(String::from_utf8_lossy(&output).into_owned()),
            _ => Constant::Bytes(output),
        };
        Some(Value::constant(constant).with_taint(flags))
    }

    /// Methods of constants: `''.join(…)`, `b'…'.decode()`.
    fn method_of_constant(&mut self, callee: &Value, args: &Args) -> Option<Value> {
        let flags = callee.taint | args.taint();
        if !self.spend(callee.weight()) {
            return Some(Value::tainted(flags));
        }
        let bytes = callee.bytes();
        let value = match callee.path_text() {
            ".join" => return Some(self.joined(callee, args).with_taint(flags)),
            ".decode" => match args.first().and_then(exact_text).and_then(Decoder::named) {
                Some(decoder) => {
                    let output = decoder.decode(bytes?, CONSTANT_MAX.min(self.budget))?;
                    self.spend(output.len());
                    text_value(String::from_utf8_lossy(&output).into_owned()).with_taint(taint::DECODED)
                }
                None => text_value(String::from_utf8_lossy(bytes?).into_owned()),
            },
            ".encode" => Value::constant(Constant::Bytes(bytes?.to_vec())),
            ".lower" => text_value(callee.text()?.to_lowercase()),
            ".upper" => text_value(callee.text()?.to_uppercase()),
            ".strip" | ".lstrip" | ".rstrip" => text_value(callee.text()?.trim().to_owned()),
            ".replace" => {
                let (from, to) = (args.first().and_then(exact_text)?, args.get(1).and_then(exact_text)?);
                let text = callee
                    .text()
                    .filter(|t| t.len().saturating_mul(to.len() + 1) <= CONSTANT_MAX && !from.is_empty())?;
                let replaced = text.replace(from, to);
                self.spend(replaced.len());
                text_value(replaced)
            }
            ".format" => text_value(callee.text()?.to_owned()).with_taint(taint::PARTIAL),
            ".split" => return Some(Value::tainted(flags)),
            _ => return None,
        };
        Some(value.with_taint(flags))
    }

    fn joined(&mut self, callee: &Value, args: &Args) -> Value {
        let partial = Value::tainted(taint::PARTIAL);
        let Some(items) = args.first().and_then(Value::items) else {
            // A joined generator of `chr(…)` keeps its mark.
            return args
                .first()
                .filter(|v| v.text().is_some())
                .map_or(partial, |v| Value::tainted(v.taint | taint::PARTIAL));
        };
        let separator = callee.bytes().unwrap_or_default();
        let mut out = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let Some(part) = item.bytes() else { return partial };
            if !self.spend(part.len() + separator.len()) || out.len() > CONSTANT_MAX {
                return partial;
            }
            if index > 0 {
                out.extend_from_slice(separator);
            }
            out.extend_from_slice(part);
        }
        text_value(String::from_utf8_lossy(&out).into_owned())
    }
}

fn text_value(text: String) -> Value {
    Value::constant(Constant::Text(text))
}

/// Constant text known in full.
fn exact_text(value: &Value) -> Option<&str> {
    value.text().filter(|_| value.taint & taint::PARTIAL == 0)
}

/// The first argument as text, or a list of arguments joined by blanks.
fn argument_text(args: &Args) -> Option<String> {
    let first = args.first()?;
    let text = match first.items() {
        Some(items) => items.iter().take(32).map(|v| v.text().unwrap_or("_")).collect::<Vec<_>>().join(" "),
        None => {
            first.bytes().map(|b| String::from_utf8_lossy(b.get(..ARGUMENT_BYTES_MAX).unwrap_or(b)).into_owned())?
        }
    };
    Some(text.chars().take(ARGUMENT_BYTES_MAX).collect())
}

/// Whether a call of `open` or its like asks for writing.
fn writes(path: &str, args: &Args) -> bool {
    if !matches!(path, "builtins.open" | "io.open" | "codecs.open" | "_io.open" | "os.fdopen") {
        return true;
    }
    let mode = args.get(1).or_else(|| args.keyword("mode")).and_then(Value::text).unwrap_or("r");
    mode.contains(['w', 'a', 'x', '+'])
}

/// Whether a name is looked up whose text was computed, not written.
fn hides_a_name(path: &str, args: &Args) -> bool {
    let hidden = |value: Option<&Value>| value.is_some_and(|v| v.taint & (taint::DECODED | taint::REMOTE) != 0);
    match path {
        "builtins.__import__" | "importlib.import_module" | "importlib.__import__" | "pkgutil.resolve_name" => {
            hidden(args.first())
        }
        "builtins.getattr" => hidden(args.get(1)),
        _ => false,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Decoder {
    Base64,
    Base64Url,
    Hex,
    Zlib,
    Gzip,
    Rot13,
}

impl Decoder {
    /// By the name of a codec of Python's that is no character set.
    fn named(codec: &str) -> Option<Self> {
        match codec.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
            "rot13" => Some(Self::Rot13),
            "hex" | "hexcodec" => Some(Self::Hex),
            "base64" | "base64codec" => Some(Self::Base64),
            "zlib" | "zip" | "zlibcodec" => Some(Self::Zlib),
            _ => None,
        }
    }

    fn decode(self, input: &[u8], max: usize) -> Option<Vec<u8>> {
        let compact = || input.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect::<Vec<_>>();
        match self {
            Self::Base64 => STANDARD.decode(compact()).ok(),
            Self::Base64Url => URL_SAFE.decode(compact()).ok(),
            Self::Hex => {
                let digits = compact();
                let nibble = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
                let pair = |p: &[u8]| Some(nibble(*p.first()?)? << 4 | nibble(*p.get(1)?)?);
                digits.chunks(2).map(pair).collect()
            }
            Self::Zlib => inflated(flate2::read::ZlibDecoder::new(input), max),
            Self::Gzip => inflated(flate2::read::GzDecoder::new(input), max),
            Self::Rot13 => Some(input.iter().map(|b| rot13(*b)).collect()),
        }
    }
}

fn inflated(reader: impl Read, max: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    reader.take(max as u64).read_to_end(&mut out).ok()?;
    Some(out)
}

fn rot13(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
        b'A'..=b'Z' => (byte - b'A' + 13) % 26 + b'A',
        other => other,
    }
}
