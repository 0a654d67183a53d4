//! Base scores of CVSS vectors, versions 3.0, 3.1 and 4.0 (FIRST). Threat,
//! temporal and environmental metrics are the reader's, and left out.

use weighbridge_types::Severity;

/// Longest vector read, bytes; all metrics of version 4 take 200.
const VECTOR_BYTES_MAX: usize = 512;

/// The rating that belongs to a score ("Qualitative Severity Rating Scale").
#[must_use]
pub fn severity(score: f64) -> Severity {
    match score {
        s if s >= 9.0 => Severity::Critical,
        s if s >= 7.0 => Severity::High,
        s if s >= 4.0 => Severity::Medium,
        s if s > 0.0 => Severity::Low,
        _ => Severity::Info,
    }
}

/// The base score of a vector, 0 to 10 in tenths.
#[must_use]
pub fn base_score(vector: &str) -> Option<f64> {
    if vector.len() > VECTOR_BYTES_MAX {
        return None;
    }
    let (version, metrics) = vector.split_once('/')?;
    let metrics = Metrics(metrics);
    match version {
        "CVSS:3.0" | "CVSS:3.1" => version_3(&metrics),
        "CVSS:4.0" => version_4(&metrics),
        _ => None,
    }
}

/// `AV:N/AC:L/…`
struct Metrics<'a>(&'a str);

impl Metrics<'_> {
    /// The value of a metric that occurs once.
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.split('/').filter_map(|m| m.split_once(':')).filter(|(n, _)| *n == name);
        let (_, value) = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// The number that belongs to its value.
    fn weight(&self, name: &str, weights: &[(&str, f64)]) -> Option<f64> {
        let value = self.get(name)?;
        weights.iter().find(|(v, _)| *v == value).map(|(_, w)| *w)
    }
}

/// CVSS 3.1 specification, section 7.1.
fn version_3(m: &Metrics<'_>) -> Option<f64> {
    const IMPACT: &[(&str, f64)] = &[("H", 0.56), ("L", 0.22), ("N", 0.0)];
    let changed = match m.get("S")? {
        "C" => true,
        "U" => false,
        _ => return None,
    };
    let privileges =
        if changed { [("N", 0.85), ("L", 0.68), ("H", 0.5)] } else { [("N", 0.85), ("L", 0.62), ("H", 0.27)] };
    let exploitability = 8.22
        * m.weight("AV", &[("N", 0.85), ("A", 0.62), ("L", 0.55), ("P", 0.2)])?
        * m.weight("AC", &[("L", 0.77), ("H", 0.44)])?
        * m.weight("PR", &privileges)?
        * m.weight("UI", &[("N", 0.85), ("R", 0.62)])?;
    let iss = 1.0 - (1.0 - m.weight("C", IMPACT)?) * (1.0 - m.weight("I", IMPACT)?) * (1.0 - m.weight("A", IMPACT)?);
    let impact = if changed { 7.52 * (iss - 0.029) - 3.25 * (iss - 0.02).powi(15) } else { 6.42 * iss };
    if impact <= 0.0 {
        return Some(0.0);
    }
    let sum = impact + exploitability;
    let score = if changed { 1.08 * sum } else { sum };
    // "Roundup" (appendix A): up to the next tenth, but for noise below 1e-5.
    Some(((score.min(10.0) * 100_000.0).round() / 10_000.0).ceil() / 10.0)
}

/// Scores of the macro vectors that base metrics can reach or fall back to
/// (CVSS 4.0, `cvss_lookup`): by EQ1 and EQ2, then EQ4 (1, 2), then EQ3 and
/// EQ6 (00, 01, 10, 11, 21).
const MACRO: [[[[f64; 5]; 2]; 2]; 3] = [
    [[[10.0, 9.6, 9.3, 9.2, 7.9], [9.3, 9.0, 8.8, 8.0, 6.9]], [[9.5, 9.1, 9.2, 8.2, 7.1], [9.2, 8.1, 8.4, 7.0, 6.3]]],
    [[[9.4, 8.9, 8.6, 7.6, 6.5], [8.7, 7.5, 7.2, 5.7, 5.3]], [[9.0, 7.7, 7.4, 5.9, 5.8], [7.7, 6.6, 6.1, 5.2, 2.3]]],
    [[[8.6, 7.4, 7.2, 5.7, 4.7], [7.0, 5.4, 5.3, 3.6, 2.4]], [[7.3, 5.5, 6.1, 5.1, 2.4], [5.4, 4.3, 4.6, 1.8, 1.0]]],
];

/// CVSS 4.0 specification, section 8: the score of the macro vector, less the
/// mean of how far the vector lies below the worst one in each of its sets.
fn version_4(m: &Metrics<'_>) -> Option<f64> {
    const IMPACT: &[(&str, f64)] = &[("H", 0.0), ("L", 1.0), ("N", 2.0)];
    let [av, pr, ui] = [
        m.weight("AV", &[("N", 0.0), ("A", 1.0), ("L", 2.0), ("P", 3.0)])?,
        m.weight("PR", &[("N", 0.0), ("L", 1.0), ("H", 2.0)])?,
        m.weight("UI", &[("N", 0.0), ("P", 1.0), ("A", 2.0)])?,
    ];
    let [ac, at] = [m.weight("AC", &[("L", 0.0), ("H", 1.0)])?, m.weight("AT", &[("N", 0.0), ("P", 1.0)])?];
    let [vc, vi, va] = [m.weight("VC", IMPACT)?, m.weight("VI", IMPACT)?, m.weight("VA", IMPACT)?];
    let [sc, si, sa] = [m.weight("SC", IMPACT)?, m.weight("SI", IMPACT)?, m.weight("SA", IMPACT)?];
    if [vc, vi, va, sc, si, sa].iter().all(|w| *w >= 2.0) {
        return Some(0.0);
    }
    let zero = |w: f64| w < 0.5;
    let eq1 = match [av, pr, ui].into_iter().filter(|w| zero(*w)).count() {
        3 => 0,
        0 => 2,
        _ if av >= 3.0 => 2,
        _ => 1,
    };
    let eq2 = usize::from(!(zero(ac) && zero(at)));
    // Columns of the table: EQ3 and EQ6 together.
    let eq3 = match (zero(vc) && zero(vi), zero(vc) || zero(vi) || zero(va)) {
        (true, _) => 0,
        (false, true) => 2,
        (false, false) => 4,
    };
    let eq4 = usize::from(!(zero(sc) || zero(si) || zero(sa)));
    let at_cell = |eq1: usize, eq2: usize, eq4: usize, eq3: usize| -> Option<f64> {
        MACRO.get(eq1)?.get(eq2)?.get(eq4)?.get(eq3).copied()
    };
    let value = at_cell(eq1, eq2, eq4, eq3)?;
    // The next lower macro vector of each set, and of EQ3 with EQ6 the higher
    // of the two there are.
    let lower3 = match eq3 {
        0 => at_cell(eq1, eq2, eq4, 1).zip(at_cell(eq1, eq2, eq4, 2)).map(|(a, b)| a.max(b)),
        2 => at_cell(eq1, eq2, eq4, 3),
        _ => None,
    };
    // Steps below the worst vector of the set, and how many steps there are.
    let (worst1, depth1): (&[[f64; 3]], f64) = match eq1 {
        0 => (&[[0.0, 0.0, 0.0]], 1.0),
        1 => (&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], 4.0),
        _ => (&[[3.0, 0.0, 0.0], [1.0, 1.0, 1.0]], 5.0),
    };
    let (worst3, depth3): (&[[f64; 3]], f64) = match eq3 {
        0 => (&[[0.0, 0.0, 0.0]], 7.0),
        2 => (&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], 8.0),
        _ => (&[[1.0, 1.0, 1.0]], 10.0),
    };
    let (worst2, depth2): (&[[f64; 3]], f64) =
        if eq2 == 0 { (&[[0.0, 0.0, 0.0]], 1.0) } else { (&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], 2.0) };
    let (worst4, depth4): (&[[f64; 3]], f64) =
        if eq4 == 0 { (&[[0.0, 0.0, 0.0]], 5.0) } else { (&[[1.0, 1.0, 1.0]], 4.0) };
    let sets = [
        (at_cell(eq1 + 1, eq2, eq4, eq3), [av, pr, ui], worst1, depth1),
        (at_cell(eq1, eq2 + 1, eq4, eq3), [ac, at, 0.0], worst2, depth2),
        (lower3, [vc, vi, va], worst3, depth3),
        (at_cell(eq1, eq2, eq4 + 1, eq3), [sc, si, sa], worst4, depth4),
    ];
    // EQ5 (exploit maturity) has a lower neighbour and no distance.
    let (mut sum, mut count) = (0.0, 1.0);
    for (lower, steps, worst, depth) in sets {
        if let Some(lower) = lower {
            sum += (value - lower) * below(steps, worst)? / depth;
            count += 1.0;
        }
    }
    let score: f64 = value - sum / count;
    Some((score.clamp(0.0, 10.0) * 10.0 + 1e-6).round() / 10.0)
}

/// Steps from the first of `worst` that is at least as bad in every metric.
fn below(steps: [f64; 3], worst: &[[f64; 3]]) -> Option<f64> {
    worst.iter().find_map(|w| {
        let distances: Vec<f64> = steps.iter().zip(w).map(|(s, w)| s - w).collect();
        distances.iter().all(|d| *d >= 0.0).then(|| distances.iter().sum())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors at random, with the scores of the calculator of Red Hat
    /// (Python package `cvss` 3.x).
    #[test]
    fn scores_agree_with_another_calculator() {
        for (vector, score) in [
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 9.3),
            ("CVSS:4.0/AV:L/AC:L/AT:P/PR:H/UI:N/VC:H/VI:N/VA:H/SC:L/SI:N/SA:H", 6.9),
            ("CVSS:4.0/AV:A/AC:L/AT:N/PR:L/UI:P/VC:H/VI:H/VA:H/SC:N/SI:L/SA:H", 8.4),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:H/UI:A/VC:L/VI:H/VA:H/SC:H/SI:N/SA:H", 8.3),
            ("CVSS:4.0/AV:L/AC:H/AT:N/PR:H/UI:N/VC:N/VI:L/VA:N/SC:N/SI:H/SA:H", 4.5),
            ("CVSS:4.0/AV:A/AC:H/AT:N/PR:H/UI:A/VC:H/VI:N/VA:H/SC:N/SI:H/SA:L", 5.8),
            ("CVSS:4.0/AV:P/AC:H/AT:P/PR:H/UI:P/VC:L/VI:L/VA:H/SC:H/SI:N/SA:H", 5.9),
            ("CVSS:4.0/AV:N/AC:H/AT:P/PR:L/UI:A/VC:L/VI:L/VA:N/SC:H/SI:H/SA:N", 4.8),
            ("CVSS:4.0/AV:P/AC:L/AT:P/PR:N/UI:P/VC:L/VI:H/VA:N/SC:H/SI:N/SA:N", 5.6),
            ("CVSS:4.0/AV:L/AC:H/AT:P/PR:H/UI:P/VC:N/VI:L/VA:H/SC:H/SI:L/SA:L", 5.8),
            ("CVSS:4.0/AV:N/AC:L/AT:P/PR:H/UI:A/VC:N/VI:L/VA:L/SC:N/SI:L/SA:N", 1.8),
            ("CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:N/VI:H/VA:L/SC:H/SI:H/SA:L", 7.1),
            ("CVSS:4.0/AV:A/AC:H/AT:P/PR:H/UI:P/VC:L/VI:N/VA:L/SC:H/SI:H/SA:H", 2.4),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
            ("CVSS:3.1/AV:N/AC:L/PR:L/UI:R/S:C/C:H/I:N/A:N", 6.8),
            ("CVSS:3.1/AV:N/AC:H/PR:H/UI:R/S:C/C:L/I:L/A:H", 6.8),
            ("CVSS:3.1/AV:P/AC:H/PR:N/UI:N/S:U/C:H/I:L/A:H", 6.0),
            ("CVSS:3.1/AV:N/AC:H/PR:H/UI:N/S:U/C:H/I:N/A:H", 5.9),
            ("CVSS:3.0/AV:A/AC:H/PR:L/UI:R/S:C/C:H/I:H/A:L", 7.5),
            ("CVSS:3.1/AV:A/AC:L/PR:H/UI:R/S:U/C:N/I:L/A:N", 2.1),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0),
        ] {
            assert_eq!(base_score(vector), Some(score), "{vector}");
        }
    }

    #[test]
    fn what_is_no_vector_has_no_score() {
        for vector in [
            "",
            "7.5",
            "CVSS:3.1",
            "CVSS:3.1/AV:N",
            "CVSS:2.0/AV:N",
            "CVSS:3.1/AV:N/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        ] {
            assert_eq!(base_score(vector), None, "{vector}");
        }
    }

    #[test]
    fn ratings_begin_where_the_scale_says() {
        assert_eq!(
            [0.0, 0.1, 3.9, 4.0, 6.9, 7.0, 8.9, 9.0].map(severity).map(Severity::name),
            ["info", "low", "low", "medium", "medium", "high", "high", "critical"]
        );
    }
}
