use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::asm::*;
use super::*;
use crate::core::testing::survives_damage;
use crate::core::{Input, NoContent, Options, ReadAt, inspect as inspect_input};

#[track_caller]
fn ends_soon(bytes: &[u8]) -> Outcome {
    let start = Instant::now();
    let outcome = inspect(bytes);
    assert!(start.elapsed() < Duration::from_secs(20), "took {:?}", start.elapsed());
    outcome
}

#[test]
fn bombs_end_in_linear_time() {
    ends_soon(&seq(&[b"\x80\x02N", &b"2".repeat(1_000_000), b"."]));
    ends_soon(&seq(&[b"\x80\x02", &b"]".repeat(1_000_000), &b"a".repeat(999_999), b"."]));
    ends_soon(&seq(&[b"\x80\x02", &b"(".repeat(1_000_000), &b"l".repeat(1_000_000), b"."]));
    ends_soon(&seq(&[b"\x80\x02K\x01", &b"2\x86".repeat(200_000), b"."]));
    let mut laughs = b"\x80\x02(K\x01l".to_vec();
    for n in 0..200 {
        laughs.extend(seq(&[&[b'q', n, b'('], &[b'h', n].repeat(10), b"l"]));
    }
    ends_soon(&seq(&[&laughs, b"."]));
    ends_soon(&seq(&[b"I", &b"9".repeat(1_000_000), b"\n."]));
    ends_soon(&seq(&[b"\x80\x02", &b"N0".repeat(2_000_000), b"N."]));
    ends_soon(&b"\x80\x02".repeat(500_000));
    ends_soon(&seq(&[b"\x80\x02N.", &b"\x80\x02(".repeat(500_000)]));
}

#[test]
fn many_opcodes_do_not_hide_the_call() {
    is_malicious(&seq(&[b"\x80\x02", &b"(".repeat(200_000), &b"1".repeat(200_000), &evil(), b"."]), "posix.system");
    is_malicious(&seq(&[b"\x80\x04", &b"N0".repeat(1_000_000), &evil(), b"."]), "posix.system");
    // More data than is followed, then a call.
    let pairs = b"K\x01K\x02\x86".repeat(600_000);
    is_malicious(&seq(&[b"\x80\x04(", &pairs, &evil(), b"l."]), "posix.system");
}

#[test]
fn what_comes_late_in_a_large_stream_is_followed() {
    let pairs = b"K\x01K\x02\x86".repeat(600_000);
    let object = instance("argparse", "Namespace");
    let hook = build(&object, &dict(&[&text("__setstate__"), &global("builtins", "print")]));
    is_malicious(&seq(&[b"\x80\x04(", &pairs, &hook, b"l."]), "pickle-hijack");
    // The outer list is long forgotten when it is filled.
    is_clean(&seq(&[b"\x80\x04]((", &pairs, b"le."]));
    let dtype = call(&global("numpy", "dtype"), &[&text("f4"), b"\x89", b"\x88"]);
    let state = dict(&[&text("shape"), &tuple(&[b"K\x04"]), &text("dtype"), &dtype]);
    let wrapper = build(&instance("joblib.numpy_pickle", "NumpyArrayWrapper"), &state);
    is_malicious(&seq(&[b"\x80\x04(", &pairs, &wrapper, &[0; 16], &evil(), b"l."]), "posix.system");
}

#[test]
fn a_flood_of_calls_keeps_the_worst() {
    let unknown: Vec<u8> = (0..2000).flat_map(|n| call(&global("acme", &format!("f{n}")), &[b"N"])).collect();
    is_malicious(&seq(&[b"\x80\x04(", &unknown, &evil(), b"l."]), "posix.system");
}

#[test]
fn folding_is_bounded() {
    // Each text is twice the one before.
    let mut stream = seq(&[b"\x80\x04", &text("aaaaaaaa"), b"q\x00"]);
    for n in 0..60u8 {
        stream.extend(seq(&[&global("operator", "add"), &[b'h', n, b'h', n], b"\x86R", &[b'q', n + 1]]));
    }
    stream.extend(seq(&[&text("x"), b"\x93."]));
    assert_eq!(verdict(&ends_soon(&stream)), Verdict::Malicious);
}

/// Content that is mostly one huge constant, made up as it is read.
struct Huge(Vec<u8>, u64);

impl ReadAt for Huge {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        buf.fill(0);
        let n = buf.len().min(usize::try_from(self.1 - offset).unwrap_or(usize::MAX));
        if let Some(rest) = usize::try_from(offset).ok().and_then(|o| self.0.get(o..)) {
            let k = rest.len().min(n);
            buf[..k].copy_from_slice(&rest[..k]);
        }
        if offset + n as u64 == self.1 && n > 0 {
            buf[n - 1] = b'.';
        }
        Ok(n)
    }
}

#[test]
fn huge_constants_are_stepped_over() {
    let body = 400u64 << 30;
    let head = seq(&[b"\x80\x04\x8e", &body.to_le_bytes()]);
    let len = head.len() as u64 + body + 1;
    let outcome = inspect_input(&Input::file(Huge(head, len), len), "big.pkl", &Options::default(), &NoContent);
    assert_eq!(verdict(&outcome), Verdict::Clean, "{}", evidence(&outcome));
}

#[test]
fn small_pickles_are_quick() {
    let sample = p4(&[&dict(&[&text("a"), b"K\x01", &text("b"), &list(&[b"N", b"N"])])]);
    inspect(&sample);
    let start = Instant::now();
    for _ in 0..200 {
        inspect(&sample);
    }
    assert!(start.elapsed() < Duration::from_millis(100), "200 pickles took {:?}", start.elapsed());
}

#[test]
fn damaged_samples_end_well() {
    survives_damage("a.pkl", &p4(&[&evil(), b"0", &dict(&[&text("__setstate__"), &global("os", "system")])]));
    survives_damage("a.pkl", b"(dp0\nS'a'\np1\nI1\nsV\\u0041\ncos\nsystem\n(tRs.");
    let wrapper = build(
        &instance("joblib.numpy_pickle", "NumpyArrayWrapper"),
        &dict(&[&text("shape"), &tuple(&[b"K\x04"]), &text("dtype"), &call(&global("numpy", "dtype"), &[&text("f4")])]),
    );
    survives_damage("a.joblib", &p4(&[b"(", &wrapper, &[0; 16], b"l"]));
}

/// Opcodes with plausible operands, in any order.
fn opcode() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::sample::select(&b"(.012)]}NRabdelostu\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94\x97\x98Q"[..]).prop_map(|b| vec![b]),
        2 => proptest::sample::select(vec!["os", "system", "builtins", "getattr", "operator", "add", "join", "__reduce__", "numpy", "dtype", "joblib.numpy_pickle", "NumpyArrayWrapper"]).prop_map(text),
        1 => (proptest::sample::select(&b"Khq\x82"[..]), 0u8..8).prop_map(|(op, n)| vec![op, n]),
        1 => proptest::sample::select(vec![global("builtins", "getattr"), global("os", "system"), global("operator", "add"), global("copyreg", "_reconstructor"), global("functools", "partial"), global("torch._tensor", "_rebuild_from_type_v2"), global("joblib.numpy_pickle", "NumpyArrayWrapper")]),
        1 => proptest::sample::select(vec![&b"I01\n"[..], b"L5L\n", b"F1.5\n", b"S'a\\x41'\n", b"V\\u0041\n", b"Pid\n", b"cos\npath\n", b"ios\npath\n", b"p3\n", b"g3\n"]).prop_map(<[u8]>::to_vec),
        1 => any::<u8>().prop_map(|b| vec![b]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn opcode_soup_always_ends(parts in proptest::collection::vec(opcode(), 0..300)) {
        let body = parts.concat();
        inspect(&seq(&[b"\x80\x04", &body, b"."]));
        inspect(&body);
    }

    #[test]
    fn a_call_at_the_start_is_never_lost(parts in proptest::collection::vec(opcode(), 0..100)) {
        let outcome = inspect(&seq(&[b"\x80\x04", &evil(), &parts.concat()]));
        prop_assert_eq!(verdict(&outcome), Verdict::Malicious);
    }
}
