//! Bodies of requests, packed or not, within bounds.

use std::io::Read;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::Problem;

/// How large a body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// As it is sent, bytes.
    pub packed: usize,
    /// As it is read, bytes.
    pub whole: usize,
}

/// All of a body; one with `Content-Encoding: gzip` is unpacked, as far as it
/// may be.
///
/// # Errors
/// [`Problem`]: too large, broken off, or packed in another way.
pub async fn read(headers: &HeaderMap, body: Body, bounds: Bounds) -> Result<Vec<u8>, Problem> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"));
    let most = if encoding.is_some() { bounds.packed } else { bounds.whole };
    let sent = match Limited::new(body, most).collect().await {
        Ok(sent) => sent.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(too_large(most)),
        Err(error) => return Err(Problem::invalid(format!("the body broke off: {error}"))),
    };
    match encoding {
        None => Ok(sent.into()),
        Some(name) if name.eq_ignore_ascii_case("gzip") => unpacked(&sent, bounds.whole),
        Some(_) => {
            let detail = "send bodies as they are, or with `Content-Encoding: gzip`";
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-encoding", detail))
        }
    }
}

fn unpacked(packed: &[u8], most: usize) -> Result<Vec<u8>, Problem> {
    let mut whole = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let read = GzDecoder::new(packed).take(limit).read_to_end(&mut whole);
    if whole.len() > most {
        return Err(too_large(most));
    }
    read.map_err(|error| Problem::invalid(format!("the body is not gzip: {error}")))?;
    Ok(whole)
}

fn too_large(most: usize) -> Problem {
    let detail = format!("the body is larger than {most} bytes; send less at once");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::http::HeaderValue;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const BOUNDS: Bounds = Bounds { packed: 2_000, whole: 10_000 };

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut to = GzEncoder::new(Vec::new(), Compression::best());
        to.write_all(content).unwrap();
        to.finish().unwrap()
    }

    async fn ask(encoding: Option<&'static str>, body: Vec<u8>) -> Result<Vec<u8>, u16> {
        let mut headers = HeaderMap::new();
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        read(&headers, Body::from(body), BOUNDS).await.map_err(|problem| problem.status.as_u16())
    }

    #[tokio::test]
    async fn bodies_are_read_up_to_their_bounds() {
        assert_eq!(ask(None, b"hello".to_vec()).await, Ok(b"hello".to_vec()));
        assert_eq!(ask(Some("gzip"), packed(b"hello")).await, Ok(b"hello".to_vec()));
        assert_eq!(ask(None, vec![0; 10_001]).await, Err(413));
        assert_eq!(ask(Some("gzip"), packed(&[0; 10_000])).await.map(|b| b.len()), Ok(10_000));
        // A thousand times as large as it is sent.
        let bomb = packed(&vec![0; 1 << 20]);
        assert!(bomb.len() < 2_000);
        assert_eq!(ask(Some("gzip"), bomb).await, Err(413));
        assert_eq!(ask(Some("gzip"), vec![1; 2_001]).await, Err(413));
        for (encoding, body) in [(Some("gzip"), b"no".to_vec()), (Some("gzip"), packed(b"hello")[..12].to_vec())] {
            assert_eq!(ask(encoding, body).await, Err(400));
        }
        assert_eq!(ask(Some("br"), b"x".to_vec()).await, Err(415));
    }
}
