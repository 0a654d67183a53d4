use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

use crate::ReportError;

/// Where a console is: `https://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

/// A console's port where none is named.
const PORT: u16 = 8443;

impl Address {
    /// Name or address, as it is looked up.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "https://[{host}]:{port}") } else { write!(f, "https://{host}:{port}") }
    }
}

impl FromStr for Address {
    type Err = ReportError;

    fn from_str(text: &str) -> Result<Self, ReportError> {
        let wrong = || ReportError::Address(text.to_owned());
        let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let url = Url::parse(&whole).map_err(|_| wrong())?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if url.scheme() != "https" || !bare || url.password().is_some() {
            return Err(wrong());
        }
        let host = match url.host().ok_or_else(wrong)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        // 443 counts as none named: `Url` drops it.
        let port = url.port().unwrap_or(if text.trim_end_matches('/').ends_with(":443") { 443 } else { PORT });
        Ok(Self { host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, shown) in [
            ("https://console.example.org", "https://console.example.org:8443"),
            ("https://console.example.org:443/", "https://console.example.org:443"),
            ("127.0.0.1:9000", "https://127.0.0.1:9000"),
            ("https://[::1]:9", "https://[::1]:9"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
            assert_eq!(shown.parse::<Address>().unwrap().to_string(), shown);
        }
        for bad in
            ["", "http://a", "https://", "https://a/b", "https://u@a", "https://u:p@a", "https://a?x", "ftp://a", "a b"]
        {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
