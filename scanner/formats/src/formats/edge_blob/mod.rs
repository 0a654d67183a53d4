//! Models compiled for edge and neural processors: opaque, told by their
//! signatures.

use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};

#[cfg(test)]
mod tests;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "openmodels-misc",
    name: "compiled edge model",
    extensions: &[
        "om",
        "dlc",
        "bmodel",
        "cambricon",
        "ms",
        "circle",
        "tosa",
        "kann",
        "espdl",
        "tnnmodel",
        "kmodel",
        "nnc",
    ],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[],
};

/// Toolchain, offset of the signature, signature, and whether it is long
/// enough to stand without a matching name.
const SIGNATURES: &[(&str, usize, &[u8], bool)] = &[
    ("Huawei offline model", 0, b"IMOD", false),
    ("Huawei offline model", 0, b"PICO", false),
    ("Qualcomm DLC", 0, b"NETD", false),
    ("Qualcomm DLC", 0, b"NETP", false),
    ("Sophgo BModel", 0, &[0xee, 0xaa, 0x55, 0xff], true),
    ("Cambricon", 0, &[0x7f, b'M', b'E', b'F'], true),
    ("MindSpore Lite", 4, b"MSL0", true),
    ("MindSpore Lite", 4, b"MSL1", true),
    ("MindSpore Lite", 4, b"MSL2", true),
    ("Circle", 4, b"CIR0", true),
    ("TOSA", 4, b"TOSA", true),
    ("KaNN", 4, b"KaNN", true),
    ("ESP-DL", 0, b"EDL2", false),
    ("TNN", 0, &[0x02, 0x00, 0xbc, 0xfa], true),
    ("TNN", 0, &[0x04, 0x00, 0xbc, 0xfa], true),
    ("kmodel", 0, b"LDMK", true),
    ("NNC", 0, &[0xc0, 0x0f, 0x00, 0x00, b'E', b'N', b'N', b'C'], true),
    ("NNC", 0, &[0xbc, 0x0f, 0x00, 0x00, b'E', b'N', b'N', b'C'], true),
];

fn signature(head: &[u8]) -> Option<(&'static str, bool)> {
    let at = |offset: &usize, magic: &[u8]| head.get(*offset..).is_some_and(|rest| rest.starts_with(magic));
    SIGNATURES.iter().find(|(_, offset, magic, _)| at(offset, magic)).map(|(name, _, _, long)| (*name, *long))
}

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    match signature(sniff.head) {
        Some((_, true)) if sniff.len > 64 => Confidence::Likely,
        Some(_) if sniff.name.has_extension(FORMAT.extensions) => Confidence::Plausible,
        _ => Confidence::No,
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    if let Some((name, _)) = signature(r.peek(16)?) {
        ctx.fact("producer", name);
    }
    Ok(())
}
