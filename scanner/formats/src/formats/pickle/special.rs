//! Functions whose arguments decide what they do. The machine evaluates them.

/// What a function does with its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// `getattr(object, name)`
    GetAttribute,
    /// `functools.partial(function, …)`
    Partial,
    /// `copyreg._reconstructor(class, base, state)`
    Reconstructor,
    /// `copyreg.__newobj__(class, …)`
    NewObject,
    /// `numpy.core._ufunc_reconstruct(module, name)`
    ModuleAndName,
    /// `operator.attrgetter(name, …)`
    AttributeGetter,
    /// `operator.itemgetter(key, …)`
    ItemGetter,
    /// `operator.methodcaller(name, …)`
    MethodCaller,
    /// `type(object)` or `type(name, bases, namespace)`
    Type,
    /// `f(function, …, args, state)`: calls `function(*args)`.
    CallsFirst,
    /// `torch.storage._load_from_bytes(bytes)`
    LoadsTorch,
    /// Any function that loads the pickle, or code object, it is given.
    LoadsBytes,
    /// `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, …)`
    RebuildTensor,
    /// Sets attributes of what it rebuilds from its last argument.
    RebuildWithState,
    /// `operator.getitem(typing.List, int)`
    GetItem,
    /// `__import__(module)`, `import_module(module)`
    Import,
    /// `cloudpickle.subimport(module)`: harmless where the module is.
    ImportKnown,
    /// `pkgutil.resolve_name("module:name")`
    ResolveName,
    /// `copyreg.add_extension(module, name, code)`
    AddExtension,
    /// `dill._load_type("CodeType")`
    TypeByName,
    /// `types.CodeType(…)` and what wraps it
    MakeCode,
    /// Allocates as many bytes as it is told.
    Allocates,
    /// Text and byte functions, evaluated when a name depends on them.
    Compute,
}

/// The meaning of `module.name` (names of Python 3), if it is one of these.
#[must_use]
pub fn special(module: &str, name: &str) -> Option<Special> {
    use Special as S;
    Some(match (module, name) {
        ("builtins", "getattr") | ("dill._dill" | "dill.dill", "_get_attr" | "_getattribute") => S::GetAttribute,
        ("functools" | "_functools", "partial") => S::Partial,
        ("copyreg", "_reconstructor") => S::Reconstructor,
        ("copyreg", "__newobj__" | "__newobj_ex__") => S::NewObject,
        ("numpy.core" | "numpy._core", "_ufunc_reconstruct") => S::ModuleAndName,
        ("operator" | "_operator", "attrgetter") => S::AttributeGetter,
        ("operator" | "_operator", "itemgetter") => S::ItemGetter,
        ("operator" | "_operator", "methodcaller") => S::MethodCaller,
        ("builtins", "type") => S::Type,
        ("torch._tensor", "_rebuild_from_type" | "_rebuild_from_type_v2")
        | ("dill._dill" | "dill.dill", "_create_array")
        | ("jax._src.array", "_reconstruct_array") => S::CallsFirst,
        ("torch.storage", "_load_from_bytes") => S::LoadsTorch,
        ("pickle" | "_pickle" | "cloudpickle" | "dill" | "dill._dill" | "marshal", "loads" | "_loads") => S::LoadsBytes,
        // spaCy keeps functions as pickles inside the pickle.
        ("spacy.vocab", "unpickle_vocab") | ("spacy.tokens.doc", "unpickle_doc") => S::LoadsBytes,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3") => S::RebuildTensor,
        ("torch._utils", "_rebuild_parameter_with_state") => S::RebuildWithState,
        ("operator" | "_operator", "getitem") => S::GetItem,
        ("builtins", "__import__") | ("importlib", "import_module" | "__import__") => S::Import,
        ("cloudpickle.cloudpickle" | "cloudpickle", "subimport") | ("dill._dill" | "dill.dill", "_import_module") => {
            S::ImportKnown
        }
        ("pkgutil", "resolve_name") | ("pydoc", "locate") | ("logging.config", "_resolve") => S::ResolveName,
        ("copyreg", "add_extension") => S::AddExtension,
        ("cloudpickle.cloudpickle" | "cloudpickle", "_builtin_type") | ("dill._dill" | "dill.dill", "_load_type") => {
            S::TypeByName
        }
        ("types", "CodeType") | ("dill._dill" | "dill.dill", "_create_code") => S::MakeCode,
        ("builtins", "bytearray" | "bytes") => S::Allocates,
        ("_codecs" | "codecs", "encode" | "decode")
        | ("operator" | "_operator", "add" | "concat" | "iadd" | "iconcat")
        | ("builtins", "str" | "chr" | "str.join" | "bytes.decode" | "str.encode")
        | ("base64", "b64decode" | "standard_b64decode" | "urlsafe_b64decode" | "b32decode" | "b16decode")
        | ("binascii", "unhexlify" | "a2b_hex" | "a2b_base64")
        | ("zlib", "decompress") => S::Compute,
        _ => return None,
    })
}
