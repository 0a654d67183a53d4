//! A model that can tell whether it was asked rightly.
//!
//! Its pages hold tokens instead of keys and values. Logits come from a hash of
//! the whole sequence as its pages have it, so that any page that is missing,
//! stale, foreign or overwritten changes what is written next.

use std::collections::{HashMap, HashSet};

use crate::model::{Batch, LanguageModel, Shape, StepError};

pub(super) struct Fake {
    pub(super) shape: Shape,
    /// Token, and a sum of all tokens up to it, as keys and values have it.
    pages: Vec<Vec<Option<(u32, u64)>>>,
    /// For models that share no pages: tokens by sequence.
    own: HashMap<u64, Vec<u32>>,
    row: Vec<f32>,
    pub(super) largest: usize,
    pub(super) fails_at: Option<usize>,
    pub(super) breaks_at: Option<usize>,
    pub(super) steps: usize,
    /// What a token takes.
    pub(super) takes: std::time::Duration,
}

impl Fake {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            pages: vec![vec![None; shape.page_tokens]; shape.pages],
            own: HashMap::new(),
            row: Vec::new(),
            largest: 0,
            fails_at: None,
            breaks_at: None,
            steps: 0,
            takes: std::time::Duration::ZERO,
            shape,
        }
    }

    /// Sequences it still keeps.
    pub(super) fn kept(&self) -> usize {
        self.own.len()
    }
}

fn follow(sum: u64, token: u32) -> u64 {
    (sum.rotate_left(7) ^ u64::from(token)).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1)
}

/// Logits after these tokens; the end of an answer is about as likely as any
/// other token.
pub(super) fn logits(tokens: &[u32], vocabulary: usize, row: &mut Vec<f32>) {
    let mut state = tokens.iter().fold(0xcbf2_9ce4_8422_2325u64, |state, &token| {
        (state ^ u64::from(token)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23)
    });
    for _ in 0..vocabulary {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        row.push((state >> 40) as f32 / (1u32 << 20) as f32);
    }
}

impl LanguageModel for Fake {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn step(&mut self, batch: &Batch<'_>) -> Result<&[f32], StepError> {
        self.steps += 1;
        if self.fails_at == Some(self.steps) {
            return Err(StepError::Graph("the graph is torn".to_owned()));
        }
        self.largest = self.largest.max(batch.tokens.len());
        std::thread::sleep(self.takes * u32::try_from(batch.tokens.len()).unwrap());
        self.row.clear();
        let size = self.shape.page_tokens;
        let (mut next, mut written) = (0, HashSet::new());
        assert!(!batch.segments.is_empty());
        assert!(batch.logit_rows.is_sorted());
        let mut wanted = batch.logit_rows.iter().copied().peekable();
        for segment in batch.segments {
            assert_eq!(segment.first, next, "segments follow each other");
            assert!(segment.count > 0);
            next += segment.count;
            let new = &batch.tokens[segment.first..next];
            let total = segment.past + segment.count;
            assert!(segment.pages.len() * size >= total, "pages for all tokens");
            assert!(total <= self.shape.context_length);
            for (at, &token) in (segment.past..total).zip(new) {
                let page = segment.pages[at / size] as usize;
                assert!(written.insert((page, at % size)), "two sequences write one place");
                let before = at.checked_sub(1).map(|at| segment.pages[at / size] as usize);
                let sum = before.map_or(0, |page| self.pages[page][(at - 1) % size].expect("what came before").1);
                self.pages[page][at % size] = Some((token, follow(sum, token)));
                // What followed in this page belonged to somebody else.
                self.pages[page][at % size + 1..].fill(None);
            }
            if !self.shape.shares_pages {
                let own = self.own.entry(segment.sequence).or_default();
                assert_eq!(own.len(), segment.past, "sequence {} goes on where it was", segment.sequence);
                own.extend_from_slice(new);
            }
            while let Some(row) = wanted.next_if(|&row| row < next) {
                let until = segment.past + row - segment.first + 1;
                let tokens: Vec<u32> = if self.shape.shares_pages {
                    let page = |at: usize| self.pages[segment.pages[at / size] as usize][at % size];
                    let mut sum = 0;
                    let token = |at| {
                        let (token, stored) = page(at).expect("a token at each place");
                        sum = follow(sum, token);
                        assert_eq!(stored, sum, "the page was filled after other tokens");
                        token
                    };
                    (0..until).map(token).collect()
                } else {
                    self.own[&segment.sequence][..until].to_vec()
                };
                logits(&tokens, self.shape.vocabulary, &mut self.row);
            }
        }
        assert_eq!(next, batch.tokens.len());
        assert_eq!(wanted.next(), None);
        if self.breaks_at == Some(self.steps) {
            self.row.fill(f32::NAN);
        }
        Ok(&self.row)
    }

    fn released(&mut self, sequence: u64) {
        self.own.remove(&sequence);
    }
}
