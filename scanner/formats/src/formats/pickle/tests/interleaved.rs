use super::asm::*;
use super::*;

/// A joblib wrapper of `shape` elements of type `code`.
fn wrapper(code: &str, shape: i32, aligned: bool, flags: i32) -> Vec<u8> {
    let dtype = build(
        &call(&global("numpy", "dtype"), &[&text(code), b"\x89", b"\x88"]),
        &tuple(&[b"K\x03", &text("|"), b"N", b"N", b"N", &int(-1), &int(-1), &int(flags)]),
    );
    let alignment = if aligned { &b"K\x10"[..] } else { b"N" };
    let state = dict(&[
        &text("subclass"),
        &global("numpy", "ndarray"),
        &text("shape"),
        &tuple(&[&int(shape)]),
        &text("order"),
        &text("C"),
        &text("dtype"),
        &dtype,
        &text("allow_mmap"),
        b"\x88",
        &text("numpy_array_alignment_bytes"),
        alignment,
    ]);
    build(&instance("joblib.numpy_pickle", "NumpyArrayWrapper"), &state)
}

#[test]
fn the_stream_goes_on_behind_the_array() {
    let stop = [b'.'; 64];
    for array in [seq(&[b"\x05\xff\xff\xff\xff\xff", &stop]), seq(&[b"\x00", &stop])] {
        let stream = p4(&[b"(", &wrapper("f8", 8, true, 0), &array, &evil(), b"l"]);
        is_malicious(&stream, "posix.system");
    }
    let stream = p4(&[b"(", &wrapper("f4", 8, false, 0), &[0; 32], b"K\x01l"]);
    is_clean(&stream);
    assert_eq!(inspect(&stream).format, Some("joblib"));
    is_malicious(&p4(&[b"(", &wrapper("U2", 8, false, 0), &[0; 64], &evil(), b"l"]), "posix.system");
}

#[test]
fn object_arrays_are_pickles_of_their_own() {
    let stream = p4(&[b"(", &wrapper("O8", 1, true, 63), &p2(&[&evil()]), b"K\x01l"]);
    is_malicious(&stream, "posix.system");
    is_clean(&p4(&[b"(", &wrapper("O8", 1, true, 63), &p2(&[b"]"]), b"K\x01l"]));
}

#[test]
fn array_bytes_are_opcodes_to_other_loaders() {
    let payload = seq(&[&evil(), b"0."]);
    let stream = p4(&[b"(", &wrapper("u1", i32::try_from(payload.len()).unwrap(), false, 0), &payload, b"l"]);
    is_malicious(&stream, "as pickle.load reads them");
}

#[test]
fn arrays_of_unknown_length_are_said_to_be_unknown() {
    let outcome = inspect(&p4(&[b"(", &wrapper("q9", 8, false, 0), &[0; 32], b"l"]));
    assert_eq!(verdict(&outcome), Verdict::Unknown, "{}", evidence(&outcome));
    let outcome = inspect(&p4(&[b"(", &wrapper("f8", 1_000_000, false, 0), &[0; 32], b"l"]));
    assert_eq!(rules(&outcome), ["truncated"]);
}

#[test]
fn the_old_compressed_form_is_unpacked() {
    use std::io::Write;
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(&p2(&[&evil()])).unwrap();
    let file = seq(&[b"ZF0x32               ", &packed.finish().unwrap()]);
    let outcome = inspect_bytes("model.joblib", &file);
    assert_eq!(outcome.format, Some("joblib"));
    assert_eq!(verdict(&outcome), Verdict::Malicious, "{}", evidence(&outcome));
}
