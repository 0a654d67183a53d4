use super::asm::*;
use super::*;

#[test]
fn plain_data_is_clean_in_every_protocol() {
    is_clean(b"(dp0\nS'a'\np1\nI1\nsS'b'\np2\n(lp3\nF1.5\naL12L\naI01\nas.");
    is_clean(b"}q\x00(U\x01aq\x01K\x01U\x01bq\x02]q\x03(G?\xf8\0\0\0\0\0\0K\x0ceu.");
    is_clean(b"\x80\x02}q\x00(X\x01\0\0\0aq\x01K\x01X\x01\0\0\0bq\x02M\x00\x01u.");
    is_clean(&p4(&[&dict(&[
        &text("a"),
        &list(&[b"N", b"\x88", b"\x89"]),
        &text("b"),
        &tuple(&[b"\x8a\x0a\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a", &bytes(b"raw")]),
        &text("c"),
        b"\x8f(K\x01\x90",
    ])]));
    is_clean(b"\x80\x05\x96\x03\0\0\0\0\0\0\0abc.");
}

#[test]
fn arrays_and_ordered_dicts_are_clean() {
    let dtype = build(
        &call(&global("numpy", "dtype"), &[&text("f8"), b"\x89", b"\x88"]),
        &tuple(&[b"K\x03", &text("<"), b"N", b"N", b"N", &int(-1), &int(-1), b"K\x00"]),
    );
    let empty = call(
        &global("numpy.core.multiarray", "_reconstruct"),
        &[&global("numpy", "ndarray"), b"K\x00\x85", &bytes(b"b")],
    );
    is_clean(&p4(&[&build(&empty, &tuple(&[b"K\x01", &tuple(&[b"K\x01"]), &dtype, b"\x89", &bytes(&[0; 8])]))]));
    is_clean(&p2(&[b"ccollections\nOrderedDict\n)R", b"(", &text("w"), b"K\x01u"]));
    is_clean(&p2(&[b"c_codecs\nencode\n(X\x03\0\0\0a\xc3\xbfX\x06\0\0\0latin1tR"]));
}

#[test]
fn python_2_objects_are_clean() {
    is_clean(b"ccopy_reg\n_reconstructor\n(cargparse\nNamespace\nc__builtin__\nobject\nNtR(dS'lr'\nF0.1\nsb.");
}

#[test]
fn recursive_and_shared_structures_are_clean() {
    is_clean(b"\x80\x02]q\x00(]q\x01h\x01h\x00e.");
}

#[test]
fn estimators_are_named() {
    let outcome = inspect(&p4(&[&build(
        &instance("sklearn.linear_model._logistic", "LogisticRegression"),
        &dict(&[&text("C"), b"K\x01", &text("_sklearn_version"), &text("1.5.2")]),
    )]));
    assert_eq!(verdict(&outcome), Verdict::Clean, "{}", evidence(&outcome));
    assert_eq!(outcome.format, Some("sklearn"));
    assert_eq!(outcome.metadata["architecture"], "LogisticRegression");
    assert_eq!(outcome.metadata["producer"], "scikit-learn 1.5.2");
}

#[test]
fn enumerations_and_dates_are_clean() {
    is_clean(&p4(&[&call(&global("transformers.trainer_utils", "IntervalStrategy"), &[&text("steps")])]));
    is_clean(&p4(&[&call(&global("datetime", "datetime"), &[&bytes(b"\x07\xe8\x01\x02\x03\x04\x05\0\0\0")])]));
    is_clean(&p4(&[&call(&global("pathlib", "PosixPath"), &[&text("models"), &text("a.pt")])]));
}

#[test]
fn a_member_of_an_enumeration_may_be_looked_up() {
    is_clean(&p4(&[&call(
        &global("builtins", "getattr"),
        &[&global("torch.nn.modules.module", "Kind"), &text("FIRST")],
    )]));
}

#[test]
fn legacy_torch_classes_stand_behind_persistent_ids() {
    let id = tuple(&[
        &text("module"),
        &global("torch.nn.modules.linear", "Linear"),
        &text("linear.py"),
        &text("class Linear"),
    ]);
    is_clean(&p2(&[&id, b"Q)\x81", &dict(&[&text("training"), b"\x88"]), b"b"]));
}

#[test]
fn weights_that_look_like_pickles_are_weights() {
    let noise: Vec<u8> = (0..200_000u32).flat_map(|i| [0x80, 2, (i % 251) as u8, b'N', b'.']).collect();
    is_clean(&seq(&[&p4(&[b"}"]), &noise]));
}
