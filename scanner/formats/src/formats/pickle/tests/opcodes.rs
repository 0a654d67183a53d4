use super::asm::*;
use super::*;

const SHOWN: &str = "posix.system(\"echo\")";

#[test]
fn every_protocol_shows_the_call() {
    is_malicious(b"cposix\nsystem\n(S'echo'\ntR.", SHOWN);
    is_malicious(b"cposix\nsystem\n(Vecho\ntR.", SHOWN);
    is_malicious(b"cposix\nsystem\n(U\x04echotR.", SHOWN);
    for protocol in 2..=5 {
        is_malicious(&seq(&[&[0x80, protocol], b"cposix\nsystem\nX\x04\0\0\0echo\x85R."]), SHOWN);
        is_malicious(&seq(&[&[0x80, protocol], &evil(), b"."]), SHOWN);
    }
}

#[test]
fn every_call_opcode_counts() {
    is_malicious(b"(S'echo'\niposix\nsystem\n.", SHOWN);
    is_malicious(&p2(&[b"(cposix\nsystem\n", &text("echo"), b"o"]), SHOWN);
    is_malicious(
        &p2(&[b"csubprocess\nPopen\n", &tuple(&[&text("echo")]), b"\x81"]),
        "subprocess.Popen.__new__(\"echo\")",
    );
    let keywords = dict(&[&text("shell"), b"\x88"]);
    is_malicious(
        &p4(&[&global("subprocess", "Popen"), &tuple(&[&text("echo")]), &keywords, b"\x92"]),
        "subprocess.Popen.__new__(\"echo\", **{\"shell\": True})",
    );
}

#[test]
fn calls_whose_result_is_dropped_have_happened() {
    is_malicious(&p4(&[&evil(), b"0N"]), SHOWN);
    is_malicious(&p4(&[b"(", &evil(), b"1N"]), SHOWN);
    is_malicious(&p4(&[&evil(), b"}b0N"]), SHOWN);
    is_malicious(&p4(&[b"}", &evil(), b"Ns"]), SHOWN);
}

#[test]
fn memo_numbers_work_as_in_cpython() {
    // MEMOIZE counts entries, so it overwrites what PUT wrote under that number.
    let stream = p4(&[
        &text("collections"),
        b"q\x010",
        &text("posix"),
        b"\x940h\x01",
        &text("system"),
        b"\x93",
        &tuple(&[&text("echo")]),
        b"R",
    ]);
    is_malicious(&stream, SHOWN);
    is_malicious(
        &p4(&[
            &text("posix"),
            b"r\x70\x11\x01\x000j\x70\x11\x01\x00",
            &text("system"),
            b"\x93",
            &tuple(&[&text("echo")]),
            b"R",
        ]),
        SHOWN,
    );
    is_malicious(b"Vposix\np5\n0g5\nVsystem\n\x93(Vecho\ntR.", SHOWN);
    let missing = inspect(&p4(&[b"h\x07"]));
    assert_eq!(rules(&missing), ["pickle-broken"]);
}

#[test]
fn escapes_are_decoded_before_names_are_judged() {
    is_malicious(b"V\\u0070osix\nVsy\\u0073tem\n\x93(Vecho\ntR.", SHOWN);
    is_malicious(b"S'\\x70osix'\nS'sys\\164em'\n\x93(S'echo'\ntR.", SHOWN);
}

#[test]
fn every_string_opcode_can_name_a_global() {
    is_malicious(&seq(&[b"\x80\x04U\x05posixU\x06system\x93", &tuple(&[&text("echo")]), b"R."]), SHOWN);
    is_malicious(&seq(&[b"\x80\x04T\x05\0\0\0posixX\x06\0\0\0system\x93", &tuple(&[&text("echo")]), b"R."]), SHOWN);
    is_malicious(
        &seq(&[b"\x80\x04\x8d\x05\0\0\0\0\0\0\0posix", &text("system"), b"\x93", &tuple(&[&text("echo")]), b"R."]),
        SHOWN,
    );
}

#[test]
fn frames_may_lie_as_far_as_the_c_unpickler_lets_them() {
    let body = seq(&[&evil(), b"."]);
    for frame in [0u64, 3, body.len() as u64, body.len() as u64 + 1000, u64::MAX] {
        is_malicious(&seq(&[b"\x80\x04\x95", &frame.to_le_bytes(), &body]), SHOWN);
    }
}

#[test]
fn extension_codes_registered_in_the_stream_resolve() {
    let register = call(&global("copyreg", "add_extension"), &[&text("posix"), &text("system"), &int(7)]);
    is_malicious(&p4(&[&register, b"0\x82\x07", &tuple(&[&text("echo")]), b"R"]), "posix.system(\"echo\")");
    is_suspicious(&p2(&[b"\x82\x63"]), "pickle-extension-code");
}

#[test]
fn errors_end_the_stream_but_not_what_ran_before() {
    for tail in [&b"X\xff\xff\0\0short"[..], b"\xfe\xfd", b"", b"t.", b"0000."] {
        is_malicious(&seq(&[b"\x80\x04", &evil(), tail]), SHOWN);
    }
    for broken in [
        &b"\x80\x020."[..],
        b"\x80\x02u.",
        b"\x80\x02t.",
        b"\x80\x02R.",
        b"\x80\x04.",
        b"\x80\x02\x8b\xff\xff\xff\xff.",
        b"\x80\x04K\x01K\x02\x93.",
    ] {
        assert_eq!(verdict(&inspect(broken)), Verdict::Unknown, "{broken:?}");
    }
    assert_eq!(verdict(&inspect(b"(lp0\nS'\\x'\na.")), Verdict::Unknown);
    assert_eq!(verdict(&inspect(b"(dp-1\n.")), Verdict::Unknown);
}

#[test]
fn container_opcodes_on_other_objects_call_methods() {
    is_malicious(&p4(&[&global("sys", "path"), &text("/tmp"), b"a"]), "sys.path.extend(\"/tmp\")");
    is_malicious(&p4(&[&global("collections", "OrderedDict"), &text("a"), b"Ns"]), "pickle-hijack");
    is_suspicious(
        &p4(&[&call(&global("torch", "Size"), &[&list(&[b"K\x01"])]), b"K\x00", &text("x"), b"s"]),
        "pickle-foreign-method",
    );
}

#[test]
fn protocols_from_the_future_are_read_on() {
    is_malicious(&seq(&[b"\x80\xff", &evil(), b"."]), SHOWN);
}
