//! Reads bodies: so many bytes, in so much time, nested so deep.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tokio::time::{Instant, timeout, timeout_at};

use crate::app::Inner;
use crate::config::Limits;
use crate::door::Visit;
use crate::problem::{Dialect, Problem, Result};
use crate::room::{Full, Hold, Room};

/// Larger bodies are parsed where they hold up nobody, bytes.
const PARSED_ASIDE_BYTES: usize = 256 << 10;

/// A body, and the room it takes.
#[derive(Debug)]
pub(crate) struct Read {
    pub bytes: Bytes,
    pub room: Hold,
}

/// Room for all bodies, until the requests they are of have ended. One caller
/// has a quarter of it, or as much as one body may take.
pub(crate) fn room(limits: &Limits) -> Room {
    Room::new(limits.bodies_bytes_max, (limits.bodies_bytes_max / 4).max(limits.body_bytes_max))
}

fn no_room(full: Full) -> Problem {
    let second = Duration::from_secs(1);
    match full {
        Full::One => {
            let message = "your requests on their way are as large together as those of one caller may be; wait for one to end, or send less";
            Problem::limited(message, second)
        }
        Full::All => {
            let message = "too many large requests are on their way; try again in a second";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message);
            Problem { retry_after: Some(second), ..problem }
        }
    }
}

/// A JSON body and its text, read within the limits, and the room they take.
pub(crate) struct Asked<T> {
    pub value: T,
    pub bytes: Bytes,
    pub room: Hold,
}

impl<T: DeserializeOwned + Send + 'static> FromRequest<Arc<Inner>> for Asked<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<Inner>) -> Result<Self> {
        // `curl -d` says that JSON is a form, and Ollama does not mind.
        if Dialect::of(request.uri().path()) != Dialect::Ollama {
            must_be_json(request.headers())?;
        }
        let (parts, body) = request.into_parts();
        let limits = &app.config.limits;
        let who = parts.extensions.get::<Visit>().map(|visit| visit.caller.shown()).unwrap_or_default();
        let Read { bytes, room } = read(body, &parts.headers, limits, app.room.hold(&who)).await?;
        Ok(Self { value: parse(&bytes, limits).await?, bytes, room })
    }
}

/// Reads `body` to its end.
pub(crate) async fn read(mut body: Body, headers: &HeaderMap, limits: &Limits, mut room: Hold) -> Result<Read> {
    plain(headers)?;
    let most = limits.body_bytes_max;
    let too_large = || {
        let message = format!("the body is larger than {most} bytes; send less, or raise `body_bytes_max`");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
    };
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if declared
        .is_some_and(|length| usize::try_from(length).is_ok_and(|l| l > most) || usize::try_from(length).is_err())
    {
        return Err(too_large());
    }
    let slow = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body came too slowly");
    let until = Instant::now() + limits.body();
    let mut parts: Vec<Bytes> = Vec::new();
    let mut length = 0_usize;
    loop {
        let next = timeout_at(until, timeout(limits.body_idle(), body.frame())).await.map_err(slow)?.map_err(slow)?;
        let Some(frame) = next else { break };
        let frame = frame.map_err(|_| Problem::invalid("the body ended before it was complete"))?;
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > most {
            return Err(too_large());
        }
        room.grow(data.len()).map_err(no_room)?;
        parts.push(data);
    }
    let bytes = match parts.as_slice() {
        [] => Bytes::new(),
        [one] => one.clone(),
        many => many.concat().into(),
    };
    Ok(Read { bytes, room })
}

/// What is compressed would have to be measured before it is unpacked.
fn plain(headers: &HeaderMap) -> Result<()> {
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let coding = value.to_str().unwrap_or("?");
        if !coding.trim().eq_ignore_ascii_case("identity") {
            let shown: String = coding.chars().take(64).collect();
            let message = format!("the body is compressed (`{}`); send it as it is", shown.escape_debug());
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message));
        }
    }
    Ok(())
}

/// A JSON body must say that it is one: a page in a browser can send others
/// without asking first.
pub(crate) fn must_be_json(headers: &HeaderMap) -> Result<()> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) {
        return Ok(());
    }
    let message = format!("the content type is `{}`; send `application/json`", kind.escape_debug());
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
}

/// An object or null for a field: serde takes a list for a struct, which no
/// client means.
pub(crate) fn object<'de, D, T>(deserializer: D) -> std::result::Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Map<T>(std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Map<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_unit<E>(self) -> std::result::Result<Option<T>, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Option<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    deserializer.deserialize_any(Map(std::marker::PhantomData))
}

/// `bytes` as a `T`; those that take long are read on another thread.
pub(crate) async fn parse<T: DeserializeOwned + Send + 'static>(bytes: &Bytes, limits: &Limits) -> Result<T> {
    if bytes.len() <= PARSED_ASIDE_BYTES {
        return json(bytes, limits);
    }
    let (bytes, limits) = (bytes.clone(), limits.clone());
    let parsed = tokio::task::spawn_blocking(move || json(&bytes, &limits)).await;
    parsed.unwrap_or_else(|_| Err(Problem::internal("the body could not be read; send it again")))
}

/// `bytes` as a `T`.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8], limits: &Limits) -> Result<T> {
    measure(bytes, limits)?;
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|e| {
        let path = e.path().to_string();
        let field = (path != "." && path != "?").then_some(path);
        let inner = e.into_inner();
        let text: String = inner.to_string().chars().take(512).collect();
        let message = match (&field, inner.classify()) {
            (Some(field), serde_json::error::Category::Data) => {
                format!("`{}` is wrong: {text}", field.escape_debug())
            }
            (None, serde_json::error::Category::Data) => format!("the body is wrong: {text}"),
            _ => format!("the body is not JSON: {text}"),
        };
        Problem { field, ..Problem::invalid(message) }
    })?;
    reader.end().map_err(|e| Problem::invalid(format!("the body goes on after its JSON: {e}")))?;
    Ok(value)
}

/// Holds the number of values and their nesting against the limits before
/// memory is taken for them: a value takes many times the bytes of its text.
fn measure(bytes: &[u8], limits: &Limits) -> Result<()> {
    let (mut depth, mut values, mut in_text, mut escaped) = (0_usize, 1_usize, false, false);
    for byte in bytes {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => {
                depth += 1;
                values += 1;
                if depth > limits.json_depth_max {
                    return Err(Problem::invalid(format!("the JSON is nested deeper than {}", limits.json_depth_max)));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
    }
    if values > limits.json_values_max {
        let most = limits.json_values_max;
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            format!("the JSON holds more than {most} values; send less at once, or tensors as binary data"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn of(text: &str) -> Result<Value> {
        json(text.as_bytes(), &Limits { json_depth_max: 4, json_values_max: 10, ..Limits::default() })
    }

    #[test]
    fn nesting_and_number_of_values_are_bounded_outside_texts() {
        assert!(of("[[[[1]]]]").is_ok() && of("[[[[[1]]]]]").is_err());
        assert!(of("\"[[[[[[,,,,,,,,,,,,,,,\\\"[[[[[\"").is_ok());
        assert_eq!(of("[1,2,3,4,5,6,7,8,9,10]").unwrap_err().status, 413);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        #[derive(Debug, serde::Deserialize)]
        struct Thing {
            #[expect(dead_code, reason = "only read")]
            list: Vec<u32>,
        }
        let wrong = |text: &[u8]| json::<Thing>(text, &Limits::default()).unwrap_err();
        assert_eq!(wrong(b"{\"list\":[1,\"x\"]}").field.as_deref(), Some("list[1]"));
        for bad in [&b""[..], b"{", b"{\"list\":[]} x", b"{\"list\":[\"\xff\"]}", b"\xff\xfe"] {
            assert_eq!(wrong(bad).status, 400);
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = json::<Value>(&bytes, &Limits::default());
        }

        #[test]
        fn what_serde_reads_is_not_refused_within_limits(text in "[\\[\\]{}\",:0-9a \\\\]{0,40}") {
            let limits = Limits::default();
            prop_assert_eq!(json::<Value>(text.as_bytes(), &limits).is_ok(), serde_json::from_str::<Value>(&text).is_ok());
        }
    }
}
