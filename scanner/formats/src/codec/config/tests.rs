use serde_json::json;

use super::callables::{Callable, code_mark, judge};
use super::excerpt;

fn dangerous(name: &str) -> bool {
    matches!(judge(name), Callable::Dangerous(_))
}

#[test]
fn names_that_run_commands_or_code_are_dangerous_however_they_are_reached() {
    for name in [
        "os.system",
        "posix.system",
        "subprocess.Popen",
        "builtins.exec",
        "__builtin__.eval",
        "eval",
        "exec",
        "importlib.import_module",
        "torch.os.system",
        "nemo.core.subprocess.check_output",
        "numpy.f2py.crackfortran",
        "os:system",
        " shutil.rmtree ",
        "pip.main",
        "socket.create_connection",
        "operator.methodcaller",
        "my_project.tools.system",
        "torch.nn.Module.__globals__.get",
    ] {
        assert!(dangerous(name), "{name}: {:?}", judge(name));
    }
}

#[test]
fn libraries_of_models_and_plain_values_are_known() {
    for name in [
        "nemo.collections.asr.models.EncDecCTCModel",
        "torch.nn.Linear",
        "torch.optim.AdamW",
        "collections.OrderedDict",
        "pathlib.PosixPath",
        "functools.partial",
        "builtins.dict",
        "tuple",
        "os.path.join",
        "transformers.AutoModel.from_pretrained",
        "mlflow.pyfunc.model",
        "hydra.utils.get_method",
        "pymdownx.superfences.fence_code_format",
    ] {
        assert_eq!(judge(name), Callable::Known, "{name}");
    }
}

#[test]
fn a_projects_own_class_is_unknown_and_no_more() {
    for name in ["src.models.mnist_module.MNISTLitModule", "flexible_net.Net", "my_pkg.dataset.build"] {
        assert_eq!(judge(name), Callable::Unknown, "{name}");
    }
    assert!(matches!(judge("evil_module.Payload"), Callable::Unusual(_)));
    assert!(matches!(judge("sqlite3.connect"), Callable::Unusual(_)));
}

#[test]
fn methods_named_like_builtins_are_not_marks_of_code() {
    assert_eq!(code_mark("model.eval()"), None);
    assert_eq!(code_mark("re.compile('x')"), None);
    assert_eq!(code_mark("torch.device('cuda')"), None);
    assert_eq!(code_mark("x = eval('1')"), Some("eval("));
    assert_eq!(code_mark("__import__('os')"), Some("__import__"));
}

#[test]
fn excerpts_are_cut() {
    assert_eq!(excerpt(&json!({"a": [1, 2]}), 100), r#"{"a":[1,2]}"#);
    assert_eq!(excerpt(&json!("x".repeat(1 << 20)), 4), "\"xxx…");
}
