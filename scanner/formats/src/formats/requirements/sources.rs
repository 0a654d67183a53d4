//! Where packages are installed from.

use crate::core::Inspection;
use crate::formats::requirements::rules;

/// Registries, their mirrors, and the hosts that projects publish wheels on.
/// A host matches itself and everything below it.
const KNOWN_HOSTS: &[&str] = &[
    "pypi.org",
    "pypi.python.org",
    "files.pythonhosted.org",
    "test.pypi.org",
    "pytorch.org",
    "nvidia.com",
    "conda.anaconda.org",
    "repo.anaconda.com",
    "anaconda.org",
    "prefix.dev",
    "github.com",
    "githubusercontent.com",
    "github.io",
    "gitlab.com",
    "bitbucket.org",
    "codeberg.org",
    "gitee.com",
    "huggingface.co",
    "hf.co",
    "modelscope.cn",
    "aliyun.com",
    "aliyuncs.com",
    "tsinghua.edu.cn",
    "ustc.edu.cn",
    "sjtu.edu.cn",
    "bfsu.edu.cn",
    "nju.edu.cn",
    "zju.edu.cn",
    "douban.com",
    "doubanio.com",
    "cloud.tencent.com",
    "tencent.com",
    "tencentyun.com",
    "huaweicloud.com",
    "163.com",
    "baidu.com",
    "paddlepaddle.org.cn",
    "bcebos.com",
    "storage.googleapis.com",
    "googlesource.com",
    "data.pyg.org",
    "dgl.ai",
    "vllm.ai",
    "flashinfer.ai",
    "openmmlab.com",
    "intel.com",
    "amd.com",
    "radeon.com",
    "azure.com",
    "microsoft.com",
    "openvino.ai",
    "jetson-ai-lab.dev",
    "jetson-ai-lab.io",
    "fury.io",
    "piwheels.org",
    "spacy.io",
    "allenai.org",
    "fbaipublicfiles.com",
];

/// An index, a channel or a page of links.
pub(super) fn index(ctx: &mut Inspection<'_>, option: &str, url: &str) {
    let Some((scheme, host)) = split(url) else { return };
    let shown = without_credentials(url);
    if scheme == "http" && !is_local(&host) && !is_known(&host) {
        ctx.find(&rules::UNTRUSTED_SOURCE, None, format!("{option} `{shown}`: not encrypted"));
    } else if is_bare_public_address(&host) {
        ctx.find(&rules::UNTRUSTED_SOURCE, None, format!("{option} `{shown}`: a bare address"));
    } else if !is_known(&host) && !is_local(&host) {
        ctx.find(&rules::UNTRUSTED_SOURCE, None, format!("{option} `{shown}`: not a known registry"));
    }
}

/// A package given by URL.
pub(super) fn direct(ctx: &mut Inspection<'_>, line: &str, url: &str) {
    let Some((scheme, host)) = split(url) else { return };
    let transport = scheme.rsplit('+').next().unwrap_or_default();
    let shown = without_credentials(line);
    if scheme == "file" || is_local(&host) {
        return;
    }
    let why = if is_bare_public_address(&host) {
        "a bare address"
    } else if ["http", "git", "ftp"].contains(&transport) && !is_known(&host) {
        "not encrypted"
    } else if !is_known(&host) {
        "not a known host"
    } else {
        ctx.find(&rules::DIRECT_REFERENCE, None, format!("`{shown}`"));
        return;
    };
    ctx.find(&rules::UNTRUSTED_SOURCE, None, format!("`{shown}`: {why}"));
}

/// A host whose certificate is not checked.
pub(super) fn trusted_host(ctx: &mut Inspection<'_>, host: &str) {
    let name = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    if !name.is_empty() && !is_known(&name) && !is_local(&name) {
        ctx.find(&rules::UNTRUSTED_SOURCE, None, format!("--trusted-host `{host}`: its certificate is not checked"));
    }
}

/// Scheme and host of `url`, lower-case.
fn split(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
    Some((scheme.to_ascii_lowercase(), host.trim_end_matches('.').to_ascii_lowercase()))
}

/// `url` with a password in it replaced.
fn without_credentials(url: &str) -> String {
    match url.split_once("://").and_then(|(s, rest)| rest.split_once('@').map(|(user, host)| (s, user, host))) {
        Some((scheme, user, host)) if user.contains(':') && !user.contains('/') => {
            format!("{scheme}://[redacted]@{host}")
        }
        _ => url.to_owned(),
    }
}

fn is_known(host: &str) -> bool {
    KNOWN_HOSTS.iter().any(|k| host.strip_suffix(k).is_some_and(|sub| sub.is_empty() || sub.ends_with('.')))
}

fn is_local(host: &str) -> bool {
    let private = host
        .parse::<std::net::Ipv4Addr>()
        .is_ok_and(|ip| ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified());
    host.is_empty() || host == "localhost" || private || !host.contains('.') || host.ends_with(".local")
}

fn is_bare_public_address(host: &str) -> bool {
    host.parse::<std::net::Ipv4Addr>().is_ok() && !is_local(host)
}
