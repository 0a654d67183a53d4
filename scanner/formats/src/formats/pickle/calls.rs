//! What a call means: judged by what is called and, where that decides, by
//! the arguments.

use crate::formats::pickle::heap::{Call, How, Object, Value};
use crate::formats::pickle::machine::{Fault, Machine};
use crate::formats::pickle::names::NameId;
use crate::formats::pickle::rules;
use crate::formats::pickle::special::Special;
use crate::formats::pickle::tables::{self, Standing};

/// Findings about calls of one name.
const REPORTS_PER_NAME_MAX: u32 = 3;
/// Calls inside the arguments of calls, evaluated.
pub(super) const NESTED_CALLS_MAX: u32 = 8;

impl Machine<'_> {
    /// Judges `callee(*args, **keywords)` and gives what stands for its
    /// result.
    ///
    /// # Errors
    /// Limits.
    pub fn call(&mut self, at: u64, callee: Value, args: Value, keywords: Value, how: How) -> Result<Value, Fault> {
        self.nested_call(at, callee, args, keywords, how, 0)
    }

    pub(super) fn nested_call(
        &mut self,
        at: u64,
        callee: Value,
        args: Value,
        keywords: Value,
        how: How,
        depth: u32,
    ) -> Result<Value, Fault> {
        let mut call = Call { callee, args, keywords, how, result: None, state: Value::None };
        let target = self.heap.resolved(callee);
        let mut notable = true;
        match self.heap.object(target) {
            Some(Object::Global(id)) => notable = self.call_name(at, *id, &mut call, depth)?,
            Some(Object::Call(inner)) => {
                let inner = (**inner).clone();
                self.call_result(at, &inner, &mut call, depth)?;
            }
            Some(Object::Persistent(_)) => {
                let shown = self.shown_call(&call);
                self.alert(&rules::INDIRECT_CALL, at, format!("calls what a persistent id stands for: {shown}"));
            }
            _ if matches!(target, Value::Unknown | Value::Data) => {
                let shown = self.shown_call(&call);
                self.alert(&rules::UNEXPECTED_CALL, at, format!("calls something unknown: {shown}"));
            }
            _ => self.survive(at, format!("{} cannot be called", self.shown(target))),
        }
        Ok(self.heap.add_call(call, notable)?)
    }

    /// A call of an imported name. Tells whether the result matters later.
    fn call_name(&mut self, at: u64, id: NameId, call: &mut Call, depth: u32) -> Result<bool, Fault> {
        let Some(name) = self.names.get(id) else { return Ok(true) };
        let (standing, special) = (name.standing, name.special);
        let instance = call.how == How::New;
        match standing {
            Standing::Rebuild => {}
            Standing::Class if call.how == How::Call && acts_when_made(&name.name) => {
                self.report(&rules::UNEXPECTED_CALL, at, id, call, "constructs a class that acts when it is made");
            }
            Standing::Class => {}
            Standing::Instance if call.how == How::Call && self.takes_more_than_numbers(call) => {
                self.report(
                    &rules::UNEXPECTED_CALL,
                    at,
                    id,
                    call,
                    "constructs a class, where picklers only rebuild it",
                );
            }
            Standing::Instance => {}
            // `object.__new__(class)`: only classes come this far.
            Standing::Reference if instance => {}
            Standing::Reference => {
                self.report(&rules::UNEXPECTED_CALL, at, id, call, "calls while loading");
            }
            Standing::Pure => self.report(&rules::UNEXPECTED_CALL, at, id, call, "computes while loading"),
            Standing::Code => self.report(&rules::EMBEDDED_CODE, at, id, call, "makes code"),
            Standing::Denied(reason) => self.report(&rules::DANGEROUS_CALL, at, id, call, reason),
            Standing::Library if !instance && !tables::is_class_name(last(&name.name)) => {
                self.report(&rules::DANGEROUS_CALL, at, id, call, "calls a function of the standard library");
            }
            Standing::Library | Standing::Unknown => {
                let what = if instance { "makes an instance of" } else { "calls" };
                self.report(&rules::UNKNOWN_GLOBAL, at, id, call, what);
            }
        }
        if let Some(special) = special {
            self.evaluate(at, id, special, call, depth)?;
            return Ok(true);
        }
        if standing == Standing::Code {
            self.check_function(at, call);
        }
        if self.names.get(id).is_some_and(|n| n.module.starts_with("numpy")) {
            self.are_elements(call.args);
        }
        Ok(is_joblib_wrapper(self.names.get(id).map_or("", |n| n.name.as_str())) || standing == Standing::Code)
    }

    /// A call of what another call gave.
    fn call_result(&mut self, at: u64, inner: &Call, call: &mut Call, depth: u32) -> Result<(), Fault> {
        let made_by = self.heap.global(inner.callee).and_then(|id| self.names.get(id));
        let (special, standing) = (made_by.and_then(|n| n.special), made_by.map(|n| n.standing));
        match special {
            Some(Special::TypeByName) => {
                let makes_code = self.names_code_type(inner.args);
                self.code_types.retain(|(_, name, _)| *name != inner.args);
                if makes_code {
                    self.check_code(at, call);
                }
                return Ok(());
            }
            Some(Special::Partial) if depth < NESTED_CALLS_MAX => {
                if let Some((function, _)) = self.first_arg(inner) {
                    self.nested_call(at, function, call.args, Value::None, How::Call, depth + 1)?;
                }
            }
            Some(Special::Reconstructor | Special::NewObject | Special::Compute) => {
                let shown = self.shown_call(call);
                self.alert(&rules::UNEXPECTED_CALL, at, format!("calls an object while loading: {shown}"));
                return Ok(());
            }
            _ => {}
        }
        // An instance of a class that came as code, or of a class in doubt,
        // is no more doubtful than that.
        if call.how == How::New && standing == Some(Standing::Code) {
            return Ok(());
        }
        let shown = self.shown_call(call);
        if standing == Some(Standing::Code) {
            self.alert(&rules::DANGEROUS_CODE, at, format!("runs code that it carries: {shown}"));
        } else if call.how != How::New {
            self.alert(&rules::INDIRECT_CALL, at, format!("calls the result of a call: {shown}"));
        } else {
            self.alert(&rules::UNEXPECTED_CALL, at, format!("makes an instance of the result of a call: {shown}"));
        }
        Ok(())
    }

    /// Reports a call of `id`, a few times per name.
    pub fn report(&mut self, rule: &'static weighbridge_types::Rule, at: u64, id: NameId, call: &Call, why: &str) {
        let Some(name) = self.names.get_mut(id) else { return };
        let max = if rule.verdict == weighbridge_types::Verdict::Malicious { REPORTS_PER_NAME_MAX } else { 1 };
        name.reported += 1;
        if name.reported > max {
            return;
        }
        let full = name.full();
        let shown = self.shown_call(call);
        let named = if shown.contains(&full) { String::new() } else { format!(" ({full})") };
        self.alert(rule, at, format!("{shown}{named}: {why}"));
    }

    /// Whether a constructor gets anything but numbers and plain containers.
    fn takes_more_than_numbers(&self, call: &Call) -> bool {
        let Some(items) = self.heap.items(call.args) else { return true };
        !items.whole()
            || items.kept.iter().any(|v| match v {
                Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) => false,
                Value::Object(_) => !matches!(
                    self.heap.object(*v),
                    Some(Object::Tuple(_) | Object::List(_) | Object::Dict(_) | Object::Set(_) | Object::Number(_))
                ),
                Value::Str(_) | Value::Bytes(_) | Value::Data | Value::Unknown => true,
            })
    }

    /// The first argument of a call, and how many there are.
    fn first_arg(&self, call: &Call) -> Option<(Value, u64)> {
        let items = self.heap.items(call.args)?;
        Some((items.kept.first().copied()?, items.total))
    }

    /// The name of the class that a value is an instance of, as far as the
    /// call that made it tells.
    #[must_use]
    pub fn class_of(&self, value: Value) -> Option<NameId> {
        let call = self.heap.call(value)?;
        let id = self.heap.global(call.callee)?;
        match self.names.get(id)?.special {
            Some(Special::Reconstructor | Special::NewObject) => {
                self.heap.global(self.heap.items(call.args)?.kept.first().copied()?)
            }
            _ => Some(id),
        }
    }
}

/// Joblib's stand-in for an array that follows in the file.
#[must_use]
pub fn is_joblib_wrapper(name: &str) -> bool {
    matches!(name, "NumpyArrayWrapper" | "NDArrayWrapper" | "ZNDArrayWrapper")
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Classes that do something to the outside world when constructed.
fn acts_when_made(name: &str) -> bool {
    const ENDINGS: &[&str] = &[
        "Reader",
        "Writer",
        "File",
        "Importer",
        "Exporter",
        "Process",
        "Thread",
        "Popen",
        "Server",
        "Client",
        "Session",
        "Connection",
        "Socket",
        "Downloader",
        "Runner",
        "Executor",
        "Launcher",
        "Worker",
        "Pool",
        "Finder",
        "Compiler",
        "Database",
        "Logger",
        "Daemon",
        "Proxy",
        "Interpreter",
        "Shell",
        "Command",
        "Job",
        "Agent",
        "Hub",
        "Api",
        "Installer",
        "Repository",
        "DataSource",
        "Stream",
        "Store",
    ];
    ENDINGS.iter().any(|e| last(name).ends_with(e))
}
