use super::asm::*;
use super::*;

#[test]
fn dangerous_functions_are_shown_as_python() {
    is_malicious(&p4(&[&call(&global("builtins", "eval"), &[&text("1")])]), "builtins.eval(\"1\")");
    is_malicious(&p2(&[&call(&global_line("__builtin__", "eval"), &[&text("1")])]), "__builtin__.eval(\"1\")");
    is_malicious(&p4(&[&global("os", "system")]), "imports os.system");
}

#[test]
fn attributes_of_imports_are_imports() {
    let import = call(&global("builtins", "__import__"), &[&text("os")]);
    let getattr = call(&global("builtins", "getattr"), &[&import, &text("system")]);
    is_malicious(
        &p4(&[&call(&getattr, &[&text("echo")])]),
        "builtins.getattr(builtins.__import__(\"os\"), \"system\")(\"echo\")",
    );
    let eval = call(&global("builtins", "getattr"), &[&global("collections", "OrderedDict"), &text("__init__")]);
    is_malicious(&p4(&[&eval]), "OrderedDict");
    for (module, name) in [
        ("numpy.core.x", "os.system"),
        ("collections", "_sys.modules"),
        ("torch.serialization", "os.system"),
        ("builtins", "object.__subclasses__"),
        ("numpy", "__builtins__"),
        ("joblib.externals.loky.backend.utils", "subprocess.Popen"),
    ] {
        is_malicious(&p4(&[&call(&global(module, name), &[])]), name);
    }
}

#[test]
fn computed_names_are_dynamic_imports() {
    let joined = call(&global("operator", "concat"), &[&text("po"), &text("six")]);
    is_malicious(&p4(&[&joined, &text("system"), b"\x93", &tuple(&[&text("echo")]), b"R"]), "computed as");
    let join = call(&global("builtins", "getattr"), &[&text(""), &text("join")]);
    let joined = call(&join, &[&list(&[&text("po"), &text("six")])]);
    is_malicious(&p4(&[&joined, &text("system"), b"\x93)R"]), "posix.system");
    let hex = call(&global("_codecs", "decode"), &[&bytes(b"706f736978"), &text("hex")]);
    is_malicious(&p4(&[&hex, &text("system"), b"\x93)R"]), "posix.system");
    is_malicious(&p4(&[&call(&global("nobody", "knows"), &[]), &text("system"), b"\x93"]), "pickle-dynamic-import");
}

#[test]
fn two_harmless_steps_make_one_harmful_call() {
    let getter = call(&global("operator", "attrgetter"), &[&text("system")]);
    is_malicious(&p4(&[&call(&getter, &[&global("collections", "OrderedDict")])]), "attrgetter");
    let caller = call(&global("operator", "methodcaller"), &[&text("run"), &text("x")]);
    is_malicious(&p4(&[&call(&caller, &[&instance("nobody.knows", "X")])]), "pickle-indirect-call");
    let partial = call(&global("functools", "partial"), &[&global("os", "system"), &text("echo")]);
    is_malicious(&p4(&[&call(&partial, &[])]), "os.system");
    let rebuilt = call(
        &global("torch._tensor", "_rebuild_from_type_v2"),
        &[&global("os", "system"), &global("torch", "Tensor"), &tuple(&[&text("echo")]), b"N"],
    );
    is_malicious(&p4(&[&rebuilt]), "os.system(\"echo\")");
    let ufunc = call(&global("numpy.core", "_ufunc_reconstruct"), &[&text("os"), &text("system")]);
    is_malicious(&p4(&[&call(&ufunc, &[&text("echo")])]), "os.system");
}

#[test]
fn lazy_calls_need_the_function_they_apply() {
    let mapped = call(&global("builtins", "map"), &[&global("os", "system"), &list(&[&text("echo")])]);
    is_malicious(&p4(&[&call(&global("builtins", "list"), &[&mapped])]), "builtins.map(os.system");
}

#[test]
fn state_that_replaces_methods_is_a_hijack() {
    let object = call(
        &global("copyreg", "_reconstructor"),
        &[&global("argparse", "Namespace"), &global("builtins", "object"), b"N"],
    );
    let hook = dict(&[&text("__setstate__"), &global("builtins", "print")]);
    is_malicious(&p4(&[&build(&object, &hook)]), "pickle-hijack");
    is_malicious(&p4(&[&build(&object, &tuple(&[b"N", &hook]))]), "pickle-hijack");
    is_malicious(
        &p4(&[&build(&global("numpy", "prod"), &tuple(&[b"N", &dict(&[&text("__defaults__"), b")"])]))]),
        "pickle-hijack",
    );
    is_clean(&p4(&[&build(&object, &dict(&[&text("lr"), b"K\x01"]))]));
}

#[test]
fn unknown_classes_and_functions_are_suspicious() {
    is_suspicious(&p4(&[&instance("acme.models", "Net")]), "pickle-unknown-global");
    is_suspicious(&p4(&[&instance("__main__", "Net")]), "pickle-unknown-global");
    is_suspicious(&p4(&[&call(&global("acme.models", "load"), &[&text("x")])]), "pickle-unknown-global");
    is_suspicious(&p4(&[&global("acme.models", "load")]), "pickle-unknown-global");
    is_suspicious(&p4(&[&call(&global("sklearn.utils", "resample"), &[b"]"])]), "pickle-unexpected-call");
}

#[test]
fn functions_of_the_standard_library_are_gadgets_until_listed() {
    is_malicious(&p4(&[&call(&global("textwrap", "dedent"), &[&text("x")])]), "textwrap.dedent");
    is_malicious(&p4(&[&call(&global("uuid", "_get_command_stdout"), &[&text("x")])]), "uuid._get_command_stdout");
}

#[test]
fn embedded_code_is_judged_by_the_names_it_uses() {
    let code = |word: &str| {
        let kind = call(&global("cloudpickle.cloudpickle", "_builtin_type"), &[&text("CodeType")]);
        let n = b"K\x01";
        let names = tuple(&[&text(word)]);
        let code = call(
            &kind,
            &[n, n, n, n, n, n, &bytes(b"\x97"), &tuple(&[b"N"]), &names, b")", &text("f"), &text("f"), n, &bytes(b"")],
        );
        p4(&[&call(&global("cloudpickle.cloudpickle", "_make_function"), &[&code, b"}", b"N", b"N", b"N"])])
    };
    is_suspicious(&code("sqrt"), "pickle-embedded-code");
    is_malicious(&code("system"), "code that names system");
    is_malicious(
        &p4(&[&call(&global("cloudpickle.cloudpickle", "_make_function"), &[b"N", b"}"])]),
        "pickle-dangerous-code",
    );
    is_malicious(&p4(&[&call(&global("cloudpickle.cloudpickle", "subimport"), &[&text("os")])]), "subimport(\"os\")");
}

#[test]
fn tensors_pickled_by_value_must_hold_a_torch_file() {
    is_malicious(&p4(&[&call(&global("torch.storage", "_load_from_bytes"), &[&bytes(b"N.")])]), "_load_from_bytes");
}

#[test]
fn pickles_inside_constants_are_inspected() {
    let inner = p2(&[b"cposix\nsystem\n", &tuple(&[b"X\x04\0\0\0echo"]), b"R"]);
    is_malicious(&p4(&[&bytes(&inner)]), "posix.system");
    let hex: String = inner.iter().map(|b| format!("{b:02x}")).collect();
    is_malicious(&p4(&[&text(&hex)]), "posix.system");
    use base64::Engine;
    is_malicious(&p4(&[&text(&base64::engine::general_purpose::STANDARD.encode(&inner))]), "posix.system");
    is_clean(&p4(&[&list(&[&text("cos\nsystem\n(S'x'\ntR."), &text("os.system"), &text("eval")])]));
}
