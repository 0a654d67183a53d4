//! Coming in with a token.

use std::path::Path;
use std::time::Duration;

use weighbridge_console_wire::{Check, Enrolment, EnrolmentAnswer, JoinToken, KeyStorage, Machine, VERSION};

use crate::client::Answer;
use crate::identity::{own_key, request};
use crate::trust::pinned;
use crate::{Address, Client, Identity, ReportError};

/// How far an endpoint came.
#[derive(Debug)]
pub enum Step {
    /// It is in.
    Done(Identity),
    /// An administrator has to say yes; ask again after this.
    Waiting(Duration),
}

/// Asks the console at `address` to let this machine in. Its key is made in
/// `folder` and kept there: asking again, after an answer that was lost or while
/// an administrator thinks about it, is the same request.
///
/// # Errors
/// [`ReportError`].
pub fn enrol(folder: &Path, address: &Address, token: &str, machine: Machine) -> Result<Step, ReportError> {
    let known: JoinToken = token.parse()?;
    let key = own_key(folder)?;
    let config = pinned(known.authority).map_err(|e| ReportError::Answer(e.to_string()))?;
    let mut client = Client::new(address.clone(), config)?;
    let asked = Enrolment {
        version: VERSION,
        token: known.to_string(),
        request: request(&key)?,
        machine,
        key_storage: KeyStorage::Software,
    };
    asked.check()?;
    let Answer::Done(answer) = client.tell::<EnrolmentAnswer>("enrol", &asked)? else {
        return Err(ReportError::Answer("it neither lets this endpoint in nor refuses".to_owned()));
    };
    answer.check()?;
    match answer {
        EnrolmentAnswer::Enrolled(enrolled) => {
            Identity::keep(folder, address, known.authority, enrolled).map(Step::Done)
        }
        EnrolmentAnswer::Waiting { retry_after_s } => Ok(Step::Waiting(Duration::from_secs(u64::from(retry_after_s)))),
    }
}
