//! Lines `INSTRUCTION arguments`, where arguments may span lines between `"""`.

/// Most instructions read.
const INSTRUCTIONS_MAX: usize = 10_000;

/// One instruction, its name in upper case.
pub(super) struct Instruction {
    pub name: String,
    pub value: String,
}

/// The instructions of a Modelfile, in order.
pub(super) fn instructions(text: &str) -> Vec<Instruction> {
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() && out.len() < INSTRUCTIONS_MAX {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let value = value.trim();
        let Some(start) = value.find("\"\"\"") else {
            out.push(Instruction { name: name.to_ascii_uppercase(), value: value.trim_matches('"').to_owned() });
            continue;
        };
        let opened = value.get(start + 3..).unwrap_or_default();
        let value = match opened.split_once("\"\"\"") {
            Some((inside, _)) => inside.to_owned(),
            None => {
                let (inside, after) = rest.split_once("\"\"\"").unwrap_or((rest, ""));
                rest = after.split_once('\n').map_or("", |(_, next)| next);
                format!("{opened}\n{inside}")
            }
        };
        out.push(Instruction { name: name.to_ascii_uppercase(), value });
    }
    out
}
