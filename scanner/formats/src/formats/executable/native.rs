use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use crate::formats::executable::{REPORTED, report};

macro_rules! native {
    ($(#[doc = $doc:literal] $static:ident $id:literal $name:literal $extensions:expr, $recognise:ident;)*) => {$(
        #[doc = $doc]
        pub static $static: FormatSpec = FormatSpec {
            id: $id,
            name: $name,
            extensions: $extensions,
            runs_code: true,
            is_model: false,
            scope: Scope::BesideModel,
            recognise: Recognise::Bytes($recognise),
            inspect: |ctx: &mut Inspection<'_>, _: &Input| -> Result<(), FormatError> {
                report(ctx, $name);
                Ok(())
            },
            rules: REPORTED,
        };
    )*};
}

native! {
    /// System V ABI, "ELF Header".
    ELF "elf" "ELF program or library" &["so", "elf"], elf;
    /// Microsoft PE Format.
    PE "pe" "Windows program or library" &["exe", "dll", "sys", "scr", "pyd"], pe;
    /// Mach-O, `mach-o/loader.h` and `mach-o/fat.h`.
    MACH_O "mach-o" "macOS program or library" &["dylib"], mach_o;
    /// MS-SHLLINK 2.1.
    SHORTCUT "windows-shortcut" "Windows shortcut" &["lnk"], shortcut;
}

fn elf(sniff: &Sniff<'_>) -> Confidence {
    // Class 32 or 64 bits, either byte order, version 1.
    match *sniff.head {
        [0x7f, b'E', b'L', b'F', 1 | 2, 1 | 2, 1, ..] => Confidence::Likely,
        _ => Confidence::No,
    }
}

fn pe(sniff: &Sniff<'_>) -> Confidence {
    if !sniff.starts_with(b"MZ") {
        return Confidence::No;
    }
    let header = sniff.u32_le(0x3c).and_then(|at| usize::try_from(at).ok()).unwrap_or(usize::MAX);
    if sniff.has_at(header, b"PE\0\0") {
        Confidence::Likely
    } else if sniff.name.has_extension(&["exe", "dll", "com", "scr", "sys", "pyd"]) {
        Confidence::Plausible
    } else {
        Confidence::No
    }
}

fn mach_o(sniff: &Sniff<'_>) -> Confidence {
    let thin = |cpu: Option<u32>| cpu.is_some_and(|c| matches!(c & 0x00ff_ffff, 7 | 12 | 18));
    let fits = match *sniff.head {
        [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] => thin(sniff.u32_le(4)),
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] => thin(sniff.u32_le(4).map(u32::swap_bytes)),
        // As many architectures as Java class files have no version for.
        [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, count, ..] => {
            (1..20).contains(&count) && thin(sniff.u32_le(8).map(u32::swap_bytes))
        }
        _ => false,
    };
    if fits { Confidence::Likely } else { Confidence::No }
}

fn shortcut(sniff: &Sniff<'_>) -> Confidence {
    // Header size, then the class identifier 00021401-0000-0000-C000-000000000046.
    const HEADER: &[u8] = b"\x4c\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0\x46";
    if sniff.starts_with(HEADER) { Confidence::Likely } else { Confidence::No }
}
