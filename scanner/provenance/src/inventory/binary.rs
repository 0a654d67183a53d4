//! Versions in executables, by their bytes. Nothing is run.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use memchr::memmem::{self, Finder};

/// Most bytes read of one executable.
const BINARY_BYTES_MAX: u64 = 512 << 20;
/// Bytes looked at together.
const WINDOW_BYTES: usize = 1 << 20;
/// Bytes seen again in the next window, so that no match is cut.
const OVERLAP_BYTES: usize = 4 << 10;
/// Largest symbol or string table read, bytes.
const TABLE_BYTES_MAX: u64 = 64 << 20;
/// Most sections of an ELF file.
const SECTIONS_MAX: u64 = 4096;
/// Longest version text, bytes.
const VERSION_BYTES_MAX: usize = 64;

/// Whether `file` begins as a program does: ELF, Mach-O, PE.
pub(super) fn is_program(file: &File) -> io::Result<bool> {
    let mut head = [0; 4];
    let n = file.read_at(&mut head, 0)?;
    let head = head.get(..n).unwrap_or_default();
    let magics: [&[u8]; 6] =
        [b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf"];
    Ok(magics.iter().any(|m| head.starts_with(m)))
}

/// What an executable says of the Go modules it was made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum GoProgram {
    /// None of those asked for.
    Other,
    /// One of them, with its version if it carries one.
    This(Option<String>),
}

/// Looks for a Go program made of one of `modules`. Its version is the linker
/// flag `-X <module>….Version=` that the build record repeats, else the main
/// module's; builds with `-trimpath` record no flags.
pub(super) fn go_program(file: &File, modules: &[&str]) -> io::Result<GoProgram> {
    let (mut is_it, mut from_module) = (false, None);
    for module in modules {
        let found = search(file, &Finder::new(module), |before, after| {
            is_it = true;
            // "mod\t<module>\t<version>\t<sum>\n"
            if let Some(version) = after.strip_prefix(b"\t").map(value).filter(|_| before.ends_with(b"mod\t"))
                && version != "(devel)"
                && !version.is_empty()
            {
                from_module = Some(version);
            }
            linked(after)
        })?;
        if found.is_some() {
            return Ok(GoProgram::This(found));
        }
    }
    Ok(if is_it { GoProgram::This(from_module) } else { GoProgram::Other })
}

/// The value of `….Version=` that follows a module's path.
fn linked(after: &[u8]) -> Option<String> {
    let equals = memchr::memchr(b'=', after.get(..after.len().min(160))?)?;
    let (path, rest) = after.split_at_checked(equals)?;
    let in_path = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/' | b'_' | b'-');
    if !path.iter().all(in_path) || !path.to_ascii_lowercase().ends_with(b".version") {
        return None;
    }
    Some(value(rest.strip_prefix(b"=")?)).filter(|v| !v.is_empty())
}

/// Text up to the first byte that no version holds.
fn value(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\"").or_else(|| bytes.strip_prefix(b"'")).unwrap_or(bytes);
    let in_version = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b'_' | b'(' | b')');
    bytes.iter().take_while(in_version).take(VERSION_BYTES_MAX).map(|b| char::from(*b)).collect()
}

/// The build of a llama.cpp program: the integer `LLAMA_BUILD_NUMBER` that its
/// symbol table names, else a text `b1234-0a1b2c3`.
pub(super) fn llama_build(file: &File) -> io::Result<Option<String>> {
    if let Some(number) = elf_integer(file, b"LLAMA_BUILD_NUMBER")?.filter(|n| *n > 0) {
        return Ok(Some(format!("b{number}")));
    }
    search(file, &Finder::new(b"\0b"), |_, after| {
        let end = memchr::memchr(0, after.get(..after.len().min(24))?)?;
        let (number, commit) = std::str::from_utf8(after.get(..end)?).ok()?.split_once('-')?;
        let digits = (3..=7).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        let commit = (7..=12).contains(&commit.len()) && commit.bytes().all(|b| b.is_ascii_hexdigit());
        (digits && commit).then(|| format!("b{number}"))
    })
}

/// The version that follows `marker`.
pub(super) fn after_marker(file: &File, marker: &str) -> io::Result<Option<String>> {
    search(file, &Finder::new(marker), |_, after| {
        let version = value(after);
        version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
    })
}

/// The first answer of `judge` over all places of `needle`; it is shown up to
/// [`OVERLAP_BYTES`] on each side.
fn search<T>(
    file: &File,
    needle: &Finder<'_>,
    mut judge: impl FnMut(&[u8], &[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    let mut window = vec![0; WINDOW_BYTES + 2 * OVERLAP_BYTES];
    let mut at = 0;
    while at < BINARY_BYTES_MAX {
        let n = fill(file, &mut window, at)?;
        let bytes = window.get(..n).unwrap_or_default();
        for place in needle.find_iter(bytes) {
            let end = place.saturating_add(needle.needle().len());
            let (Some(before), Some(after)) = (bytes.get(..place), bytes.get(end..)) else { continue };
            if let Some(answer) = judge(before, after) {
                return Ok(Some(answer));
            }
        }
        if n < window.len() {
            return Ok(None);
        }
        at = at.saturating_add(WINDOW_BYTES as u64);
    }
    Ok(None)
}

fn fill(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut n = 0;
    while let Some(rest) = buffer.get_mut(n..).filter(|r| !r.is_empty()) {
        match file.read_at(rest, at.saturating_add(n as u64)) {
            Ok(0) => break,
            Ok(read) => n = n.saturating_add(read),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}

/// A section of an ELF file, as far as symbols need it.
#[derive(Clone, Copy)]
struct Section {
    kind: u32,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
}

/// The 32-bit integer that a symbol of a 64-bit little-endian ELF file stands
/// for. What is no such file, or has no such symbol, has none.
fn elf_integer(file: &File, name: &[u8]) -> io::Result<Option<u32>> {
    let head = exactly(file, 0, 64)?;
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return Ok(None);
    }
    let sections = sections(file, &head)?;
    // SHT_SYMTAB, SHT_DYNSYM
    for symbols in sections.iter().filter(|s| matches!(s.kind, 2 | 11)) {
        let Some(texts) = usize::try_from(symbols.link).ok().and_then(|i| sections.get(i)) else { continue };
        let names = table(file, texts)?;
        let wanted = [b"\0", name, b"\0"].concat();
        let Some(at) = memmem::find(&names, &wanted) else { continue };
        let entries = table(file, symbols)?;
        for entry in entries.chunks_exact(24) {
            let (Some(text), Some(index), Some(value)) = (u32_at(entry, 0), u16_at(entry, 6), u64_at(entry, 8)) else {
                continue;
            };
            let named = usize::try_from(text).is_ok_and(|text| text == at.saturating_add(1));
            let home = sections.get(usize::from(index)).filter(|_| index > 0 && named);
            // SHT_NOBITS holds nothing in the file.
            if let Some(home) = home.filter(|h| h.kind != 8)
                && let Some(inside) = value.checked_sub(home.address).filter(|i| *i < home.size)
            {
                return Ok(u32_at(&exactly(file, home.offset.saturating_add(inside), 4)?, 0));
            }
        }
    }
    Ok(None)
}

fn sections(file: &File, head: &[u8]) -> io::Result<Vec<Section>> {
    let (Some(offset), Some(size), Some(count)) = (u64_at(head, 0x28), u16_at(head, 0x3a), u16_at(head, 0x3c)) else {
        return Ok(Vec::new());
    };
    if size != 64 || u64::from(count) > SECTIONS_MAX {
        return Ok(Vec::new());
    }
    let headers = exactly(file, offset, u64::from(count) * 64)?;
    let section = |h: &[u8]| {
        Some(Section {
            kind: u32_at(h, 4)?,
            address: u64_at(h, 16)?,
            offset: u64_at(h, 24)?,
            size: u64_at(h, 32)?,
            link: u32_at(h, 40)?,
        })
    };
    Ok(headers.chunks_exact(64).filter_map(section).collect())
}

fn table(file: &File, section: &Section) -> io::Result<Vec<u8>> {
    exactly(file, section.offset, section.size.min(TABLE_BYTES_MAX))
}

/// Up to `len` bytes at `offset`; no more memory than the file has bytes.
fn exactly(file: &File, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    let left = file.metadata()?.len().saturating_sub(offset);
    let mut out = vec![0; usize::try_from(len.min(left).min(TABLE_BYTES_MAX)).unwrap_or(0)];
    let n = fill(file, &mut out, offset)?;
    out.truncate(n);
    Ok(out)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    const OLLAMA: &[&str] = &["github.com/ollama/ollama"];

    #[test]
    fn the_linker_flag_wins_over_the_module() {
        let record = b"path\tgithub.com/ollama/ollama\nmod\tgithub.com/ollama/ollama\tv0.5.13-0.2025\th1:x=\nbuild\t-ldflags=\"-w -s \\\"-X=github.com/ollama/ollama/version.Version=0.5.12\\\"\"\n";
        assert_eq!(go_program(&file(record), OLLAMA).unwrap(), GoProgram::This(Some("0.5.12".to_owned())));
        let module = b"mod\tgithub.com/ollama/ollama\tv0.9.1\th1:x=\n";
        assert_eq!(go_program(&file(module), OLLAMA).unwrap(), GoProgram::This(Some("v0.9.1".to_owned())));
        for none in [b"mod\tgithub.com/ollama/ollama\t(devel)\t\n".as_slice(), b"github.com/ollama/ollama/api.Client"] {
            assert_eq!(go_program(&file(none), OLLAMA).unwrap(), GoProgram::This(None));
        }
        assert_eq!(go_program(&file(b"something else"), OLLAMA).unwrap(), GoProgram::Other);
    }

    #[test]
    fn a_version_across_two_windows_is_found() {
        let text = b"-X github.com/ollama/ollama/version.Version=0.1.33'";
        for shift in [0, 10, 30, text.len()] {
            let mut f = file(b"");
            f.seek(SeekFrom::Start((WINDOW_BYTES + OVERLAP_BYTES * 2 - shift) as u64)).unwrap();
            f.write_all(text).unwrap();
            assert_eq!(go_program(&f, OLLAMA).unwrap(), GoProgram::This(Some("0.1.33".to_owned())), "{shift}");
        }
    }

    /// An ELF file with a symbol for an integer in its only data section.
    fn elf(number: u32, name: &str) -> Vec<u8> {
        let names = format!("\0x\0{name}\0");
        let mut out = b"\x7fELF\x02\x01\x01".to_vec();
        out.resize(64, 0);
        let data = out.len() as u64;
        out.extend(number.to_le_bytes());
        let texts = out.len() as u64;
        out.extend(names.as_bytes());
        let symbols = out.len() as u64;
        out.extend([0; 24]);
        out.extend(3u32.to_le_bytes());
        out.extend([0x11, 0, 1, 0]);
        out.extend(0x4000u64.to_le_bytes());
        out.extend(4u64.to_le_bytes());
        let table = out.len() as u64;
        let sections: [(u32, u64, u64, u64, u32); 4] =
            [(0, 0, 0, 0, 0), (1, 0x4000, data, 4, 0), (3, 0, texts, names.len() as u64, 0), (2, 0, symbols, 48, 2)];
        for (kind, address, offset, size, link) in sections {
            let mut h = [0u8; 64];
            h[4..8].copy_from_slice(&kind.to_le_bytes());
            h[16..24].copy_from_slice(&address.to_le_bytes());
            h[24..32].copy_from_slice(&offset.to_le_bytes());
            h[32..40].copy_from_slice(&size.to_le_bytes());
            h[40..44].copy_from_slice(&link.to_le_bytes());
            out.extend(h);
        }
        out[0x28..0x30].copy_from_slice(&table.to_le_bytes());
        out[0x3a..0x3c].copy_from_slice(&64u16.to_le_bytes());
        out[0x3c..0x3e].copy_from_slice(&4u16.to_le_bytes());
        out
    }

    #[test]
    fn the_build_number_is_read_by_its_symbol() {
        assert_eq!(llama_build(&file(&elf(5721, "LLAMA_BUILD_NUMBER"))).unwrap().as_deref(), Some("b5721"));
        assert_eq!(llama_build(&file(&elf(5721, "OTHER"))).unwrap(), None);
        assert_eq!(llama_build(&file(&elf(0, "LLAMA_BUILD_NUMBER"))).unwrap(), None);
        assert_eq!(llama_build(&file(b"\x7fELF x\0b6652-0a1b2c3\0")).unwrap().as_deref(), Some("b6652"));
        assert_eq!(llama_build(&file(b"\x7fELF x\0b6652-nothexa\0\0b12-0a1b2c3\0")).unwrap(), None);
    }

    #[test]
    fn a_damaged_program_has_no_version_and_does_no_harm() {
        let whole = elf(5721, "LLAMA_BUILD_NUMBER");
        for end in 0..whole.len() {
            llama_build(&file(&whole[..end])).unwrap();
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] = 0xff;
            llama_build(&file(&flipped)).unwrap();
        }
    }
}
