#![expect(clippy::cast_possible_truncation, reason = "samples are small")]

use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

const NULL: u32 = 254;
const UNBOUND: u32 = 252;
const GLOBAL: u32 = 253;

fn ints(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

fn text(value: &str) -> Vec<u8> {
    [ints(&[0x4_0009, value.len() as u32]), value.as_bytes().to_vec()].concat()
}

fn symbol(name: &str) -> Vec<u8> {
    [ints(&[1]), text(name)].concat()
}

fn strings(value: &str) -> Vec<u8> {
    [ints(&[16, 1]), text(value)].concat()
}

fn call(name: &str, argument: &[u8]) -> Vec<u8> {
    [ints(&[6]), symbol(name), ints(&[2]), argument.to_vec(), ints(&[NULL])].concat()
}

fn promise(expression: &[u8]) -> Vec<u8> {
    [ints(&[0x405, GLOBAL, UNBOUND]), expression.to_vec()].concat()
}

fn closure(body: &[u8]) -> Vec<u8> {
    [ints(&[0x403, GLOBAL, NULL]), body.to_vec()].concat()
}

fn rds(item: &[u8]) -> Vec<u8> {
    [b"X\n".to_vec(), ints(&[2, 0x4_0301, 0x2_0300]), item.to_vec()].concat()
}

fn inspected(item: &[u8]) -> (Verdict, Vec<String>) {
    let outcome = inspect_bytes("x", &rds(item));
    assert_eq!(outcome.format, Some("r-rds"));
    (verdict(&outcome), rules(&outcome).into_iter().map(str::to_owned).collect())
}

#[test]
fn promises_that_call_are_malicious() {
    let (verdict, rules) = inspected(&promise(&call("system", &strings("id"))));
    assert_eq!((verdict, rules[0].as_str()), (Verdict::Malicious, "r-promise-call"));
    let (verdict, _) = inspected(&promise(&call("eval", &call("parse", &strings("x")))));
    assert_eq!(verdict, Verdict::Malicious);
    assert_eq!(inspected(&promise(&call("c", &strings("x")))).1, ["r-promise"]);
}

#[test]
fn the_call_is_written_out() {
    let outcome = inspect_bytes("x", &rds(&promise(&call("system", &strings("id")))));
    assert!(outcome.findings[0].detail.contains("system(\"id\")"), "{}", outcome.findings[0].detail);
}

#[test]
fn lazy_arguments_in_environments_are_honest() {
    let frame = [ints(&[0x402]), symbol("x"), promise(&call("mean", &symbol("y"))), ints(&[NULL])].concat();
    let environment = [ints(&[4, 0, 242]), frame, ints(&[NULL, NULL])].concat();
    assert_eq!(inspected(&environment), (Verdict::Clean, vec![]));
}

#[test]
fn functions_are_judged_by_what_they_call() {
    assert_eq!(inspected(&closure(&call("mean", &symbol("x")))), (Verdict::Clean, vec![]));
    assert_eq!(inspected(&closure(&call("system", &strings("id")))).1, ["r-dangerous-function"]);
    assert_eq!(inspected(&call("download.file", &strings("x"))).1, ["r-dangerous-call"]);
    let qualified =
        [ints(&[6, 6]), symbol("::"), ints(&[2]), symbol("base"), ints(&[2]), symbol("system"), ints(&[NULL, NULL])];
    assert_eq!(inspected(&qualified.concat()).1, ["r-dangerous-call"]);
}

#[test]
fn the_class_is_told() {
    let class = [ints(&[0x402]), symbol("class"), strings("lm"), ints(&[NULL])].concat();
    let outcome = inspect_bytes("x", &rds(&[ints(&[0x200 | 19, 0]), class].concat()));
    assert_eq!(outcome.metadata["class"], "lm");
    assert_eq!(outcome.metadata["producer"], "R 4.3.1");
}

#[test]
fn what_is_no_object_is_unknown() {
    for item in [
        ints(&[99]),
        ints(&[14, u32::MAX, 0x7fff_ffff, u32::MAX]),
        ints(&[255 | 500 << 8]),
        ints(&[19, 1].repeat(8000)),
    ] {
        assert_eq!(inspected(&item).0, Verdict::Unknown);
    }
}

#[test]
fn the_text_encoding_is_read() {
    let outcome = inspect_bytes("x", b"A\n2\n263169\n131840\n6\n1\n262153\n6\nsystem\n2\n16\n1\n262153\n2\nid\n254\n");
    assert_eq!((outcome.format, rules(&outcome)), (Some("r-rds"), vec!["r-dangerous-call"]));
}

#[test]
fn survives() {
    survives_damage("x.rds", &rds(&promise(&call("system", &strings("id")))));
    survives_damage("x.rds", &rds(&closure(&call("mean", &symbol("x")))));
}
