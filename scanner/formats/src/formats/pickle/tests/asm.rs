//! A pickle assembler: pieces of opcodes to be joined.

/// Opcodes one after another.
pub fn seq(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A stream of protocol 4: PROTO, `parts`, STOP.
pub fn p4(parts: &[&[u8]]) -> Vec<u8> {
    seq(&[b"\x80\x04", &seq(parts), b"."])
}

/// A stream of protocol 2.
pub fn p2(parts: &[&[u8]]) -> Vec<u8> {
    seq(&[b"\x80\x02", &seq(parts), b"."])
}

/// SHORT_BINUNICODE.
pub fn text(text: &str) -> Vec<u8> {
    let mut out = vec![0x8c, u8::try_from(text.len()).unwrap()];
    out.extend(text.as_bytes());
    out
}

/// BINBYTES.
pub fn bytes(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![b'B'];
    out.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    out.extend(bytes);
    out
}

/// BININT.
pub fn int(n: i32) -> Vec<u8> {
    let mut out = vec![b'J'];
    out.extend(n.to_le_bytes());
    out
}

/// Two strings and STACK_GLOBAL.
pub fn global(module: &str, name: &str) -> Vec<u8> {
    seq(&[&text(module), &text(name), b"\x93"])
}

/// GLOBAL.
pub fn global_line(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

/// MARK, items, TUPLE.
pub fn tuple(items: &[&[u8]]) -> Vec<u8> {
    seq(&[b"(", &seq(items), b"t"])
}

/// EMPTY_LIST, MARK, items, APPENDS.
pub fn list(items: &[&[u8]]) -> Vec<u8> {
    seq(&[b"](", &seq(items), b"e"])
}

/// EMPTY_DICT, MARK, keys and values, SETITEMS.
pub fn dict(items: &[&[u8]]) -> Vec<u8> {
    seq(&[b"}(", &seq(items), b"u"])
}

/// `callee(*args)` by REDUCE.
pub fn call(callee: &[u8], args: &[&[u8]]) -> Vec<u8> {
    seq(&[callee, &tuple(args), b"R"])
}

/// `target` with `state` applied by BUILD.
pub fn build(target: &[u8], state: &[u8]) -> Vec<u8> {
    seq(&[target, state, b"b"])
}

/// An empty instance of `module.name` by NEWOBJ.
pub fn instance(module: &str, name: &str) -> Vec<u8> {
    seq(&[&global(module, name), b")\x81"])
}

/// `posix.system("echo")`
pub fn evil() -> Vec<u8> {
    call(&global("posix", "system"), &[&text("echo")])
}
