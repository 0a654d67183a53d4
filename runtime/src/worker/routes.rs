//! Who waits for what.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use weighbridge_gateway::{EventSender, Work};
use weighbridge_inference_wire::{Event, Failure, RequestId};

use super::law::{self, Law};

/// Most requests at one worker: several times what anybody streams at once.
const ROUTES_MAX: usize = 8192;
/// How often, and how long each time, everybody waits for one who does not read,
/// before that one is cut off.
const ROOM_TRIES: u32 = 50;
const ROOM_PAUSE: Duration = Duration::from_millis(1);

/// Requests in flight at one worker.
#[derive(Debug, Default)]
pub struct Routes(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// The next request's number; those below were given out.
    next: RequestId,
    routes: HashMap<RequestId, (EventSender, Law)>,
    /// Those whose events nobody takes any more; the worker is to be told.
    unwanted: Vec<RequestId>,
    /// Set once nothing can be asked any more.
    over: bool,
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// It was passed on, or nobody waits for it any more.
    Fine,
    /// No worker says that.
    Illegal(&'static str),
}

impl Routes {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for `work`, whose events go to `sender`; `None` if there are
    /// too many or the worker is gone.
    pub fn begin(&self, work: &Work, sender: EventSender) -> Option<RequestId> {
        let mut table = self.lock();
        if table.over || table.routes.len() >= ROUTES_MAX {
            return None;
        }
        let id = table.next;
        table.next += 1;
        table.routes.insert(id, (sender, Law::of(work)));
        Some(id)
    }

    /// Forgets a request that was not sent.
    pub fn forget(&self, id: RequestId) {
        self.lock().routes.remove(&id);
    }

    /// Ends a request with a failure of ours.
    pub fn fail(&self, id: RequestId, failure: Failure) {
        if let Some((sender, _)) = self.lock().routes.remove(&id) {
            // Whoever does not read needs no reason.
            let _ = sender.send(Event::Failed { failure });
        }
    }

    /// Passes an event on.
    pub fn tell(&self, id: RequestId, event: Event) -> Told {
        let mut table = self.table_with_room(id);
        if id >= table.next {
            return Told::Illegal("an answer to a question nobody asked");
        }
        // Events and cancellations cross on their way.
        let Some((sender, law)) = table.routes.get_mut(&id) else { return Told::Fine };
        if let Err(why) = law.hold(&event) {
            return Told::Illegal(why);
        }
        let last = matches!(event, Event::Done { .. } | Event::Failed { .. });
        let event = match event {
            Event::Failed { failure } => Event::Failed { failure: law::shown(failure) },
            other => other,
        };
        let taken = sender.send(event).is_ok();
        if last || !taken {
            table.routes.remove(&id);
        }
        if !taken && !last {
            table.unwanted.push(id);
        }
        Told::Fine
    }

    /// The table, once whoever waits for `id` can take one event more, or had a
    /// moment to read: a burst comes faster than its reader wakes up.
    fn table_with_room(&self, id: RequestId) -> MutexGuard<'_, Table> {
        for _ in 0..ROOM_TRIES {
            let table = self.lock();
            if !table.routes.get(&id).is_some_and(|(sender, _)| sender.is_full()) {
                return table;
            }
            drop(table);
            thread::sleep(ROOM_PAUSE);
        }
        self.lock()
    }

    /// Requests whose caller is gone or does not read: they are forgotten, and
    /// to be cancelled.
    pub fn abandoned(&self) -> Vec<RequestId> {
        let mut table = self.lock();
        let mut gone = std::mem::take(&mut table.unwanted);
        let closed = table.routes.iter().filter(|(_, (sender, _))| sender.is_closed()).map(|(id, _)| *id);
        gone.extend(closed.collect::<Vec<_>>());
        for id in &gone {
            table.routes.remove(id);
        }
        gone
    }

    /// Whether somebody still waits for it.
    pub fn wanted(&self, id: RequestId) -> bool {
        self.lock().routes.contains_key(&id)
    }

    /// Requests in flight.
    pub fn count(&self) -> usize {
        self.lock().routes.len()
    }

    /// Takes no more requests.
    pub fn close(&self) {
        self.lock().over = true;
    }

    /// Ends all requests with `failure`.
    pub fn fail_all(&self, failure: &Failure) {
        let routes = std::mem::take(&mut self.lock().routes);
        for (sender, _) in routes.into_values() {
            // Whoever does not read needs no reason.
            let _ = sender.send(Event::Failed { failure: failure.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};
    use weighbridge_gateway::events;
    use weighbridge_inference_wire::{Embed, FailureKind, Usage};

    use super::*;

    fn work() -> Work {
        Work::Embed(Embed { texts: vec![String::new()], tokens: Vec::new(), dimensions: None, truncate: false })
    }

    fn failure() -> Failure {
        Failure { kind: FailureKind::Gone, message: "gone\u{7}".to_owned(), field: None }
    }

    fn text() -> Event {
        Event::Text { choice: 0, text: "a".to_owned(), thought: false, chances: Vec::new() }
    }

    fn text_work() -> Work {
        let generate = weighbridge_inference_wire::Generate {
            prompt: weighbridge_inference_wire::Prompt::Text(String::new()),
            max_tokens: None,
            choices: 1,
            stop: Vec::new(),
            sampling: weighbridge_inference_wire::Sampling::default(),
            constraint: weighbridge_inference_wire::Constraint::Free,
            logprobs: None,
            ignore_end: false,
            scope: 0,
        };
        Work::Generate(Box::new(generate))
    }

    #[test]
    fn events_reach_whoever_asked_and_no_others() {
        let routes = Routes::default();
        let ((sender, mut first), (other, mut second)) = (events(4), events(4));
        let id = routes.begin(&work(), sender).unwrap();
        let unasked = routes.begin(&work(), other).unwrap();
        let vectors = Event::Vectors { size: 1, data: "AAAAAA==".to_owned() };
        assert_eq!(routes.tell(id, vectors.clone()), Told::Fine);
        assert_eq!(routes.tell(id, Event::Done { usage: Usage::default() }), Told::Fine);
        assert_eq!(first.next().now_or_never().flatten(), Some(vectors));
        assert_eq!(routes.tell(id, Event::Failed { failure: failure() }), Told::Fine, "late, to nobody");
        assert!(matches!(routes.tell(unasked + 1, Event::Failed { failure: failure() }), Told::Illegal(_)));
        assert!(matches!(routes.tell(unasked, Event::Done { usage: Usage::default() }), Told::Illegal(_)));
        routes.close();
        routes.fail_all(&failure());
        assert!(matches!(second.next().now_or_never().flatten(), Some(Event::Failed { .. })));
        assert!(routes.begin(&work(), events(1).0).is_none());
    }

    #[test]
    fn a_burst_waits_a_moment_for_its_reader() {
        let routes = std::sync::Arc::new(Routes::default());
        let (sender, mut events) = events(1);
        let id = routes.begin(&text_work(), sender).unwrap();
        let telling = std::sync::Arc::clone(&routes);
        let teller = thread::spawn(move || (0..5).for_each(|_| assert_eq!(telling.tell(id, text()), Told::Fine)));
        let mut heard = 0;
        while heard < 5 {
            match events.next().now_or_never() {
                Some(event) => assert_eq!((event, heard += 1), (Some(text()), ())),
                None => thread::yield_now(),
            }
        }
        teller.join().unwrap();
        assert_eq!((routes.abandoned(), routes.count()), (Vec::new(), 1));
    }

    #[test]
    fn a_caller_that_is_gone_or_does_not_read_is_noticed() {
        let routes = Routes::default();
        let (sender, events_of_one) = events(1);
        let gone = routes.begin(&work(), sender).unwrap();
        assert!(routes.abandoned().is_empty());
        drop(events_of_one);
        assert_eq!((routes.abandoned(), routes.count()), (vec![gone], 0));
        let (sender, _events) = events(1);
        let id = routes.begin(&text_work(), sender).unwrap();
        assert_eq!((routes.tell(id, text()), routes.abandoned()), (Told::Fine, Vec::new()));
        assert_eq!((routes.tell(id, text()), routes.count()), (Told::Fine, 0));
        // Told until somebody has heard, however much is on its way.
        assert_eq!((routes.abandoned(), routes.abandoned()), (vec![id], Vec::new()));
    }
}
