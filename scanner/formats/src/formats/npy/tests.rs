use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let mut out = b"\x93NUMPY".to_vec();
    out.extend([version, 0]);
    if version == 1 {
        out.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    } else {
        out.extend(u32::try_from(header.len()).unwrap().to_le_bytes());
    }
    out.extend(header.as_bytes());
    out.extend(data);
    out
}

fn header(descr: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n")
}

#[track_caller]
fn verdict_of(bytes: &[u8]) -> Verdict {
    let outcome = inspect_bytes("a.npy", bytes);
    assert_eq!(outcome.format, Some("npy"));
    verdict(&outcome)
}

#[test]
fn plain_arrays_are_clean_and_described() {
    let outcome = inspect_bytes("a.npy", &npy(1, &header("'<f4'", "(2, 3)"), &[0; 24]));
    assert_eq!(verdict(&outcome), Verdict::Clean);
    assert_eq!(outcome.metadata["parameters"], 6);
    assert_eq!(outcome.metadata["dtypes"]["<f4"], 1);
    assert!(!outcome.opaque.is_empty());
    for (descr, bytes) in [("'|b1'", 1), ("'<U5'", 20), ("'<c16'", 16), ("'<M8[D]'", 8), ("'|S3'", 3), ("'|V7'", 7)] {
        assert_eq!(verdict_of(&npy(2, &header(descr, "(1,)"), &vec![0; bytes])), Verdict::Clean, "{descr}");
    }
    assert_eq!(verdict_of(&npy(1, &header("'<f8'", "()"), &[0; 8])), Verdict::Clean);
    assert_eq!(
        verdict_of(&npy(1, &header("[('id', '<i4'), ('box', '<f4', (4,)), ('in', [('x', '|u1')])]", "(2,)"), &[0; 42])),
        Verdict::Clean
    );
    assert_eq!(verdict_of(&npy(3, &header("[('größe', '<f4')]", "(1,)"), &[0; 4])), Verdict::Clean);
    assert_eq!(verdict_of(&npy(1, &header("'<f4'", "(3L,)"), &[0; 12])), Verdict::Clean);
}

#[test]
fn object_arrays_are_pickles() {
    let data = b"\x80\x02cposix\nsystem\nX\x04\0\0\0echo\x85R.";
    for descr in ["'|O'", "'O'", "[('id', '<i4'), ('hook', '|O')]"] {
        let outcome = inspect_bytes("a.npy", &npy(1, &header(descr, "(1,)"), data));
        assert_eq!(verdict(&outcome), Verdict::Malicious);
        assert!(outcome.findings.iter().any(|f| f.detail.contains("posix.system(\"echo\")")));
    }
    assert_eq!(verdict_of(&npy(1, &header("'|O'", "(1,)"), b"\x80\x02].")), Verdict::Clean);
}

#[test]
fn sizes_are_held_against_the_file() {
    for (shape, data) in [("(4,)", 15), ("(9223372036854775807, 8)", 8), ("(-1,)", 8), ("(99999999999999999999,)", 8)] {
        assert_eq!(verdict_of(&npy(1, &header("'<f4'", shape), &vec![0; data])), Verdict::Unknown, "{shape}");
    }
    let outcome = inspect_bytes("a.npy", &npy(1, &header("'<f4'", "(1,)"), &[0; 9]));
    assert_eq!(rules(&outcome), ["npy-trailing-data"]);
}

#[test]
fn a_pickle_behind_the_array_is_inspected() {
    let mut data = vec![0; 4];
    data.extend(b"\x80\x02cposix\nsystem\nX\x04\0\0\0echo\x85R.");
    assert_eq!(verdict_of(&npy(1, &header("'<f4'", "(1,)"), &data)), Verdict::Malicious);
}

#[test]
fn several_arrays_in_one_file_are_clean() {
    let one = npy(1, &header("'<f4'", "(1,)"), &[0; 4]);
    assert_eq!(verdict_of(&one.repeat(3)), Verdict::Clean);
}

#[test]
fn headers_are_literals_only() {
    let expression = "{'descr': __import__('os').system('x'), 'fortran_order': False, 'shape': (1,), }\n";
    assert_eq!(verdict_of(&npy(1, expression, &[0; 8])), Verdict::Suspicious);
    let deep = format!("{{'descr': {}{}, 'fortran_order': False, 'shape': (1,)}}", "(".repeat(5000), ")".repeat(5000));
    for text in
        ["{'descr': '<f4'}\n", "[1, 2]\n", "", "{", "{'descr': '<q9', 'fortran_order': False, 'shape': (1,)}", &deep]
    {
        assert_eq!(verdict_of(&npy(1, text, &[0; 8])), Verdict::Unknown, "{text}");
    }
    assert_eq!(verdict_of(b"\x93NUMPY\x09\x00\x10\x00                "), Verdict::Unknown);
    assert_eq!(verdict_of(b"\x93NUMPY"), Verdict::Unknown);
}

#[test]
fn damaged_samples_end_well() {
    survives_damage("a.npy", &npy(1, &header("[('id', '<i4'), ('hook', '|O', (2, 2))]", "(1, 2)"), b"\x80\x02]."));
}

#[test]
fn floods_of_nan_are_noted_under_deep() {
    use crate::core::{Input, NoContent, Options, inspect};
    let bytes = npy(1, &header("'<f4'", "(32,)"), &f32::NAN.to_le_bytes().repeat(32));
    let len = bytes.len() as u64;
    let options = Options { deep: true, ..Options::default() };
    let outcome = inspect(&Input::file(bytes, len), "a.npy", &options, &NoContent);
    assert_eq!(rules(&outcome), ["npy-non-finite"]);
}
