//! Files to measure with: valid models of the sizes that people have, filled
//! with bytes that look like weights.

use std::fs::{self, File};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use crate::run::Result;

const GB: u64 = 1_000_000_000;

/// Makes what is not there yet below `folder`.
pub fn make(folder: &Path) -> Result {
    let mixed = folder.join("mixed");
    fs::create_dir_all(mixed.join("pickles")).map_err(|e| format!("cannot make `{}`: {e}", mixed.display()))?;
    file(&mixed.join("model.safetensors"), |out| safetensors(out, 2 * GB))?;
    file(&mixed.join("model.gguf"), |out| gguf(out, 2 * GB))?;
    file(&mixed.join("model.pt"), |out| torch_zip(out, GB / 2))?;
    file(&mixed.join("model.onnx"), |out| onnx(out, GB / 5))?;
    for i in 0..200 {
        file(&mixed.join(format!("pickles/{i:03}.pkl")), |out| pickle(out, i))?;
    }
    small_files(&folder.join("small"))
}

fn file(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) -> Result {
    if path.exists() {
        return Ok(());
    }
    let part = path.with_extension("part");
    File::create(&part)
        .and_then(|f| {
            let mut out = BufWriter::with_capacity(1 << 20, f);
            write(&mut out)?;
            out.flush()?;
            fs::rename(&part, path)
        })
        .map_err(|e| format!("cannot make `{}`: {e}", path.display()))
}

/// `n` bytes that look like small floating-point weights.
fn weights(out: &mut impl Write, n: u64) -> std::io::Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let block: Vec<u8> = (0..1u32 << 18)
        .flat_map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            [(state >> 40) as u8, (state >> 48) as u8, 0x3c ^ ((state >> 56) as u8 & 3), 0xbd]
        })
        .collect();
    let mut left = n;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        out.write_all(block.get(..part).unwrap_or_default())?;
        left -= part as u64;
    }
    Ok(())
}

fn safetensors(out: &mut impl Write, bytes: u64) -> std::io::Result<()> {
    let each = bytes / 200 / 4096 * 4096;
    let entries: Vec<String> = (0..200)
        .map(|i| {
            let start = i * each;
            format!(
                r#""model.layers.{i}.weight":{{"dtype":"F32","shape":[{},1024],"data_offsets":[{start},{}]}}"#,
                each / 4096,
                start + each
            )
        })
        .collect();
    let mut header = format!("{{{}}}", entries.join(","));
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    weights(out, each * 200)
}

fn gguf(out: &mut (impl Write + Seek), bytes: u64) -> std::io::Result<()> {
    let text = |out: &mut dyn Write, s: &str| -> std::io::Result<()> {
        out.write_all(&(s.len() as u64).to_le_bytes())?;
        out.write_all(s.as_bytes())
    };
    out.write_all(b"GGUF\x03\0\0\0")?;
    out.write_all(&200u64.to_le_bytes())?;
    out.write_all(&2u64.to_le_bytes())?;
    text(out, "general.architecture")?;
    out.write_all(&8u32.to_le_bytes())?;
    text(out, "llama")?;
    // A vocabulary of ordinary size.
    text(out, "tokenizer.ggml.tokens")?;
    out.write_all(&9u32.to_le_bytes())?;
    out.write_all(&8u32.to_le_bytes())?;
    out.write_all(&128_000u64.to_le_bytes())?;
    for i in 0..128_000 {
        text(out, &format!("token{i}"))?;
    }
    let each = bytes / 200 / 4096 * 4096;
    for i in 0..200u64 {
        text(out, &format!("blk.{i}.ffn_up.weight"))?;
        out.write_all(&2u32.to_le_bytes())?;
        out.write_all(&1024u64.to_le_bytes())?;
        out.write_all(&(each / 4096).to_le_bytes())?;
        out.write_all(&0u32.to_le_bytes())?;
        out.write_all(&(i * each).to_le_bytes())?;
    }
    let at = out.stream_position()?;
    out.seek(SeekFrom::Start(at.next_multiple_of(32)))?;
    weights(out, each * 200)
}

/// A stored ZIP with `archive/data.pkl` and one storage, as `torch.save` makes.
fn torch_zip(out: &mut (impl Write + Seek), bytes: u64) -> std::io::Result<()> {
    let numel = bytes / 4;
    let pkl = torch_pickle(numel);
    let mut central = Vec::new();
    let mut members = 0u16;
    let mut member = |out: &mut dyn WriteSeek,
                      name: &str,
                      len: u64,
                      body: &dyn Fn(&mut dyn Write) -> std::io::Result<()>|
     -> std::io::Result<()> {
        let start = out.stream_position()?;
        let mut crc = Crc(0xffff_ffff);
        body(&mut crc)?;
        let crc = !crc.0;
        let fields = |out: &mut dyn Write| -> std::io::Result<()> {
            out.write_all(&[0; 8])?; // flags, method, time, date
            out.write_all(&crc.to_le_bytes())?;
            out.write_all(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes())?;
            out.write_all(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes())?;
            out.write_all(&u16::try_from(name.len()).unwrap_or(0).to_le_bytes())
        };
        out.write_all(b"PK\x03\x04\x14\0")?;
        fields(&mut &mut *out)?;
        out.write_all(&[0; 2])?;
        out.write_all(name.as_bytes())?;
        body(&mut &mut *out)?;
        central.extend_from_slice(b"PK\x01\x02\x14\0\x14\0");
        fields(&mut central)?;
        central.extend_from_slice(&[0; 12]);
        central.extend_from_slice(&u32::try_from(start).unwrap_or(u32::MAX).to_le_bytes());
        central.extend_from_slice(name.as_bytes());
        members += 1;
        Ok(())
    };
    member(out, "archive/data.pkl", pkl.len() as u64, &|w| w.write_all(&pkl))?;
    member(out, "archive/data/0", numel * 4, &|mut w| weights(&mut w, numel * 4))?;
    member(out, "archive/version", 2, &|w| w.write_all(b"3\n"))?;
    let start = out.stream_position()?;
    out.write_all(&central)?;
    out.write_all(b"PK\x05\x06\0\0\0\0")?;
    out.write_all(&members.to_le_bytes())?;
    out.write_all(&members.to_le_bytes())?;
    out.write_all(&u32::try_from(central.len()).unwrap_or(0).to_le_bytes())?;
    out.write_all(&u32::try_from(start).unwrap_or(0).to_le_bytes())?;
    out.write_all(&[0; 2])
}

trait WriteSeek: Write + Seek {}
impl<T: Write + Seek> WriteSeek for T {}

/// CRC-32 (IEEE 802.3), a nibble at a time: only run when the file is made.
struct Crc(u32);

impl Write for Crc {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        const TABLE: [u32; 16] = [
            0,
            0x1db7_1064,
            0x3b6e_20c8,
            0x26d9_30ac,
            0x76dc_4190,
            0x6b6b_51f4,
            0x4db2_6158,
            0x5005_713c,
            0xedb8_8320,
            0xf00f_9344,
            0xd6d6_a3e8,
            0xcb61_b38c,
            0x9b64_c2b0,
            0x86d3_d2d4,
            0xa00a_e278,
            0xbdbd_f21c,
        ];
        for byte in data {
            self.0 ^= u32::from(*byte);
            for _ in 0..2 {
                self.0 = (self.0 >> 4) ^ TABLE.get((self.0 & 15) as usize).copied().unwrap_or(0);
            }
        }
        Ok(data.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// `OrderedDict(weight=rebuild_tensor_v2(storage, 0, (n,), (1,), False, OrderedDict()))`.
fn torch_pickle(numel: u64) -> Vec<u8> {
    let text = |s: &str| [&b"X"[..], &u32::try_from(s.len()).unwrap_or(0).to_le_bytes(), s.as_bytes()].concat();
    let long = |n: u64| [&b"\x8a\x08"[..], &n.to_le_bytes()].concat();
    let mut out = b"\x80\x02ccollections\nOrderedDict\n)R".to_vec();
    out.extend(text("weight"));
    out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    out.extend(text("storage"));
    out.extend(b"ctorch\nFloatStorage\n");
    out.extend(text("0"));
    out.extend(text("cpu"));
    out.extend(long(numel));
    out.extend(b"tQK\0");
    out.extend(long(numel));
    out.extend(b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtRs.");
    out
}

fn onnx(out: &mut impl Write, bytes: u64) -> std::io::Result<()> {
    let varint = |mut n: u64| {
        let mut v = Vec::new();
        while n >= 0x80 {
            v.push((n as u8 & 0x7f) | 0x80);
            n >>= 7;
        }
        v.push(n as u8);
        v
    };
    let field = |number: u64, body: &[u8]| [varint(number << 3 | 2), varint(body.len() as u64), body.to_vec()].concat();
    let number = |n: u64, value: u64| [varint(n << 3), varint(value)].concat();
    let dims = bytes / 4;
    // TensorProto: dims, data_type, name, raw_data (its bytes follow).
    let tensor = [number(1, dims), number(2, 1), field(8, b"w"), varint(9 << 3 | 2), varint(dims * 4)].concat();
    let node = field(1, &[field(1, b"x"), field(1, b"w"), field(2, b"y"), field(4, b"Add")].concat());
    let name = field(2, b"g");
    let tensor_len = tensor.len() as u64 + dims * 4;
    let initializer = [varint(5 << 3 | 2), varint(tensor_len)].concat();
    let graph_len = (node.len() + name.len() + initializer.len()) as u64 + tensor_len;
    out.write_all(
        &[number(1, 8), field(2, b"bench"), field(8, &number(2, 17)), varint(7 << 3 | 2), varint(graph_len)].concat(),
    )?;
    out.write_all(&[node, name, initializer, tensor].concat())?;
    weights(out, dims * 4)
}

/// A small dictionary of numbers and texts, protocol 4.
fn pickle(out: &mut impl Write, seed: u32) -> std::io::Result<()> {
    let mut body = b"}(".to_vec();
    for i in 0..200u32 {
        let key = format!("feature_{seed}_{i}");
        body.push(0x8c);
        body.push(key.len() as u8);
        body.extend(key.as_bytes());
        body.push(b'G');
        body.extend((f64::from(i) / 7.0).to_be_bytes());
    }
    body.extend(b"u.");
    out.write_all(b"\x80\x04\x95")?;
    out.write_all(&(body.len() as u64).to_le_bytes())?;
    out.write_all(&body)
}

/// 200,000 small files of a source tree, few of them models.
fn small_files(folder: &Path) -> Result {
    if folder.join("done").exists() {
        return Ok(());
    }
    for d in 0..2000u32 {
        let dir = folder.join(format!("{:02}/{d:04}", d % 50));
        fs::create_dir_all(&dir).map_err(|e| format!("cannot make `{}`: {e}", dir.display()))?;
        for f in 0..100u32 {
            let (name, content) = match f % 5 {
                0 => (format!("{f}.py"), format!("import sys\n\ndef f{f}(x):\n    return x + {d}\n").repeat(20)),
                1 => (format!("{f}.txt"), format!("plain text {d} {f}\n").repeat(30)),
                2 => (format!("{f}.html"), "<!doctype html><p>hello</p>\n".repeat(25)),
                3 => (format!("{f}.rs"), format!("fn f{f}() -> u32 {{ {d} }}\n").repeat(20)),
                _ => (format!("{f}.c"), format!("int f{f}(void) {{ return {d}; }}\n").repeat(20)),
            };
            fs::write(dir.join(name), content).map_err(|e| e.to_string())?;
        }
    }
    fs::write(folder.join("done"), "").map_err(|e| e.to_string())
}
