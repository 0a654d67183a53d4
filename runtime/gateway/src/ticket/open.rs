//! Decisions about requests, and records of those that come no further.

use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderValue, StatusCode};
use weighbridge_types::ObligationKind;

use super::{Place, Ticket};
use crate::app::Inner;
use crate::authority::Ruling;
use crate::door::Visit;
use crate::identity::Caller;
use crate::models::{ModelInfo, ModelState};
use crate::problem::{Problem, Result};
use crate::record::{Outcome, RequestRecord};
use crate::room::Hold;

/// What Ollama's clients put behind a name that says no version.
const LATEST: &str = ":latest";
/// Longest notice in a header, bytes before it is escaped.
const NOTICE_BYTES_MAX: usize = 1024;

impl Inner {
    /// The model of that name or alias.
    fn find(&self, name: &str) -> Option<Arc<ModelInfo>> {
        self.models.find(name).or_else(|| self.models.find(name.strip_suffix(LATEST)?))
    }

    fn place(&self, model: &str) -> Result<Place> {
        match self.find(model) {
            Some(model) => Ok(Place::Local(model)),
            None => Ok(Place::Provider(self.upstream.route(model).ok_or_else(|| Problem::no_model(model))?)),
        }
    }

    /// The action, the decision about it, and what is told if it is refused.
    fn rule(&self, visit: &Visit, place: &Place) -> (&'static str, Ruling, String) {
        let caller = &visit.caller;
        match place {
            Place::Local(model) => {
                let what = format!("`{}` to answer {}", model.id, caller.shown());
                ("infer", self.authority.infer(caller, model), what)
            }
            Place::Provider(route) => {
                let id = route.provider();
                let what = format!("data of {} to go to provider `{id}`", caller.shown());
                ("routeToProvider", self.authority.route(caller, id, self.class(visit)), what)
            }
        }
    }

    /// Class of the data of a request.
    pub fn class<'a>(&'a self, visit: &'a Visit) -> Option<&'a str> {
        visit.data_class.as_deref().or(self.config.data_class.as_deref())
    }

    /// The model of that name, or where it is asked for, if the caller may use
    /// it: whoever may not ask a model is told nothing of it.
    pub fn look_up(&self, visit: &Visit, model: &str) -> Result<Place> {
        let place = self.place(model)?;
        let (_, ruling, what) = self.rule(visit, &place);
        if !ruling.allowed {
            return Err(denied(&ruling, &what));
        }
        if let Place::Local(model) = &place {
            served(model)?;
        }
        Ok(place)
    }

    /// Models that are listed: those that the caller may use, if they work.
    pub fn offered(&self, visit: &Visit) -> impl Iterator<Item = Arc<ModelInfo>> {
        let all = self.models.list().into_iter();
        all.filter(|model| model.is_offered() && self.authority.infer(&visit.caller, model).allowed)
    }

    /// A model here that the caller may use.
    pub fn look_up_local(&self, visit: &Visit, model: &str) -> Result<Arc<ModelInfo>> {
        match self.look_up(visit, model)? {
            Place::Local(model) => Ok(model),
            Place::Provider(_) => Err(Problem::no_model(model)),
        }
    }

    /// Decides about a request for `model`, and counts it. `room` is what it
    /// takes until it has ended.
    pub fn open(self: &Arc<Self>, visit: &Visit, model: &str, endpoint: &'static str, room: Hold) -> Result<Ticket> {
        let place = self.place(model).inspect_err(|problem| {
            let entry = RequestRecord { model: short(model), ..RequestRecord::of(&visit.caller, &visit.id, endpoint) };
            self.turn_away(entry, problem);
        })?;
        let caller = &visit.caller;
        let (action, ruling, what) = self.rule(visit, &place);
        let series = match &place {
            Place::Local(model) => model.id.clone(),
            Place::Provider(route) => route.name().to_owned(),
        };
        let mut ticket = Ticket {
            entry: self.entry(visit, model, endpoint, action, &place, &ruling),
            app: self.clone(),
            visit: visit.clone(),
            series,
            started: Instant::now(),
            share: None,
            charged: 0,
            uncharged: 0,
            prompt_estimate: 0,
            spent: None,
            keeps: ruling.obliges(ObligationKind::RecordPrompt).is_some(),
            notice: ruling.obliges(ObligationKind::NotifyUser).and_then(|o| notice(o.argument.as_deref()?)),
            place,
            _room: room,
        };
        if !ruling.allowed {
            return Err(ticket.refuse(denied(&ruling, &what)));
        }
        let (name, now) = (caller.shown(), ticket.entry.time);
        match self.quotas.begin(&name, now).and_then(|share| self.quotas.rate(&name, &ruling, now).map(|()| share)) {
            Ok(share) => ticket.share = Some(share),
            Err(problem) => return Err(ticket.refuse(problem)),
        }
        Ok(ticket)
    }

    /// Records a request that was refused before anything was decided.
    pub fn turn_away(&self, entry: RequestRecord, problem: &Problem) {
        let entry = RequestRecord { outcome: problem.outcome(), reason: Some(problem.reason()), ..entry };
        self.metrics.count("", &entry);
        self.record.record(entry);
    }

    /// The same for one that did not get past the door.
    pub fn turn_away_at_door(&self, caller: &Caller, id: &str, path: &str, problem: &Problem) {
        self.turn_away(RequestRecord::of(caller, id, short(path)), problem);
    }

    fn entry(
        &self,
        visit: &Visit,
        model: &str,
        endpoint: &'static str,
        action: &'static str,
        place: &Place,
        ruling: &Ruling,
    ) -> RequestRecord {
        let (digest, class, by, why) = match place {
            Place::Local(model) => {
                (model.digest, None, "local".to_owned(), "the model is served on this machine".to_owned())
            }
            Place::Provider(route) => (None, self.class(visit), format!("provider:{}", route.provider()), route.why()),
        };
        RequestRecord {
            model: short(model),
            digest,
            action,
            allowed: ruling.allowed,
            policies: ruling.policies.clone(),
            policy_version: ruling.version.clone(),
            obligations: ruling.obligations.clone(),
            data_class: class.map(str::to_owned),
            answered_by: if ruling.allowed { by } else { "nobody".to_owned() },
            why,
            outcome: Outcome::Cancelled,
            ..RequestRecord::of(&visit.caller, &visit.id, endpoint)
        }
    }
}

/// As records have names and paths.
fn short(text: &str) -> String {
    text.chars().take(256).collect()
}

fn denied(ruling: &Ruling, what: &str) -> Problem {
    let refused = Problem::new(StatusCode::FORBIDDEN, "policy_denied", ruling.refusal(what));
    Problem { field: Some("model".to_owned()), ..refused }
}

/// Whether `model` can still be asked.
pub(super) fn served(model: &ModelInfo) -> Result<()> {
    match &model.state {
        ModelState::Revoked(why) => Err(Problem::new(StatusCode::FORBIDDEN, "model_revoked", why.clone())),
        ModelState::Failed(why) => {
            let message = format!("model `{}` is not served any more: {why}", model.id);
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "model_unavailable", message))
        }
        _ => Ok(()),
    }
}

/// `text` for a header: what is no printable ASCII is percent-encoded as in
/// addresses (RFC 3986, section 2.1).
fn notice(text: &str) -> Option<HeaderValue> {
    let escaped: String = text
        .bytes()
        .take(NOTICE_BYTES_MAX)
        .map(|byte| match byte {
            b' '..=b'~' if byte != b'%' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    HeaderValue::from_str(&escaped).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_in_any_language_are_told() {
        assert_eq!(notice("keep it short").unwrap(), "keep it short");
        assert_eq!(notice("für 100%\n").unwrap(), "f%C3%BCr 100%25%0A");
    }

    #[test]
    fn what_was_taken_back_is_refused_and_not_to_be_tried_again() {
        let of = |state| served(&ModelInfo { state, ..ModelInfo::default() });
        let revoked = of(ModelState::Revoked("`m` was revoked: unsafe".to_owned())).unwrap_err();
        assert_eq!((revoked.status.as_u16(), revoked.code, revoked.retry_after), (403, "model_revoked", None));
        assert_eq!(revoked.outcome(), Outcome::Denied);
        assert_eq!(of(ModelState::Failed(String::new())).unwrap_err().status, 503);
        assert!(of(ModelState::Ready).is_ok() && of(ModelState::Loading(String::new())).is_ok());
    }
}
