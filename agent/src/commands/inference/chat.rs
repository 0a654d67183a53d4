//! `weighbridge chat`: a conversation in the terminal, with the service that
//! every other program on this machine uses.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use ureq::{Agent, Body, Error, http};
use weighbridge_types::{Shown, is_hidden};

use crate::exit::{Failure, Outcome};
use crate::report::dim;

/// Most of an answer that is no stream, bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Longest line of a stream, bytes.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Until a connection stands.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const HELP: &str = "/clear begins anew, /exit or Ctrl-D ends, Ctrl-C stops an answer";

#[derive(Debug, Args)]
pub struct ChatOptions {
    /// Which model [default: the first that chats]
    #[arg(long, short, value_name = "NAME")]
    model: Option<String>,

    /// Where it is served
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:11500")]
    server: String,

    /// What the model is told before everything else
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,

    /// How freely it writes: 0 always takes the likeliest word [default: the model's own]
    #[arg(long, value_name = "T", value_parser = temperature)]
    temperature: Option<f64>,

    /// Most tokens of an answer
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
}

fn temperature(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|t| (0.0..=2.0).contains(t)).ok_or_else(|| "0 to 2".to_owned())
}

pub fn run(options: &ChatOptions) -> Result<Outcome, Failure> {
    let service = Service::at(&options.server);
    let model = match &options.model {
        Some(model) => model.clone(),
        None => service.first()?,
    };
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&stop))?;
    let begin = || options.system.iter().map(|text| json!({ "role": "system", "content": text })).collect();
    let mut said: Vec<Value> = begin();
    let people = io::stdin().is_terminal();
    if people {
        println!("{}: {HELP}", Shown(&model));
    }
    while let Some(line) = question(people, &stop)? {
        match line.trim() {
            "" => continue,
            "/exit" | "/quit" => break,
            "/clear" => said = begin(),
            "/help" => println!("{HELP}"),
            _ => {
                said.push(json!({ "role": "user", "content": line.trim_end() }));
                match service.answer(options, &model, &said, &stop) {
                    Ok(answer) => said.push(json!({ "role": "assistant", "content": answer })),
                    // A program that asks is told; a person may ask again.
                    Err(e) if !people => return Err(e),
                    Err(e) => {
                        said.pop();
                        anstream::eprintln!("weighbridge: {e}");
                    }
                }
            }
        }
    }
    Ok(Outcome::Yes)
}

/// The next line; none at the end.
fn question(people: bool, stop: &AtomicBool) -> Result<Option<String>, Failure> {
    loop {
        if people {
            print!("> ");
            io::stdout().flush()?;
        }
        let mut line = Vec::new();
        let read = io::stdin().lock().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        // Ctrl-C at the prompt throws the line away.
        if stop.swap(false, Ordering::Relaxed) && people {
            println!();
            continue;
        }
        return Ok((read > 0).then(|| String::from_utf8_lossy(&line).into_owned()));
    }
}

struct Service {
    agent: Agent,
    url: String,
}

impl Service {
    fn at(url: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_connect(Some(CONNECT_WITHIN))
            .http_status_as_error(false)
            .max_redirects(0)
            // It is on this machine, or where we were told.
            .proxy(None)
            .build();
        Self { agent: config.new_agent(), url: url.trim_end_matches('/').to_owned() }
    }

    /// The first model that answers to a conversation.
    fn first(&self) -> Result<String, Failure> {
        let list = self.agent.get(format!("{}/v1/models", self.url)).call();
        let list = self.json(list)?;
        let ids: Vec<&str> = array(&list, "/data").filter_map(|m| m.get("id")?.as_str()).collect();
        let chats = ids.iter().find(|id| {
            let shown = self.post("/api/show", &json!({ "model": id }));
            self.json(shown).is_ok_and(|shown| {
                let template = text(&shown, "/template").is_some_and(|t| !t.is_empty());
                template && array(&shown, "/capabilities").any(|c| c == "completion")
            })
        });
        chats.map(|id| (*id).to_owned()).ok_or_else(|| {
            let others = if ids.is_empty() { String::new() } else { format!(" (only {})", Shown(&ids.join(", "))) };
            Failure::Usage(format!("{} serves no model that chats{others}", Shown(&self.url)))
        })
    }

    /// The answer to what was said, written as it comes.
    fn answer(&self, options: &ChatOptions, model: &str, said: &[Value], stop: &AtomicBool) -> Result<String, Failure> {
        // What is not set is `null`: the model's own.
        let (temperature, tokens) = (options.temperature, options.max_tokens);
        let request = json!({
            "model": model, "messages": said, "stream": true, "temperature": temperature, "max_tokens": tokens,
        });
        let mut answer = self.answered(self.post("/v1/chat/completions", &request))?;
        let mut lines = BufReader::new(answer.body_mut().as_reader());
        let (mut written, dim) = (String::new(), dim());
        loop {
            let mut line = String::new();
            let read = lines.by_ref().take(LINE_BYTES_MAX).read_line(&mut line);
            let read = read.map_err(|e| self.broken(&e.to_string()))?;
            let Some(data) = line.trim_end().strip_prefix("data: ") else {
                if read == 0 {
                    return Err(self.broken("the answer broke off"));
                }
                continue;
            };
            if data == "[DONE]" || stop.swap(false, Ordering::Relaxed) {
                println!();
                return Ok(written);
            }
            let event: Value = serde_json::from_str(data).unwrap_or_default();
            if let Some(message) = text(&event, "/error/message") {
                println!();
                return Err(self.broken(message));
            }
            if let Some(thought) = text(&event, "/choices/0/delta/reasoning_content") {
                anstream::print!("{dim}{}{dim:#}", printable(thought));
            }
            if let Some(more) = text(&event, "/choices/0/delta/content") {
                print!("{}", printable(more));
                written.push_str(more);
            }
            io::stdout().flush()?;
        }
    }

    fn post(&self, path: &str, request: &Value) -> Result<http::Response<Body>, Error> {
        let to = self.agent.post(format!("{}{path}", self.url)).header("content-type", "application/json");
        to.send(request.to_string())
    }

    fn json(&self, answer: Result<http::Response<Body>, Error>) -> Result<Value, Failure> {
        let mut answer = self.answered(answer)?;
        read(&mut answer).map_err(|e| self.broken(&e))
    }

    /// The answer, if it is one; what a refusal says otherwise.
    fn answered(&self, answer: Result<http::Response<Body>, Error>) -> Result<http::Response<Body>, Failure> {
        let mut answer = answer.map_err(|e| {
            let url = Shown(&self.url);
            Failure::Usage(format!("nobody answers at {url} ({e}); `weighbridge serve --model PATH --policy DIR` does"))
        })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let body = read(&mut answer).unwrap_or_default();
        let message = text(&body, "/error/message").or_else(|| text(&body, "/error"));
        Err(self.broken(message.unwrap_or(answer.status().as_str())))
    }

    fn broken(&self, why: &str) -> Failure {
        Failure::Usage(format!("{}: {}", Shown(&self.url), Shown(why)))
    }
}

fn read(answer: &mut http::Response<Body>) -> Result<Value, String> {
    let bytes = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(|e| e.to_string())?;
    serde_json::from_slice(&bytes).map_err(|e| e.to_string())
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn array<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Text of a model, made safe to print: lines stay lines, and what joins and
/// colours emoji stays, too.
fn printable(text: &str) -> String {
    let harmless = ['\n', '\t', '\u{200d}', '\u{fe0f}'];
    text.chars().map(|c| if is_hidden(c) && !harmless.contains(&c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_does_not_command_the_terminal() {
        assert_eq!(printable("a\n\tb\u{1b}[2J\u{202e}c"), "a\n\tb\u{fffd}[2J\u{fffd}c");
    }

    #[test]
    fn temperatures_are_numbers_in_range() {
        assert_eq!((temperature("0.7"), temperature("2")), (Ok(0.7), Ok(2.0)));
        assert!(["-1", "2.1", "NaN", "hot"].iter().all(|t| temperature(t).is_err()));
    }
}
