//! Chat templates: a conversation as the text a model was trained on.
//!
//! A template is a program from the model's file. It runs without loaders,
//! with fuel per instruction, a recursion limit, and a meter of the bytes it
//! makes ([`meter`]), so that a bomb ends in a failure and not in the worker's
//! memory. What callers wrote is guarded before it is rendered: special tokens
//! in it are text ([`Text::guard`]).

mod filters;
mod meter;
mod methods;
mod rewrite;
mod values;

use minijinja::{Environment, Error, ErrorKind};
use weighbridge_inference_wire::{Chat, Failure, FailureKind};

use crate::failure::{failed, invalid, model, said};
use crate::text::Text;
use crate::tools::CallFormat;

/// Largest template; the largest in common use has 17 KB.
const SOURCE_BYTES_MAX: usize = 128 * 1024;
/// Instructions for any conversation; a short one needs about 200.
const FUEL_BASE: u64 = 100_000;
/// More of them for each message and each tool.
const FUEL_EACH: u64 = 2_000;
/// Deepest nesting of macros.
const RECURSION_MAX: usize = 64;
/// Bytes a template may make of nothing.
const BYTES_BASE: usize = 16 * 1024 * 1024;
/// Bytes a template may make of each byte of the conversation.
const BYTES_EACH: usize = 32;
const NAME: &str = "chat_template";

/// For models that have the tokens of this format and no template.
const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + \
                      '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}\
                      {% endif %}";

/// A compiled chat template.
pub struct Template {
    environment: Environment<'static>,
    source: String,
    calls: Option<CallFormat>,
    thinks: bool,
}

impl Template {
    /// Compiles `source`, or, without one, the common format if the model knows
    /// its tokens. `None` if there is neither.
    ///
    /// # Errors
    /// [`FailureKind::Model`] for a template that is too large or broken.
    pub fn load(source: Option<&str>, text: &Text) -> Result<Option<Self>, Failure> {
        match source.or_else(|| text.template()) {
            Some(source) => Self::compile(source).map(Some),
            None if text.token("<|im_start|>").is_some() => Self::compile(CHATML).map(Some),
            None => Ok(None),
        }
    }

    fn compile(source: &str) -> Result<Self, Failure> {
        if source.len() > SOURCE_BYTES_MAX {
            let size = source.len();
            return Err(model(format!("the chat template has {size} bytes; at most {SOURCE_BYTES_MAX} are read")));
        }
        let metered = rewrite::metered(source).map_err(|why| model(format!("the chat template is broken: {why}")))?;
        let mut environment = Environment::new();
        environment.set_syntax(rewrite::syntax().map_err(model)?);
        environment.set_recursion_limit(RECURSION_MAX);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_formatter(meter::format);
        environment.set_unknown_method_callback(methods::call);
        filters::add(&mut environment);
        environment
            .add_template_owned(NAME, metered)
            .map_err(|why| model(format!("the chat template is broken: {}", said(why))))?;
        Ok(Self {
            environment,
            calls: CallFormat::of_template(source),
            thinks: source.contains("<think>") || source.contains("</think>"),
            source: source.to_owned(),
        })
    }

    /// As the model brought it.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How calls of functions are written, if it knows tools.
    #[must_use]
    pub fn calls(&self) -> Option<CallFormat> {
        self.calls
    }

    /// Whether answers may begin with marked thoughts.
    #[must_use]
    pub fn thinks(&self) -> bool {
        self.thinks
    }

    /// The prompt for the next answer; guarded text for
    /// [`Text::encode_guarded`].
    ///
    /// # Errors
    /// [`FailureKind::Invalid`] when the template itself refuses the
    /// conversation, [`FailureKind::Model`] when it breaks or does too much.
    pub fn render(&self, chat: &Chat, text: &Text) -> Result<String, Failure> {
        let (context, bytes) = values::context(chat, text);
        let mut environment = self.environment.clone();
        let count = u64::try_from(chat.messages.len() + chat.tools.len()).unwrap_or(u64::MAX);
        environment.set_fuel(Some(FUEL_BASE.saturating_add(count.saturating_mul(FUEL_EACH))));
        let budget = BYTES_BASE.saturating_add(bytes.saturating_mul(BYTES_EACH));
        let rendered =
            meter::within(budget, || environment.get_template(NAME).and_then(|template| template.render(context)));
        rendered.map_err(|error| refusal(&error))
    }
}

/// What a template's error means for the caller.
fn refusal(error: &Error) -> Failure {
    let mut causes: Vec<&(dyn std::error::Error + 'static)> = vec![error];
    while let Some(cause) = causes.last().and_then(|cause| cause.source()) {
        causes.push(cause);
    }
    if let Some(raised) = causes.iter().find_map(|cause| cause.downcast_ref::<filters::Raised>()) {
        return invalid("messages", format!("the model's chat template refuses the conversation: {}", said(&raised.0)));
    }
    let spent = causes.iter().any(|cause| {
        cause.is::<meter::Spent>()
            || cause.downcast_ref::<Error>().is_some_and(|error| error.kind() == ErrorKind::OutOfFuel)
    });
    if spent {
        return failed(
            FailureKind::Model,
            "the model's chat template does more than any conversation needs; it is hostile or broken",
        );
    }
    model(format!("the model's chat template fails: {}", said(error)))
}

#[cfg(test)]
mod tests;
