//! Which functions of Python and of common libraries hand control, files or
//! the network to their caller. Names are as they resolve after imports.

use super::value::taint;

/// What a call can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Danger {
    /// Starts a process.
    RunsCommand,
    /// Evaluates text as Python.
    EvaluatesText,
    /// Opens connections or fetches from the network.
    UsesNetwork,
    /// A raw socket, half of a reverse shell.
    OpensSocket,
    /// Replaces standard input or output: the other half.
    RedirectsStreams,
    /// Loads a native library or compiles one.
    LoadsNativeCode,
    /// Unpickles.
    LoadsObjects,
    /// Makes code from marshalled bytes.
    LoadsCode,
    /// Deletes files.
    DeletesFiles,
    /// Writes, moves or changes files.
    WritesFiles,
    /// `open`, which matters when it writes.
    OpensFile,
    /// Hands the environment or the content of a key file to another host.
    SendsSecrets,
    /// Reaches names or objects in a way that hides which.
    HidesNames,
    /// Reads keystrokes, the screen, the clipboard or password stores.
    Spies,
    /// Changes how the interpreter imports or traces everything else.
    HooksInterpreter,
}

use Danger::{
    DeletesFiles, EvaluatesText, HooksInterpreter, LoadsCode, LoadsNativeCode, LoadsObjects, OpensFile, OpensSocket,
    RedirectsStreams, RunsCommand, Spies, UsesNetwork, WritesFiles,
};

/// Names, sorted; an entry ending in `.*` stands for everything below it.
static TABLE: &[(&str, Danger)] = &[
    ("_ctypes.dlopen", LoadsNativeCode),
    ("_posixsubprocess.*", RunsCommand),
    ("_winapi.CreateProcess", RunsCommand),
    ("aiohttp.*", UsesNetwork),
    ("asyncio.create_subprocess_exec", RunsCommand),
    ("asyncio.create_subprocess_shell", RunsCommand),
    ("asyncio.open_connection", UsesNetwork),
    ("asyncio.start_server", UsesNetwork),
    ("asyncio.subprocess.*", RunsCommand),
    ("asyncssh.*", UsesNetwork),
    ("bdb.Bdb().run", EvaluatesText),
    ("browser_cookie3.*", Spies),
    ("builtins.breakpoint", EvaluatesText),
    ("builtins.eval", EvaluatesText),
    ("builtins.exec", EvaluatesText),
    ("builtins.execfile", EvaluatesText),
    ("builtins.open", OpensFile),
    ("cProfile.run", EvaluatesText),
    ("cProfile.runctx", EvaluatesText),
    ("cffi.FFI().dlopen", LoadsNativeCode),
    ("cffi.FFI().verify", LoadsNativeCode),
    ("cloudpickle.load", LoadsObjects),
    ("cloudpickle.loads", LoadsObjects),
    ("code.InteractiveConsole().push", EvaluatesText),
    ("code.InteractiveInterpreter().runcode", EvaluatesText),
    ("code.InteractiveInterpreter().runsource", EvaluatesText),
    ("code.interact", EvaluatesText),
    ("codecs.open", OpensFile),
    ("commands.*", RunsCommand),
    ("ctypes.CDLL", LoadsNativeCode),
    ("ctypes.CDLL().execv", RunsCommand),
    ("ctypes.CDLL().execve", RunsCommand),
    ("ctypes.CDLL().popen", RunsCommand),
    ("ctypes.CDLL().system", RunsCommand),
    ("ctypes.LibraryLoader", LoadsNativeCode),
    ("ctypes.OleDLL", LoadsNativeCode),
    ("ctypes.PyDLL", LoadsNativeCode),
    ("ctypes.WinDLL", LoadsNativeCode),
    ("ctypes.cdll.*", LoadsNativeCode),
    ("ctypes.memmove", LoadsNativeCode),
    ("ctypes.oledll.*", LoadsNativeCode),
    ("ctypes.pydll.*", LoadsNativeCode),
    ("ctypes.pythonapi.*", LoadsNativeCode),
    ("ctypes.windll.*", LoadsNativeCode),
    ("cupy.RawModule", LoadsNativeCode),
    ("dill.load", LoadsObjects),
    ("dill.loads", LoadsObjects),
    ("distutils.spawn.spawn", RunsCommand),
    ("dns.resolver.*", UsesNetwork),
    ("ensurepip.*", RunsCommand),
    ("fabric.*", RunsCommand),
    ("ftplib.*", UsesNetwork),
    ("http.client.*", UsesNetwork),
    ("http.server.*", UsesNetwork),
    ("httplib.*", UsesNetwork),
    ("httpx.*", UsesNetwork),
    ("imaplib.*", UsesNetwork),
    ("imp.load_dynamic", LoadsNativeCode),
    ("imp.load_source", EvaluatesText),
    ("importlib.machinery.ExtensionFileLoader", LoadsNativeCode),
    ("invoke.run", RunsCommand),
    ("io.open", OpensFile),
    ("joblib.load", LoadsObjects),
    ("jsonpickle.decode", LoadsObjects),
    ("keyring.get_password", Spies),
    ("marshal.load", LoadsCode),
    ("marshal.loads", LoadsCode),
    ("mss.*", Spies),
    ("multiprocessing.util.spawnv_passfds", RunsCommand),
    ("numpy.ctypeslib.load_library", LoadsNativeCode),
    ("numpy.f2py.compile", LoadsNativeCode),
    ("os.chmod", WritesFiles),
    ("os.dup2", RedirectsStreams),
    ("os.execl", RunsCommand),
    ("os.execle", RunsCommand),
    ("os.execlp", RunsCommand),
    ("os.execlpe", RunsCommand),
    ("os.execv", RunsCommand),
    ("os.execve", RunsCommand),
    ("os.execvp", RunsCommand),
    ("os.execvpe", RunsCommand),
    ("os.link", WritesFiles),
    ("os.popen", RunsCommand),
    ("os.popen2", RunsCommand),
    ("os.popen3", RunsCommand),
    ("os.popen4", RunsCommand),
    ("os.posix_spawn", RunsCommand),
    ("os.posix_spawnp", RunsCommand),
    ("os.remove", DeletesFiles),
    ("os.removedirs", DeletesFiles),
    ("os.rename", WritesFiles),
    ("os.replace", WritesFiles),
    ("os.rmdir", DeletesFiles),
    ("os.spawnl", RunsCommand),
    ("os.spawnle", RunsCommand),
    ("os.spawnlp", RunsCommand),
    ("os.spawnlpe", RunsCommand),
    ("os.spawnv", RunsCommand),
    ("os.spawnve", RunsCommand),
    ("os.spawnvp", RunsCommand),
    ("os.spawnvpe", RunsCommand),
    ("os.startfile", RunsCommand),
    ("os.symlink", WritesFiles),
    ("os.system", RunsCommand),
    ("os.unlink", DeletesFiles),
    ("pandas.eval", EvaluatesText),
    ("pandas.read_pickle", LoadsObjects),
    ("paramiko.*", UsesNetwork),
    ("pathlib.Path().rmdir", DeletesFiles),
    ("pathlib.Path().unlink", DeletesFiles),
    ("pathlib.Path().write_bytes", WritesFiles),
    ("pathlib.Path().write_text", WritesFiles),
    ("pdb.run", EvaluatesText),
    ("pdb.runeval", EvaluatesText),
    ("pexpect.*", RunsCommand),
    ("pickle.Unpickler().load", LoadsObjects),
    ("pickle.load", LoadsObjects),
    ("pickle.loads", LoadsObjects),
    ("pip._internal.cli.main.main", RunsCommand),
    ("pip._internal.main", RunsCommand),
    ("pip._internal.main.main", RunsCommand),
    ("pip.main", RunsCommand),
    ("platform.popen", RunsCommand),
    ("plumbum.*", RunsCommand),
    ("popen2.*", RunsCommand),
    ("poplib.*", UsesNetwork),
    ("posix.*", RunsCommand),
    ("profile.run", EvaluatesText),
    ("pty.spawn", RunsCommand),
    ("pyautogui.screenshot", Spies),
    ("pydoc.pipepager", RunsCommand),
    ("pynput.*", Spies),
    ("pyperclip.paste", Spies),
    ("requests.*", UsesNetwork),
    ("runpy.run_module", EvaluatesText),
    ("runpy.run_path", EvaluatesText),
    ("sh.*", RunsCommand),
    ("shelve.open", LoadsObjects),
    ("shutil.copy", WritesFiles),
    ("shutil.copy2", WritesFiles),
    ("shutil.copyfile", WritesFiles),
    ("shutil.copytree", WritesFiles),
    ("shutil.move", WritesFiles),
    ("shutil.rmtree", DeletesFiles),
    ("site.addsitedir", EvaluatesText),
    ("smtplib.*", UsesNetwork),
    ("socket.create_connection", OpensSocket),
    ("socket.create_server", OpensSocket),
    ("socket.socket", OpensSocket),
    ("socketserver.*", UsesNetwork),
    ("subprocess.*", RunsCommand),
    ("sys.meta_path.*", HooksInterpreter),
    ("sys.path_hooks.*", HooksInterpreter),
    ("sys.setprofile", HooksInterpreter),
    ("sys.settrace", HooksInterpreter),
    ("telnetlib.*", UsesNetwork),
    ("tensorflow.load_library", LoadsNativeCode),
    ("tensorflow.load_op_library", LoadsNativeCode),
    ("tf.load_library", LoadsNativeCode),
    ("tf.load_op_library", LoadsNativeCode),
    ("timeit.repeat", EvaluatesText),
    ("timeit.timeit", EvaluatesText),
    ("torch.classes.load_library", LoadsNativeCode),
    ("torch.ops.load_library", LoadsNativeCode),
    ("torch.utils.cpp_extension.load", LoadsNativeCode),
    ("torch.utils.cpp_extension.load_inline", LoadsNativeCode),
    ("types.CodeType", LoadsCode),
    ("types.FunctionType", LoadsCode),
    ("urllib.URLopener", UsesNetwork),
    ("urllib.request.*", UsesNetwork),
    ("urllib.urlopen", UsesNetwork),
    ("urllib.urlretrieve", UsesNetwork),
    ("urllib2.*", UsesNetwork),
    ("urllib3.*", UsesNetwork),
    ("webbrowser.*", UsesNetwork),
    ("websocket.*", UsesNetwork),
    ("websockets.*", UsesNetwork),
    ("wget.download", UsesNetwork),
    ("win32api.ShellExecute", RunsCommand),
    ("win32api.WinExec", RunsCommand),
    ("xmlrpc.client.*", UsesNetwork),
    ("yaml.full_load", LoadsObjects),
    ("yaml.unsafe_load", LoadsObjects),
];

/// Below a `.*` entry, names that do nothing by themselves: constants,
/// exceptions, helpers.
static HARMLESS: &[&str] = &[
    "aiohttp.ClientTimeout",
    "httpx.Timeout",
    "posix.fspath",
    "posix.getcwd",
    "posix.getpid",
    "posix.listdir",
    "posix.stat",
    "posix.urandom",
    "requests.adapters.HTTPAdapter",
    "requests.compat.urljoin",
    "subprocess.TimeoutExpired",
    "subprocess.list2cmdline",
    "urllib.request.Request",
    "urllib.request.pathname2url",
    "urllib.request.url2pathname",
];

/// Modules known by another name.
static ALIASES: &[(&str, &str)] = &[
    ("_io.", "io."),
    ("_pickle.", "pickle."),
    ("cPickle.", "pickle."),
    ("__builtin__.", "builtins."),
    ("__builtins__.", "builtins."),
    ("builtins.__builtins__.", "builtins."),
    ("builtins.__dict__.", "builtins."),
    ("six.moves.urllib.", "urllib."),
    ("six.moves.cPickle.", "pickle."),
    ("nt.", "posix."),
];

/// What a call of `path` can do.
pub(super) fn classify(path: &str) -> Option<Danger> {
    if path.is_empty() {
        return None;
    }
    let aliased = ALIASES.iter().find_map(|(from, to)| path.strip_prefix(from).map(|rest| format!("{to}{rest}")));
    let path = aliased.as_deref().unwrap_or(path);
    let find = |name: &str| TABLE.binary_search_by(|(entry, _)| (*entry).cmp(name)).ok();
    if let Some((_, danger)) = find(path).and_then(|index| TABLE.get(index)) {
        return Some(*danger);
    }
    if HARMLESS.binary_search(&path).is_ok() {
        return None;
    }
    // Only functions of the module itself, not methods of what they return.
    if path.contains("()") {
        return None;
    }
    let last = path.rsplit('.').next().unwrap_or_default();
    if last.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        || last.ends_with("Error")
        || last.ends_with("Exception")
    {
        return None;
    }
    let mut end = path.len();
    while let Some(dot) = path.get(..end).and_then(|p| p.rfind('.')) {
        let parent = path.get(..dot).unwrap_or_default();
        if let Some((_, danger)) = find(&format!("{parent}.*")).and_then(|index| TABLE.get(index)) {
            return Some(*danger);
        }
        end = dot;
    }
    None
}

/// Where the result of a call of `path` comes from, as flags of [`taint`].
pub(super) fn origin(path: &str) -> u8 {
    const DECODERS: &[&str] = &[
        "base64.",
        "binascii.",
        "zlib.",
        "gzip.decompress",
        "bz2.decompress",
        "lzma.decompress",
        "marshal.",
        "codecs.decode",
        "builtins.bytes.fromhex",
        "builtins.bytearray.fromhex",
        "Crypto.",
        "cryptography.",
        "nacl.",
        "pyaes.",
    ];
    if DECODERS.iter().any(|d| path.starts_with(d)) {
        return taint::DECODED;
    }
    match classify(path) {
        Some(UsesNetwork) => taint::REMOTE,
        // What a socket receives, not what it is.
        _ if path.starts_with("socket.") && (path.contains(".recv") || path.contains(".makefile")) => taint::REMOTE,
        Some(OpensFile) => taint::FILE,
        _ if path.ends_with(".read_text") || path.ends_with(".read_bytes") => taint::FILE,
        _ if path == "os.environ.copy" || path == "os.environ.items" => taint::ENVIRONMENT,
        _ => 0,
    }
}

/// Whether a call of `path` can carry its arguments to another host.
pub(super) fn sends(path: &str) -> bool {
    const SENDERS: &[&str] =
        &[".post", ".put", ".urlopen", ".request", ".Request", ".send", ".sendall", ".sendto", ".sendmail", ".patch"];
    SENDERS.iter().any(|s| path.ends_with(s))
}

/// Whether a name of `module` itself is in the table.
pub(super) fn is_listed_module(module: &str) -> bool {
    TABLE.iter().any(|(entry, _)| entry.rsplit_once('.').is_some_and(|(m, _)| m == module))
        || ALIASES.iter().any(|(from, _)| from.strip_suffix('.') == Some(module))
}

/// A built-in function or constant that matters here.
pub(super) fn is_builtin(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "__builtins__",
        "__import__",
        "breakpoint",
        "bytearray",
        "bytes",
        "chr",
        "compile",
        "eval",
        "exec",
        "execfile",
        "getattr",
        "globals",
        "iter",
        "list",
        "locals",
        "map",
        "memoryview",
        "object",
        "open",
        "reversed",
        "setattr",
        "str",
        "tuple",
        "type",
        "vars",
    ];
    NAMES.binary_search(&name).is_ok()
}

/// The place of secrets that `text` names, if it does.
pub(super) fn secret_place(text: &str) -> Option<&'static str> {
    const PLACES: &[&str] = &[
        ".ssh/id_",
        ".ssh/authorized_keys",
        ".aws/credentials",
        ".netrc",
        ".git-credentials",
        ".docker/config.json",
        ".kube/config",
        ".config/gcloud",
        ".azure/",
        ".gnupg",
        "/etc/shadow",
        "/etc/passwd",
        "Login Data",
        "Cookies.sqlite",
        "cookies.sqlite",
        "logins.json",
        "key4.db",
        "wallet.dat",
        ".bitcoin",
        ".ethereum",
        ".bash_history",
        ".zsh_history",
        "169.254.169.254",
        "metadata.google.internal",
        ".pypirc",
        ".npmrc",
        ".huggingface/token",
        ".cache/huggingface/token",
    ];
    PLACES.iter().copied().find(|place| text.contains(place))
}

/// A place whose content the system or a login runs, or that takes keys.
pub(super) fn startup_place(text: &str) -> Option<&'static str> {
    const PLACES: &[&str] = &[
        ".bashrc",
        ".bash_profile",
        ".profile",
        ".zshrc",
        ".zshenv",
        ".ssh/authorized_keys",
        "/etc/cron",
        "crontab",
        "/etc/ld.so.preload",
        "/etc/rc.local",
        "/etc/systemd",
        ".config/systemd",
        ".config/autostart",
        "LaunchAgents",
        "LaunchDaemons",
        "Start Menu/Programs/Startup",
        "Start Menu\\Programs\\Startup",
        "sitecustomize.py",
        "usercustomize.py",
        "/etc/profile",
        "/etc/sudoers",
        "/etc/passwd",
        "/etc/shadow",
        "/etc/hosts",
    ];
    PLACES.iter().copied().find(|place| text.contains(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_for_the_search() {
        assert!(TABLE.windows(2).all(|w| w[0].0 < w[1].0), "{:?}", TABLE.windows(2).find(|w| w[0].0 >= w[1].0));
        assert!(HARMLESS.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn families_exact_names_and_aliases_are_found() {
        assert_eq!(classify("os.system"), Some(RunsCommand));
        assert_eq!(classify("subprocess.Popen"), Some(RunsCommand));
        assert_eq!(classify("cPickle.loads"), Some(LoadsObjects));
        assert_eq!(classify("__builtins__.eval"), Some(EvaluatesText));
        assert_eq!(classify("os.path.join"), None);
        assert_eq!(classify("subprocess.CalledProcessError"), None);
        assert_eq!(classify("systems.run"), None);
    }
}
