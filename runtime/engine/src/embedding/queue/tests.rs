use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::embedding::Pooling;

/// Says which tokens it saw: each token's row is (token, place, 1); a batch
/// with the token 666 fails, the token 13 makes infinity.
#[derive(Default)]
struct Echo {
    batches: Rc<RefCell<Vec<Vec<usize>>>>,
    first: bool,
    out: Vec<f32>,
}

impl EncoderModel for Echo {
    fn size(&self) -> usize {
        if self.first { 1 } else { 3 }
    }

    fn read(&mut self, texts: &Texts<'_>) -> Result<Read<'_>, StepError> {
        assert_eq!(texts.counts.iter().sum::<usize>(), texts.tokens.len());
        assert_eq!(texts.types.len(), texts.tokens.len());
        self.batches.borrow_mut().push(texts.counts.to_vec());
        if texts.tokens.contains(&666) {
            return Err(StepError::Graph("it is haunted".to_owned()));
        }
        let mut rest = texts.tokens;
        self.out.clear();
        for &count in texts.counts {
            let (mine, others) = rest.split_at(count);
            rest = others;
            if self.first {
                self.out.push(mine[0] as f32);
                continue;
            }
            for (place, &token) in mine.iter().enumerate() {
                self.out.extend([if token == 13 { f32::INFINITY } else { token as f32 }, place as f32, 1.0]);
            }
        }
        Ok(if self.first { Read::Texts(&self.out) } else { Read::Tokens(&self.out) })
    }
}

type Heard = Rc<RefCell<Vec<(RequestId, Event)>>>;

fn queue(model: Echo, bounds: Bounds) -> (Queue<Echo, impl FnMut(RequestId, Event)>, Heard) {
    let heard: Heard = Rc::default();
    let sink = Rc::clone(&heard);
    let settings = Settings { normalises: false, pooling: Pooling::Mean, ..Settings::default() };
    (Queue::new(model, settings, bounds, move |id, event| sink.borrow_mut().push((id, event))), heard)
}

fn work(texts: &[&[u32]]) -> Work {
    let rows = texts.iter().map(|t| Row { tokens: t.to_vec(), types: vec![0; t.len()] }).collect();
    Work { rows, wanted: Wanted::Vectors { dimensions: None } }
}

fn vectors(event: &Event) -> Vec<Vec<f32>> {
    let Event::Vectors { size, data } = event else { panic!("{event:?}") };
    let bytes = STANDARD.decode(data).unwrap();
    let numbers: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    numbers.chunks(*size as usize).map(<[f32]>::to_vec).collect()
}

#[test]
fn requests_share_batches_by_turns_and_answers_keep_their_order() {
    let model = Echo::default();
    let batches = Rc::clone(&model.batches);
    let (mut queue, heard) = queue(model, Bounds { batch_tokens: 6, ..Bounds::default() });
    queue.enqueue(1, work(&[&[5, 7], &[9], &[1, 1, 1, 1], &[2]]));
    queue.enqueue(2, work(&[&[4]]));
    queue.enqueue(3, work(&[&[8; 9]]));
    while !queue.is_idle() {
        queue.step();
    }
    // The text of nine is longer than a batch and goes alone.
    assert_eq!(*batches.borrow(), [vec![2, 1], vec![9], vec![1, 4, 1]]);
    let heard = heard.borrow();
    let ids: Vec<RequestId> = heard.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [2, 2, 3, 3, 1, 1], "whoever is done is answered");
    assert_eq!(vectors(&heard[4].1), [[6.0, 0.5, 1.0], [9.0, 0.0, 1.0], [1.0, 1.5, 1.0], [2.0, 0.0, 1.0]]);
    assert!(matches!(&heard[5].1, Event::Done { usage } if usage.prompt_tokens == 8));
    assert_eq!(queue.stats().prompt_tokens, 18);
    assert_eq!((queue.stats().waiting, queue.waiting_tokens), (0, 0));
}

#[test]
fn what_nobody_waits_for_is_not_read() {
    let model = Echo::default();
    let batches = Rc::clone(&model.batches);
    let (mut queue, heard) = queue(model, Bounds { batch_tokens: 2, ..Bounds::default() });
    queue.enqueue(1, work(&[&[1], &[2], &[3], &[4]]));
    queue.enqueue(2, work(&[&[5]]));
    queue.step();
    queue.cancel(1);
    assert_eq!(queue.waiting_tokens, 0);
    queue.step();
    assert!(queue.is_idle());
    assert_eq!(batches.borrow().len(), 1);
    assert!(heard.borrow().iter().all(|(id, _)| *id == 2));
}

#[test]
fn more_than_fits_is_refused_and_one_request_always_fits() {
    let bounds = Bounds { requests_max: 3, tokens_max: 10, numbers_max: 30, batch_tokens: 100 };
    let (mut queue, heard) = queue(Echo::default(), bounds);
    queue.enqueue(1, work(&[&[1; 50]]));
    queue.enqueue(2, work(&[&[1]]));
    let busy = |heard: &Heard, id: RequestId| {
        let heard = heard.borrow();
        heard
            .iter()
            .any(|(i, e)| *i == id && matches!(e, Event::Failed { failure } if failure.kind == FailureKind::Busy))
    };
    assert!(busy(&heard, 2));
    queue.step();
    for id in 3..6 {
        queue.enqueue(id, work(&[&[1]]));
    }
    queue.enqueue(6, work(&[&[1]]));
    assert!(busy(&heard, 6) && !busy(&heard, 5), "too many requests");
    queue.step();
    queue.enqueue(7, work(&[&[1][..]; 8]));
    queue.enqueue(8, work(&[&[1][..]; 3]));
    assert!(busy(&heard, 8) && !busy(&heard, 7), "too many numbers");
}

#[test]
fn a_batch_that_fails_fails_for_those_in_it_and_infinity_for_its_own() {
    let (mut queue, heard) = queue(Echo::default(), Bounds { batch_tokens: 2, ..Bounds::default() });
    queue.enqueue(1, work(&[&[13]]));
    queue.enqueue(2, work(&[&[1]]));
    queue.enqueue(3, work(&[&[666, 1], &[1]]));
    queue.enqueue(4, work(&[&[1]]));
    for _ in 0..4 {
        queue.step();
    }
    assert!(queue.is_idle());
    let failed: Vec<RequestId> =
        heard.borrow().iter().filter(|(_, e)| matches!(e, Event::Failed { .. })).map(|(id, _)| *id).collect();
    assert_eq!(failed, [1, 3]);
    assert_eq!(queue.waiting_tokens, 0);
}

#[test]
fn vectors_can_be_cut_and_pairs_are_scored() {
    let (mut cut, heard) = queue(Echo::default(), Bounds::default());
    cut.enqueue(1, Work { wanted: Wanted::Vectors { dimensions: Some(2) }, ..work(&[&[4], &[6]]) });
    cut.enqueue(2, Work { wanted: Wanted::Vectors { dimensions: Some(4) }, ..work(&[&[4]]) });
    cut.step();
    assert_eq!(vectors(&heard.borrow()[1].1), [[4.0, 0.0], [6.0, 0.0]]);
    assert!(
        matches!(&heard.borrow()[0].1, Event::Failed { failure } if failure.field.as_deref() == Some("dimensions"))
    );
    let (mut ranks, heard) = queue(Echo { first: true, ..Echo::default() }, Bounds::default());
    ranks.enqueue(1, Work { wanted: Wanted::Scores, ..work(&[&[0, 5], &[3]]) });
    ranks.step();
    let Event::Scores { scores } = heard.borrow()[0].1.clone() else { panic!() };
    assert!(scores[0] == 0.5 && (scores[1] - 0.952_574).abs() < 1e-5, "{scores:?}");
}
