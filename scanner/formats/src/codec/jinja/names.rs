//! Names that lead out of the sandbox (`jinja2/sandbox.py`, and the ways
//! around it that were published).

/// Attributes of functions, generators, frames and classes that reach the
/// interpreter without underscores.
const UNSAFE_ATTRIBUTES: &str = "mro func_globals func_code func_closure func_defaults func_dict im_class im_func im_self gi_frame gi_code \
    gi_yieldfrom cr_frame cr_code ag_frame ag_code f_globals f_locals f_builtins f_back f_code tb_frame \
    tb_next co_code co_consts environment_class linecache format_map";

/// Double-underscore names that as a whole string, or inside one, are only
/// good for leaving the sandbox.
const LEADS_OUT: &str = "__class__ __mro__ __base__ __bases__ __subclasses__ __globals__ __builtins__ __import__ __getattribute__ \
    __getattr__ __getitem__ __code__ __closure__ __func__ __self__ __reduce__ __reduce_ex__ __loader__ \
    __spec__ __wrapped__ __init_subclass__ __subclasshook__ __call__";

/// As above, but also found in honest text about Python.
const LEADS_OUT_AS_WHOLE: &str = "__init__ __dict__ __module__ __new__ __enter__ __exit__ __name__ __doc__";

/// Functions that run code, read or write files, or open connections.
const FORBIDDEN_CALLS: &str = "eval exec execfile compile __import__ open input breakpoint getattr setattr globals locals vars popen \
    popen2 popen3 popen4 Popen system check_output check_call getoutput getstatusoutput spawnl spawnlp spawnv \
    spawnve spawnvp posix_spawn execl execle execlp execv execve execvp execvpe fork forkpty import_module \
    load_module import_string from_string get_template render_template_string urlopen urlretrieve startfile \
    rmtree unlink create_subprocess_shell create_subprocess_exec run_path run_module pty_spawn CDLL \
    load_library";

/// Modules a template has no business with.
const MODULES: &str = "os posix nt sys subprocess builtins importlib shutil socket pty ctypes pickle marshal runpy urllib \
    requests pathlib platform commands __builtins__";

/// Objects that every Jinja environment (or Flask's) hands to a template and
/// that honest chat templates do not touch.
const ENVIRONMENT_OBJECTS: &str =
    "lipsum cycler joiner self request config session url_for get_flashed_messages g application environ";

/// Attributes of those objects that Jinja documents.
const DOCUMENTED: &str = "next reset current";

/// Whether `name` is one of the words of `table`.
pub fn is_in(table: &str, name: &str) -> bool {
    table.split(' ').any(|word| word == name)
}

/// What an attribute or subscript of this name does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nothing special.
    Harmless,
    /// It is private: sandboxes refuse it.
    Private,
    /// It leads to Python's object graph.
    Out,
}

/// Judges an attribute name, however it was spelt.
pub fn attribute(name: &str) -> Reach {
    let dunder = name.len() > 4 && name.starts_with("__") && name.ends_with("__");
    if dunder || name.starts_with("_TemplateReference") || is_in(UNSAFE_ATTRIBUTES, name) {
        Reach::Out
    } else if name.starts_with('_') && name.len() > 1 {
        Reach::Private
    } else {
        Reach::Harmless
    }
}

/// The name in `text` that leads out of the sandbox, if any.
pub fn leads_out(text: &str) -> Option<&'static str> {
    if !text.contains("__") {
        return None;
    }
    let whole = text.trim();
    let named = LEADS_OUT_AS_WHOLE.split(' ').find(|name| whole == *name);
    named.or_else(|| LEADS_OUT.split(' ').find(|name| text.contains(name)))
}

/// Whether `text` is a piece of a double-underscore name, as it is left when
/// someone hides the whole: `__cl`, `ass__`, `__`.
pub fn is_fragment(text: &str) -> bool {
    let core = text.trim_matches('_');
    let lead = text.len() - text.trim_start_matches('_').len();
    let trail = text.len() - text.trim_end_matches('_').len();
    let word = core.bytes().all(|b| b.is_ascii_lowercase());
    text == "__" || word && core.len() >= 2 && core.len() <= 16 && (lead == 2 && trail == 0 || lead == 0 && trail == 2)
}

/// Whether calling a function or method of this name is an attack.
pub fn is_forbidden_call(name: &str) -> bool {
    is_in(FORBIDDEN_CALLS, name)
}

/// Whether `name` is a module.
pub fn is_module(name: &str) -> bool {
    is_in(MODULES, name)
}

/// Whether `name` is an object of the environment.
pub fn is_environment_object(name: &str) -> bool {
    is_in(ENVIRONMENT_OBJECTS, name)
}

/// Whether `name` is a documented attribute of such an object.
pub fn is_documented(name: &str) -> bool {
    is_in(DOCUMENTED, name)
}

/// Code in a string: what an attacker passes to `eval`.
pub fn code_in_text(text: &str) -> Option<&'static str> {
    const CODE: &[&str] = &[
        "os.system(",
        "os.popen(",
        "subprocess.run(",
        "subprocess.Popen(",
        "subprocess.call(",
        "subprocess.check_output(",
        "__import__(",
        "import os;",
        "import subprocess",
        "/etc/passwd",
        "/etc/shadow",
        "bash -i >&",
        "bash -c ",
        "| sh\n",
        "|bash",
        "| bash",
        "nc -e ",
        "powershell -",
        "/dev/tcp/",
        "builtins.eval",
        "builtins.exec",
    ];
    CODE.iter().find(|code| text.contains(**code)).copied()
}
