use super::catalogue;
use super::tests::{Kv, file, tensor};
use crate::core::Input;

fn numbers(key: &str, kind: u32, count: u64, items: &[u8]) -> Kv {
    let mut value = kind.to_le_bytes().to_vec();
    value.extend(count.to_le_bytes());
    value.extend(items);
    Kv::raw(key, 9, value)
}

fn texts(key: &str, items: &[&[u8]]) -> Kv {
    let bytes: Vec<u8> =
        items.iter().flat_map(|t| (t.len() as u64).to_le_bytes().into_iter().chain(t.iter().copied())).collect();
    numbers(key, 8, items.len() as u64, &bytes)
}

fn sample() -> Vec<u8> {
    let words: Vec<String> = (0..40).map(|n| format!("w{n}")).collect();
    let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    let pairs = [
        Kv::text("general.architecture", "llama"),
        texts("words", &words),
        texts("tokenizer.ggml.bytes", &[b"\xff"]),
        numbers("floats", 6, 2, &[1.5f32.to_le_bytes(), (-2f32).to_le_bytes()].concat()),
        numbers("small", 1, 2, &[0xff, 1]),
        Kv::text("tokenizer.chat_template", "{{ messages }}"),
    ];
    file(&pairs, &[tensor("a", &[8, 2], 0, 0), tensor("b", &[32], 2, 64)])
}

#[test]
fn everything_is_found_where_it_is() {
    let bytes = sample();
    let c = catalogue::read(&Input::bytes(bytes.clone())).unwrap();
    assert_eq!(c.text("general.architecture"), Some("llama"));
    assert_eq!(c.template("tokenizer.chat_template"), Some("{{ messages }}"));
    let words = c.texts("words", 40, 1000).unwrap().unwrap();
    assert_eq!((words.len(), words[39].as_str()), (40, "w39"));
    assert_eq!(c.numbers("floats", 2).unwrap().unwrap(), [1.5, -2.0]);
    assert_eq!(c.numbers("small", 2).unwrap().unwrap(), [-1.0, 1.0]);
    assert_eq!((c.count("words"), c.count("absent")), (Some(40), None));
    assert!(c.texts("absent", 1, 1).unwrap().is_none());
    let [a, b] = c.tensors.as_slice() else { panic!("two tensors") };
    assert_eq!((a.name.as_str(), a.kind, a.row, a.elements, a.size), ("a", "F32", 8, 16, 64));
    assert_eq!((b.kind, b.size, b.start), ("Q4_0", 18, a.start + 64));
    assert_eq!(a.start % 32, 0);
    assert!(a.start + 128 <= bytes.len() as u64);
}

#[test]
fn arrays_beyond_a_limit_or_of_another_kind_are_refused() {
    let c = catalogue::read(&Input::bytes(sample())).unwrap();
    assert!(c.texts("words", 39, 1000).is_err());
    assert!(c.texts("words", 40, 100).is_err());
    assert!(c.texts("floats", 40, 1000).is_err());
    assert!(c.texts("tokenizer.ggml.bytes", 40, 1000).is_err());
    assert!(c.numbers("words", 40).is_err());
    assert!(c.numbers("floats", 1).is_err());
}

#[test]
fn what_the_scanner_reports_is_refused() {
    let read = |tensors: &[_]| catalogue::read(&Input::bytes(file(&[], tensors))).map(|c| c.tensors.len());
    assert_eq!(read(&[tensor("a", &[16], 0, 0), tensor("b", &[16], 0, 64)]).unwrap(), 2);
    assert!(read(&[tensor("a", &[16], 0, 0), tensor("a", &[16], 0, 64)]).is_err(), "one name twice");
    assert!(read(&[tensor("a", &[16], 0, 0), tensor("b", &[16], 0, 32)]).is_err(), "overlap");
    assert!(read(&[tensor("a", &[16], 0, 0), tensor("b", &[16], 0, 128)]).is_err(), "beyond the end");
    assert!(read(&[tensor("a", &[16], 0, u64::MAX - 31)]).is_err(), "beyond 2^64");
    assert!(read(&[tensor("a\u{7}", &[16], 0, 0)]).is_err(), "a control character");
    assert!(read(&[tensor("a", &[1 << 40, 1 << 40], 0, 0)]).is_err(), "an absurd shape");
    let whole = sample();
    for at in 0..whole.len() - 64 {
        assert!(catalogue::read(&Input::bytes(whole[..at].to_vec())).is_err(), "{at}");
    }
}
