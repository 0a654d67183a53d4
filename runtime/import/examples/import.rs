//! Imports a model by hand: `import SOURCE TARGET [int4|int8|f16] [long]`,
//! where SOURCE is a `.gguf` file or a folder.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use weighbridge_import::{Input, Options, Quantisation, ReadAt, Sink, Source, import};

struct OpenFile(File);

impl ReadAt for OpenFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }
}

struct Folder {
    path: PathBuf,
    files: HashMap<&'static str, File>,
}

impl Sink for Folder {
    fn append(&mut self, file: &'static str, bytes: &[u8]) -> io::Result<()> {
        if !self.files.contains_key(file) {
            self.files.insert(file, File::create(self.path.join(file))?);
        }
        self.files.get_mut(file).map_or(Ok(()), |f| f.write_all(bytes))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, rest @ ..] = arguments.as_slice() else {
        return Err("usage: import SOURCE TARGET [int4|int8|f16] [long]".into());
    };
    let mut options = Options::default();
    for word in rest {
        match word.as_str() {
            "int4" => options.quantisation = Some(Quantisation::Int4),
            "int8" => options.quantisation = Some(Quantisation::Int8),
            "f16" => options.quantisation = Some(Quantisation::F16),
            "long" => options.long_context = true,
            other => return Err(format!("`{other}` is none of int4, int8, f16 and long").into()),
        }
    }
    let mut source = Source::new();
    let from = Path::new(from);
    let paths: Vec<PathBuf> = if from.is_dir() {
        std::fs::read_dir(from)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?
    } else {
        vec![from.to_owned()]
    };
    for path in paths.into_iter().filter(|p| p.is_file()) {
        let file = File::open(&path)?;
        let len = file.metadata()?.len();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        source = source.with(name, Input::file(OpenFile(file), len));
    }
    std::fs::create_dir_all(to)?;
    let mut sink = Folder { path: to.into(), files: HashMap::new() };
    let start = Instant::now();
    let manifest = import(&source, &mut sink, &options)?;
    let bytes: u64 = manifest.files.iter().map(|f| f.size_bytes).sum();
    println!("{}", serde_json::to_string_pretty(&manifest)?);
    eprintln!("{} MB in {:.2} s", bytes / 1_000_000, start.elapsed().as_secs_f64());
    Ok(())
}
