use super::asm::*;
use super::*;

#[test]
fn every_stream_of_a_file_is_inspected() {
    let harmless = p4(&[b"}"]);
    is_malicious(&seq(&[&harmless, &p4(&[&evil()])]), "posix.system");
    is_malicious(&seq(&[&harmless, b"(lp0\nI1\na.", b"cposix\nsystem\n(S'echo'\ntR."]), "posix.system");
    is_malicious(&seq(&[&p2(&[b"N"]).repeat(10_000), &p4(&[&evil()])]), "posix.system");
}

#[test]
fn junk_between_streams_does_not_hide_the_next() {
    let harmless = p4(&[b"}"]);
    is_malicious(&seq(&[&harmless, &[0; 64], &p4(&[&evil()])]), "posix.system");
    is_malicious(&seq(&[&harmless, b"\n# comment\n\xff\xfe", &p4(&[&evil()])]), "pickle-junk-between-streams");
    is_malicious(&seq(&[&harmless, &[7; 5000], b"cposix\nsystem\n(S'echo'\ntR."]), "posix.system");
}

#[test]
fn a_stream_behind_a_broken_one_is_found() {
    is_malicious(&seq(&[b"\x80\x04}\xff\xff\xff", &p4(&[&evil()])]), "posix.system");
}

#[test]
fn trailing_bytes_are_a_note() {
    let outcome = inspect(&seq(&[&p4(&[b"}"]), b"some other data"]));
    assert_eq!(rules(&outcome), ["pickle-trailing-data"]);
    assert_eq!(verdict(&outcome), Verdict::Clean);
}

#[test]
fn stacked_streams_are_counted() {
    let outcome = inspect(&p4(&[&dict(&[&text("epoch"), b"K\x01"])]).repeat(3));
    assert_eq!(verdict(&outcome), Verdict::Clean, "{}", evidence(&outcome));
    assert_eq!(outcome.metadata["streams"], 3);
}
