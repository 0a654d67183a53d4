//! The names. Lists of words are text, one word beside the other.

const COMMANDS: &str = "runs commands";
const CODE: &str = "runs code";
const LOADS: &str = "loads code or pickles";
const FILES: &str = "changes files";
const NETWORK: &str = "opens connections";
const REFLECTS: &str = "reaches any function by name";

/// Modules and functions that are dangerous whatever their arguments. A name
/// matches itself and everything below it.
pub(super) const DANGEROUS: &[(&str, &str)] = &[
    ("os", COMMANDS),
    ("posix", COMMANDS),
    ("nt", COMMANDS),
    ("posixpath.os", COMMANDS),
    ("ntpath.os", COMMANDS),
    ("_posixsubprocess", COMMANDS),
    ("_winapi", COMMANDS),
    ("subprocess", COMMANDS),
    ("commands", COMMANDS),
    ("popen2", COMMANDS),
    ("pty", COMMANDS),
    ("sh", COMMANDS),
    ("plumbum", COMMANDS),
    ("pexpect", COMMANDS),
    ("invoke", COMMANDS),
    ("fabric", COMMANDS),
    ("platform.popen", COMMANDS),
    ("platform.os", COMMANDS),
    ("asyncio.create_subprocess_exec", COMMANDS),
    ("asyncio.create_subprocess_shell", COMMANDS),
    ("asyncio.subprocess", COMMANDS),
    ("multiprocessing.Process", COMMANDS),
    ("multiprocessing.util", COMMANDS),
    ("distutils", COMMANDS),
    ("webbrowser", COMMANDS),
    ("antigravity", COMMANDS),
    ("idlelib", COMMANDS),
    ("imaplib.IMAP4_stream", COMMANDS),
    ("uuid._popen", COMMANDS),
    ("uuid._get_command_stdout", COMMANDS),
    ("_osx_support", COMMANDS),
    ("_aix_support", COMMANDS),
    ("_pyrepl", COMMANDS),
    ("builtins.eval", CODE),
    ("builtins.exec", CODE),
    ("builtins.execfile", CODE),
    ("builtins.compile", CODE),
    ("builtins.input", CODE),
    ("builtins.breakpoint", CODE),
    ("builtins.help", CODE),
    ("builtins.__import__", LOADS),
    ("builtins.open", FILES),
    ("builtins.getattr", REFLECTS),
    ("builtins.setattr", REFLECTS),
    ("builtins.delattr", REFLECTS),
    ("builtins.globals", REFLECTS),
    ("builtins.vars", REFLECTS),
    ("builtins.__dict__", REFLECTS),
    ("code.interact", CODE),
    ("code.InteractiveInterpreter", CODE),
    ("code.InteractiveConsole", CODE),
    ("codeop", CODE),
    ("profile.run", CODE),
    ("profile.runctx", CODE),
    ("profile.Profile", CODE),
    ("trace.Trace", CODE),
    ("fire.Fire", CODE),
    ("bdb", CODE),
    ("pdb", CODE),
    ("cProfile", CODE),
    ("timeit", CODE),
    ("doctest", CODE),
    ("pydoc", CODE),
    ("runpy", CODE),
    ("types.CodeType", CODE),
    ("types.FunctionType", CODE),
    ("types.MethodType", CODE),
    ("lib2to3", CODE),
    ("ensurepip", CODE),
    ("venv", CODE),
    ("pip", CODE),
    ("setuptools", CODE),
    ("pkg_resources", CODE),
    ("IPython", CODE),
    ("ipykernel", CODE),
    ("sys.settrace", CODE),
    ("sys.setprofile", CODE),
    ("sys.modules", REFLECTS),
    ("operator.attrgetter", REFLECTS),
    ("operator.methodcaller", REFLECTS),
    ("pkgutil", REFLECTS),
    ("importlib", LOADS),
    ("imp.load_source", LOADS),
    ("imp.load_module", LOADS),
    ("imp.load_dynamic", LOADS),
    ("site.execsitecustomize", LOADS),
    ("site.addpackage", LOADS),
    ("zipimport", LOADS),
    ("zipapp", LOADS),
    ("ctypes", LOADS),
    ("_ctypes", LOADS),
    ("cffi", LOADS),
    ("marshal", LOADS),
    ("pickle", LOADS),
    ("_pickle", LOADS),
    ("cPickle", LOADS),
    ("pickletools", LOADS),
    ("shelve", LOADS),
    ("dill", LOADS),
    ("cloudpickle", LOADS),
    ("jsonpickle", LOADS),
    ("yaml.load", LOADS),
    ("yaml.load_all", LOADS),
    ("yaml.full_load", LOADS),
    ("yaml.unsafe_load", LOADS),
    ("yaml.unsafe_load_all", LOADS),
    ("shutil", FILES),
    ("io.open", FILES),
    ("io.FileIO", FILES),
    ("_io", FILES),
    ("codecs.open", FILES),
    ("pathlib.Path.write_text", FILES),
    ("pathlib.Path.write_bytes", FILES),
    ("pathlib.Path.unlink", FILES),
    ("socket", NETWORK),
    ("_socket", NETWORK),
    ("http", NETWORK),
    ("urllib", NETWORK),
    ("urllib2", NETWORK),
    ("urllib3", NETWORK),
    ("httplib", NETWORK),
    ("requests", NETWORK),
    ("httpx", NETWORK),
    ("aiohttp", NETWORK),
    ("ftplib", NETWORK),
    ("smtplib", NETWORK),
    ("imaplib", NETWORK),
    ("poplib", NETWORK),
    ("telnetlib", NETWORK),
    ("socketserver", NETWORK),
    ("xmlrpc", NETWORK),
    ("paramiko", NETWORK),
    ("wget", NETWORK),
    // Inside libraries that are otherwise known.
    ("torch.package", LOADS),
    ("torch.ops.load_library", LOADS),
    ("torch.classes.load_library", LOADS),
    ("torch.utils.cpp_extension", LOADS),
    ("torch.utils.collect_env", COMMANDS),
    ("torch.utils.bottleneck", CODE),
    ("torch.utils._config_module", LOADS),
    ("torch.distributed.rpc", CODE),
    ("torch.distributed.run", COMMANDS),
    ("torch.distributed.launch", COMMANDS),
    ("torch.distributed.elastic", COMMANDS),
    ("torch._dynamo.guards", CODE),
    ("torch._inductor", CODE),
    ("torch.fx.experimental", CODE),
    ("torch.jit.unsupported_tensor_ops", CODE),
    ("torch.multiprocessing.spawn", CODE),
    ("numpy.f2py", COMMANDS),
    ("numpy.distutils", COMMANDS),
    ("numpy.testing", CODE),
    ("numpy.ctypeslib", LOADS),
    ("pandas.eval", CODE),
    ("pandas.core.computation", CODE),
    ("numexpr", CODE),
    ("tensorflow.io.write_file", FILES),
    ("tensorflow.io.gfile", FILES),
    ("tensorflow.load_library", LOADS),
    ("tensorflow.load_op_library", LOADS),
    ("tensorflow.py_function", CODE),
    ("tensorflow.numpy_function", CODE),
    ("keras.utils.get_file", NETWORK),
    ("keras.src.utils.file_utils", NETWORK),
    ("transformers.dynamic_module_utils", LOADS),
    ("transformers.utils.import_utils", LOADS),
    ("mlflow.projects", COMMANDS),
    ("mlflow.run", COMMANDS),
    ("fairseq.utils.import_user_module", LOADS),
    ("nltk.downloader", NETWORK),
    ("PIL.ImageMath", CODE),
    ("hydra._internal", REFLECTS),
];

/// Functions that load pickles or code from wherever their arguments say:
/// some research configurations do, models for others should not.
pub(super) const UNUSUAL: &[(&str, &str)] = &[
    ("torch.load", "loads a pickle"),
    ("torch.serialization.load", "loads a pickle"),
    ("torch.hub", "downloads and runs code"),
    ("torch.utils.model_zoo", "downloads and loads a pickle"),
    ("joblib.load", "loads a pickle"),
    ("joblib.numpy_pickle", "loads a pickle"),
    ("pandas.read_pickle", "loads a pickle"),
    ("pandas.io.pickle", "loads a pickle"),
    ("nltk.data.load", "loads a pickle"),
    ("mlflow.pyfunc.load_model", "loads a pickle"),
    ("tensorflow.io.read_file", "reads files"),
    ("logging.config", "calls what its argument names"),
];

/// Harmless names below entries of [`DANGEROUS`] and [`UNUSUAL`].
pub(super) const HARMLESS: &[&str] = &[
    "os.path",
    "os.getenv",
    "os.getcwd",
    "os.cpu_count",
    "os.environ.get",
    "os.PathLike",
    "os.sep",
    "tempfile.gettempdir",
    "importlib.metadata.version",
    "importlib.resources.files",
    "http.HTTPStatus",
    "socket.gethostname",
];

/// Roots of the standard library with nothing dangerous that [`DANGEROUS`]
/// does not name.
pub(super) const HARMLESS_STANDARD: &str = "
    abc argparse array base64 bisect calendar collections colorsys configparser contextlib copy copyreg csv
    dataclasses datetime decimal difflib enum fnmatch fractions functools glob graphlib hashlib heapq itertools
    json locale logging math numbers operator pathlib posixpath pprint queue random re secrets statistics string
    struct textwrap time types typing unicodedata uuid warnings weakref zoneinfo
";

/// Other roots of the standard library: nothing in them builds a model.
pub(super) const OTHER_STANDARD: &str = "
    _thread aifc ast asynchat asyncio asyncore atexit audioop binascii bz2 cgi cgitb chunk cmd compileall
    concurrent crypt curses dbm dis email errno faulthandler fcntl filecmp fileinput formatter gc getopt getpass
    gettext grp gzip hmac html imghdr inspect io ipaddress linecache lzma mailbox mailcap mimetypes mmap
    modulefinder msilib msvcrt multiprocessing netrc nntplib ntpath opcode optparse ossaudiodev pipes platform
    plistlib pwd py_compile pyclbr quopri readline reprlib resource rlcompleter sched select selectors signal
    smtpd sndhdr spwd sqlite3 ssl stat symtable sys sysconfig syslog tabnanny tarfile tempfile termios threading
    tkinter token tokenize traceback tracemalloc tty turtle unittest uu winreg winsound wsgiref xdrlib xml
    zipfile zlib
";

/// Built-in functions and types that make plain values.
pub(super) const HARMLESS_BUILTINS: &str = "
    abs all any ascii bin bool bytearray bytes chr complex dict divmod enumerate filter float format frozenset
    hash hex id int isinstance issubclass iter len list long map max memoryview min next object oct ord pow
    print range repr reversed round set slice sorted str sum tuple type unicode xrange zip
";

/// Roots of libraries that model configurations name.
pub(super) const KNOWN_ROOTS: &str = "
    accelerate addict albumentations apex attr attrs audiocraft audiotools autogluon bitsandbytes box catboost
    cleanfid clip coqui cosyvoice dac datasets deepspeed detectron2 diffusers easydict einops encodec espnet
    espnet2 evaluate fairscale fairseq fairseq2 flash_attn flax flextok gensim gluonts gym gymnasium haiku hydra
    hydra_plugins jax joblib k_diffusion keras kornia ldm lerobot lightgbm lightning lightning_fabric
    lightning_utilities lightning_whisper mamba_ssm material materialx matcha megatron ml_collections mlflow
    mmcv mmdet mmengine mmpose mmseg monai nemo nemo_automodel nemo_run nltk numpy omegaconf onnx onnxruntime
    open_clip optax optimum orbax pandas peft PIL pyannote pydantic pymdownx pytorch_lightning
    pytorch_metric_learning ray rl_zoo3 sam2 sb3_contrib scipy segment_anything segmentation_models_pytorch
    sentence_transformers sgm skimage sklearn skorch spacy speechbrain stable_audio_tools stable_baselines3
    stable_diffusion tensorboard tensorboardX tensorflow tf_keras timm tokenizers torch torch_geometric
    torchaudio torchdata torchmetrics torchrl torchtext torchtune torchvision transformer_engine transformers
    trl ultralytics uni2ts vector_quantize_pytorch vllm vocos wandb whisper xformers xgboost yacs
";

/// Module names that no class lives under: reaching them through another
/// module (`torch.os.system`) is a way around lists of names.
pub(super) const MODULES_NEVER_INSIDE: &str = "
    os posix nt subprocess _posixsubprocess builtins __builtins__ __builtin__ __globals__ importlib shutil
    socket pty ctypes runpy sys pickle __subclasses__ __loader__ __import__ __code__ __reduce__
";

/// Last parts of names that run what they are given.
pub(super) const RUNS_ITS_ARGUMENTS: &str = "
    system popen popen2 popen3 Popen exec execute_command exec_module execfile eval check_output check_call
    getoutput getstatusoutput __import__ import_module load_module run_command run_code run_module run_path
    runstring shell shell_exec spawn spawnl spawnv reverse_shell rmtree
";

/// Parts of names that only demonstrations and attacks carry.
pub(super) const TELLTALES: &str = "
    malicious malware exploit payload backdoor evil pwn reverse_shell
";

/// Whether `word` is one of the words of `list`.
pub(super) fn holds(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|w| w == word)
}
