use proptest::prelude::*;
use weighbridge_inference_wire::FailureKind;

use super::*;

mod plain;

fn sampler(wanted: &Sampling, seed: u64) -> Sampler {
    Sampler::new(wanted, &Sampling::default(), 1_000_000, seed).unwrap()
}

fn row(length: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..length).map(|_| (random.uniform() * 20.0 - 10.0) as f32).collect()
}

/// Shares of 20,000 draws.
fn shares(wanted: &Sampling, logits: &[f32], mask: Option<&[u32]>) -> Vec<f64> {
    let mut sampler = sampler(wanted, 3);
    let (mut counts, mut scratch) = (vec![0.0; logits.len()], Scratch::default());
    for _ in 0..20_000 {
        counts[sampler.draw(logits, mask, &[], &mut scratch).unwrap() as usize] += 1.0 / 20_000.0;
    }
    counts
}

fn near(drawn: &[f64], expected: &[f64]) {
    for (a, b) in drawn.iter().zip(expected) {
        assert!((a - b).abs() < 0.015, "{drawn:?} is not {expected:?}");
        assert_eq!(*b == 0.0, *a == 0.0, "{drawn:?} is not {expected:?}");
    }
}

/// Logits of these probabilities.
fn logits(of: &[f64]) -> Vec<f32> {
    of.iter().map(|p| p.ln() as f32).collect()
}

#[test]
fn draws_as_often_as_likely() {
    let p = [0.5, 0.3, 0.15, 0.05];
    near(&shares(&Sampling::default(), &logits(&p), None), &p);
    let hot = Sampling { temperature: Some(2.0), ..Sampling::default() };
    let roots: Vec<f64> = p.iter().map(|p: &f64| p.sqrt()).collect();
    let sum: f64 = roots.iter().sum();
    near(&shares(&hot, &logits(&p), None), &roots.iter().map(|r| r / sum).collect::<Vec<_>>());
}

#[test]
fn top_k_top_p_and_min_p_cut_where_they_say() {
    let p = logits(&[0.05, 0.5, 0.15, 0.3]);
    let k = Sampling { top_k: Some(2), ..Sampling::default() };
    near(&shares(&k, &p, None), &[0.0, 0.625, 0.0, 0.375]);
    let nucleus = Sampling { top_p: Some(0.79), ..Sampling::default() };
    near(&shares(&nucleus, &p, None), &[0.0, 0.625, 0.0, 0.375]);
    let more = Sampling { top_p: Some(0.81), ..Sampling::default() };
    near(&shares(&more, &p, None), &[0.0, 0.526, 0.158, 0.316]);
    let min = Sampling { min_p: Some(0.25), ..Sampling::default() };
    near(&shares(&min, &p, None), &[0.0, 0.526, 0.158, 0.316]);
    // top_p counts within what top_k left: 0.5 of 0.8 is 0.625 already.
    let both = Sampling { top_k: Some(2), top_p: Some(0.6), ..Sampling::default() };
    near(&shares(&both, &p, None), &[0.0, 1.0, 0.0, 0.0]);
    let none = Sampling { top_p: Some(0.0), ..Sampling::default() };
    near(&shares(&none, &p, None), &[0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn penalties_and_bias_move_logits_as_documented() {
    let greedy = Sampling { temperature: Some(0.0), ..Sampling::default() };
    let mut repetition = sampler(&Sampling { repetition_penalty: Some(2.0), ..greedy.clone() }, 0);
    repetition.read(&[1]);
    assert_eq!(
        repetition.draw(&[1.1, 2.0, 0.0], None, &[], &mut Scratch::default()).unwrap(),
        0,
        "2.0 / 2 is less than 1.1"
    );
    repetition.wrote(0);
    assert_eq!(
        repetition.draw(&[-1.0, -1.0, -1.5], None, &[], &mut Scratch::default()).unwrap(),
        2,
        "negative ones are multiplied"
    );

    let mut frequency = sampler(&Sampling { frequency_penalty: Some(0.5), ..greedy.clone() }, 0);
    frequency.read(&[1, 1, 1]);
    assert_eq!(
        frequency.draw(&[1.0, 1.9], None, &[], &mut Scratch::default()).unwrap(),
        1,
        "the prompt does not count"
    );
    frequency.wrote(1);
    assert_eq!(frequency.draw(&[1.0, 1.9], None, &[], &mut Scratch::default()).unwrap(), 1);
    frequency.wrote(1);
    assert_eq!(frequency.draw(&[1.0, 1.9], None, &[], &mut Scratch::default()).unwrap(), 0);

    let mut presence = sampler(&Sampling { presence_penalty: Some(1.0), ..greedy.clone() }, 0);
    presence.wrote(1);
    presence.wrote(1);
    assert_eq!(presence.draw(&[1.0, 2.1], None, &[], &mut Scratch::default()).unwrap(), 1, "once, however often");
    assert_eq!(presence.draw(&[1.0, 1.9], None, &[], &mut Scratch::default()).unwrap(), 0);

    let mut bias = sampler(&Sampling { logit_bias: vec![(0, 5.0)], ..greedy }, 0);
    assert_eq!(bias.draw(&[1.0, 2.0], None, &[], &mut Scratch::default()).unwrap(), 0);
}

#[test]
fn masked_and_banned_tokens_are_never_drawn() {
    let even = vec![0.0; 70];
    let mask = [0b1010, 0, 0b10_0000];
    let drawn = shares(&Sampling::default(), &even, Some(&mask));
    let mut expected = vec![0.0; 70];
    for token in [1, 3, 69] {
        expected[token] = 1.0 / 3.0;
    }
    near(&drawn, &expected);
    let mut sampler = sampler(&Sampling::default(), 0);
    for _ in 0..100 {
        assert_eq!(sampler.draw(&even, Some(&mask), &[1, 69], &mut Scratch::default()).unwrap(), 3);
    }
    let failure = sampler.draw(&even, Some(&[0, 0, 0]), &[], &mut Scratch::default()).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Model);
}

#[test]
fn damaged_logits_are_the_models_fault() {
    for bad in [f32::NAN, f32::INFINITY] {
        for place in [0, 15, 16, 99] {
            let mut logits = vec![0.0; 100];
            logits[place] = bad;
            for wanted in [Sampling::default(), Sampling { logit_bias: vec![(1, 1.0)], ..Sampling::default() }] {
                assert_eq!(
                    sampler(&wanted, 0).draw(&logits, None, &[], &mut Scratch::default()).unwrap_err().kind,
                    FailureKind::Model
                );
            }
        }
    }
    assert!(
        sampler(&Sampling::default(), 0).draw(&[f32::NEG_INFINITY; 3], None, &[], &mut Scratch::default()).is_err()
    );
    assert!(sampler(&Sampling::default(), 0).draw(&[], None, &[], &mut Scratch::default()).is_err());
}

#[test]
fn values_out_of_range_name_their_field() {
    let of = |wanted: &Sampling| Sampler::new(wanted, &Sampling::default(), 10, 0).unwrap_err().field.unwrap();
    assert_eq!(of(&Sampling { temperature: Some(-1.0), ..Sampling::default() }), "temperature");
    assert_eq!(of(&Sampling { temperature: Some(f32::NAN), ..Sampling::default() }), "temperature");
    assert_eq!(of(&Sampling { top_p: Some(1.5), ..Sampling::default() }), "top_p");
    assert_eq!(of(&Sampling { repetition_penalty: Some(0.0), ..Sampling::default() }), "repetition_penalty");
    for bias in [(10, 0.0), (1, 100.5), (1, -101.0), (1, f32::MAX), (1, f32::NAN)] {
        assert_eq!(of(&Sampling { logit_bias: vec![bias], ..Sampling::default() }), "logit_bias");
    }
    let least = Sampling { logit_bias: vec![(1, -100.0), (2, 100.0)], ..Sampling::default() };
    Sampler::new(&least, &Sampling::default(), 10, 0).unwrap();
}

#[test]
fn exponential_is_near_the_true_one() {
    for step in 0..8_700u16 {
        let x = -f32::from(step) / 100.0;
        let (ours, true_one) = (f64::from(select::exp(x)), f64::from(x).exp());
        assert!((ours / true_one - 1.0).abs() < 1e-6, "{x}: {ours} {true_one}");
    }
    assert_eq!(select::exp(f32::NEG_INFINITY), 0.0);
    assert_eq!(select::exp(0.0), 1.0);
}

#[test]
fn chances_sum_to_one_and_are_ordered() {
    let logits = row(1000, 5);
    let all = chances(&logits, 7, 1000, &mut Scratch::default()).unwrap();
    let sum: f64 = all.likeliest.iter().map(|(_, p)| f64::from(*p).exp()).sum();
    assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    assert!(all.likeliest.is_sorted_by(|a, b| a.1 >= b.1));
    assert_eq!(all.likeliest.iter().find(|(token, _)| *token == 7).unwrap().1, all.drawn);
    assert_eq!(chances(&logits, 7, 5, &mut Scratch::default()).unwrap().likeliest, all.likeliest[..5]);
}

proptest! {
    /// One room for all draws: nothing of one is left for the next.
    #[test]
    fn draws_are_those_of_the_plain_way(
        length in 1usize..5000,
        seed in any::<u64>(),
        temperature in prop::sample::select(vec![0.0f32, 0.01, 0.5, 1.0, 3.0]),
        top_k in prop::sample::select(vec![0u32, 1, 20, 200]),
        top_p in prop::sample::select(vec![0.0f32, 0.5, 0.95, 1.0]),
        min_p in prop::sample::select(vec![0.0f32, 0.05]),
        penalty in prop::sample::select(vec![1.0f32, 1.3]),
        masks in 0u32..4,
        steep in prop::sample::select(vec![0.0f32, 1.0, 20.0, 60.0]),
    ) {
        let wanted = Sampling {
            temperature: Some(temperature),
            top_k: Some(top_k),
            top_p: Some(top_p),
            min_p: Some(min_p),
            repetition_penalty: Some(penalty),
            frequency_penalty: Some(penalty - 1.0),
            logit_bias: if masks == 1 { vec![(0, 3.0), (0, 1.0), (70, -100.0)] } else { Vec::new() },
            ..Sampling::default()
        };
        let (mut ours, mut plain) = (sampler(&wanted, seed), sampler(&wanted, seed));
        let (mut scratch, mut random) = (Scratch::default(), Random::new(seed));
        for turn in 0..8u64 {
            let mut logits: Vec<f32> = row(length, seed ^ turn).iter().map(|logit| logit * steep + 0.0).collect();
            if turn == 3 {
                logits[length / 2] = f32::NEG_INFINITY;
            }
            let word = |at: usize| match (at / 2 + turn as usize) % 3 { 0 => 0, 1 => u32::MAX, _ => random.bits() as u32 };
            let mask: Vec<u32> = (0..length.div_ceil(32)).map(word).collect();
            let mask = (masks >= 2).then_some(mask.as_slice());
            let banned: &[u32] = if masks == 3 { &[3, 64, 4999] } else { &[] };
            let expected = plain::drawn(&mut plain, &logits, mask, banned);
            prop_assert_eq!(ours.draw(&logits, mask, banned, &mut scratch), expected.clone());
            if let Ok(token) = expected {
                ours.wrote(token);
                plain.wrote(token);
            }
            let told = chances(&logits, 0, 5, &mut scratch).unwrap();
            let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let norm = f64::from(top) + plain::total(&logits, top, 1.0).ln();
            prop_assert_eq!(told.drawn, ((f64::from(logits[0]) - norm) as f32).max(-9999.0));
        }
    }

    #[test]
    fn selection_is_what_sorting_gives(length in 1usize..3000, seed in any::<u64>(), k in 1usize..200) {
        let logits = row(length, seed);
        let mut sorted: Vec<(u32, f32)> = logits.iter().enumerate().map(|(i, l)| (i as u32, *l)).collect();
        sorted.sort_by(select::likelier);
        let mut scratch = Scratch::default();
        let (row, room) = scratch.read(&logits).unwrap();
        prop_assert_eq!(row.likeliest().unwrap(), sorted[0]);
        select::best(&row, k, room);
        let mut found = room.candidates.clone();
        found.sort_by(select::likelier);
        sorted.truncate(k);
        prop_assert_eq!(found, sorted);
    }

    #[test]
    fn nucleus_is_the_smallest_set(length in 1usize..2000, seed in any::<u64>(), p in 0.0f32..1.0, t in 0.2f32..3.0) {
        let logits = row(length, seed);
        let mut scratch = Scratch::default();
        let (row, _) = scratch.read(&logits).unwrap();
        let top = row.likeliest().unwrap().1;
        let mut sorted: Vec<(u32, f64)> =
            logits.iter().enumerate().map(|(i, l)| (i as u32, (f64::from(*l - top) / f64::from(t)).exp())).collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
        let all: f64 = sorted.iter().map(|(_, w)| w).sum();
        let mut sum = 0.0;
        let needed = sorted.iter().take_while(|(_, w)| { let go = sum < all * f64::from(p) * 0.9999; sum += w; go }).count();
        let mut found = Vec::new();
        let total = select::nucleus(&row, top, 1.0 / t, p, &mut found);
        prop_assert!((total / all - 1.0).abs() < 1e-4);
        prop_assert!(found.len() >= needed.max(1).min(length));
    }

    #[test]
    fn one_seed_one_sequence(seed in any::<u64>(), k in 0u32..50, p in 0.1f32..1.0) {
        let wanted = Sampling { top_k: Some(k), top_p: Some(p), ..Sampling::default() };
        let draw = || {
            let mut sampler = sampler(&wanted, seed);
            (0..20).map(|i| sampler.draw(&row(300, i), None, &[], &mut Scratch::default()).unwrap()).collect::<Vec<_>>()
        };
        prop_assert_eq!(draw(), draw());
    }
}
