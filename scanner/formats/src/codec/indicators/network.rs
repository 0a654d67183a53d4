//! Addresses that attacks report to or fetch from.

use std::net::{IpAddr, Ipv4Addr};

use memchr::memmem;
use weighbridge_types::Rule;

use crate::codec::indicators::rules;

/// An address worth a finding.
pub(super) struct Hit {
    pub rule: &'static Rule,
    pub shown: String,
    pub why: &'static str,
}

/// Addresses of published attacks through models and their packages.
const KNOWN_BAD: &[(&str, &str)] = &[
    ("210.117.212.93", "reverse shell of baller423/goober2, 2024"),
    ("136.243.156.120", "reverse shell of star23/baller13, 2024"),
    ("107.173.7.141", "nullifAI, 2025"),
    ("recargapopular.com", "Open-OSS/privacy-filter, 2026"),
    ("models.litellm.cloud", "TeamPCP, LiteLLM 1.82.7 and 1.82.8, 2026"),
];

/// Hosts (and the paths that matter there) where payloads are left and loot is
/// collected.
const DROP_SITES: &[(&str, &str, &str)] = &[
    ("ngrok.io", "", "tunnel to a private machine"),
    ("ngrok.app", "", "tunnel to a private machine"),
    ("ngrok-free.app", "", "tunnel to a private machine"),
    ("trycloudflare.com", "", "tunnel to a private machine"),
    ("localtunnel.me", "", "tunnel to a private machine"),
    ("serveo.net", "", "tunnel to a private machine"),
    ("pastebin.com", "/raw", "text anyone can leave"),
    ("paste.ee", "/r", "text anyone can leave"),
    ("transfer.sh", "", "file anyone can leave"),
    ("webhook.site", "", "request collector"),
    ("requestbin.net", "", "request collector"),
    ("pipedream.net", "", "request collector"),
    ("interact.sh", "", "request collector"),
    ("oast.fun", "", "request collector"),
    ("oast.pro", "", "request collector"),
    ("oastify.com", "", "request collector"),
    ("burpcollaborator.net", "", "request collector"),
    ("discord.com", "/api/webhooks", "chat webhook"),
    ("discordapp.com", "/api/webhooks", "chat webhook"),
    ("api.telegram.org", "/bot", "chat bot"),
    ("hooks.slack.com", "/services", "chat webhook"),
];

/// Longest address shown and judged.
const URL_MAX: usize = 300;
/// Most addresses judged in one text.
const URLS_MAX: usize = 20_000;

/// Whether `text` holds anything that could be an address of interest.
pub(super) fn may_hold(text: &str) -> bool {
    memmem::find(text.as_bytes(), b"://").is_some() || KNOWN_BAD.iter().any(|(a, _)| holds_address(text, a))
}

/// At most `max` addresses in `text`.
pub(super) fn find(text: &str, max: usize) -> Vec<Hit> {
    let mut out: Vec<Hit> = Vec::new();
    for (address, why) in KNOWN_BAD {
        if holds_address(text, address) {
            out.push(Hit { rule: &rules::KNOWN_BAD_ADDRESS, shown: (*address).to_owned(), why });
        }
    }
    for at in memmem::find_iter(text.as_bytes(), "://").take(URLS_MAX) {
        if out.len() >= max {
            break;
        }
        let scheme = scheme_before(text, at);
        let rest: String = text
            .get(at + 3..)
            .unwrap_or_default()
            .chars()
            .take(URL_MAX)
            .take_while(|c| !c.is_whitespace() && !c.is_control() && !"\"'`<>|\\^(){}[]".contains(*c))
            .collect();
        if let Some(why) = judge(&scheme, &rest) {
            let shown = format!("{scheme}://{rest}");
            if !out.iter().any(|h| h.shown == shown) {
                out.push(Hit { rule: &rules::UNUSUAL_ADDRESS, shown, why });
            }
        }
    }
    out.truncate(max);
    out
}

/// Whether `address` stands in `text` as a whole: not inside a longer number
/// or name.
fn holds_address(text: &str, address: &str) -> bool {
    let part = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    memmem::find_iter(text.as_bytes(), address).take(1_000).any(|at| {
        let before = text.get(..at).and_then(|t| t.bytes().next_back());
        let after = text.as_bytes().get(at + address.len()).copied();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

fn scheme_before(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or_default();
    let len =
        before.bytes().rev().take(20).take_while(|b| b.is_ascii_alphanumeric() || *b == b'+' || *b == b'-').count();
    before.get(at - len..).unwrap_or_default().to_ascii_lowercase()
}

/// Why `scheme://rest` stands out, if it does.
fn judge(scheme: &str, rest: &str) -> Option<&'static str> {
    let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
    if host.is_empty() {
        return None;
    }
    if scheme.starts_with("stratum") {
        return Some("mining pool");
    }
    if !["http", "https", "ftp", "ws", "wss", "tcp", "udp"].contains(&scheme) {
        return None;
    }
    if host.ends_with(".onion") && host.len() >= 22 {
        return Some("hidden service");
    }
    if let Ok(IpAddr::V4(ip)) = host.parse::<IpAddr>() {
        return is_public(ip).then_some("bare public address");
    }
    DROP_SITES
        .iter()
        .find(|(site, start, _)| {
            let site_or_below = host.strip_suffix(site).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'));
            // The site's own front page is a link like any other.
            let named = if start.is_empty() { path.len() > 1 || host != *site } else { path.starts_with(start) };
            site_or_below && named
        })
        .map(|(_, _, why)| *why)
}

/// Whether `ip` is somebody's machine on the internet, not a private network,
/// an example (RFC 5737) or a resolver that documentation likes to name.
fn is_public(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    let resolver = [[1, 1, 1, 1], [8, 8, 8, 8], [8, 8, 4, 4], [9, 9, 9, 9], [1, 2, 3, 4]].contains(&ip.octets());
    let shared = a == 100 && (64..128).contains(&b) || a == 198 && (18..20).contains(&b);
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_unspecified()
        || ip.is_documentation()
        || ip.is_broadcast()
        || ip.is_multicast()
        || a == 0
        || a >= 240
        || shared
        || resolver)
}
