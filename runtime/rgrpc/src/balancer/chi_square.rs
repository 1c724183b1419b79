//! Pearson's chi-square test, for the tests of pickers.

/// Asserts that counts of independent draws fit their weights, by Pearson's chi-square test.
/// Correct draws fail once in 10,000 times; with a fixed seed, always or never.
///
/// # Panics
/// The counts do not fit, or a count with the weight 0 is not 0.
pub(crate) fn assert_distribution(counts: &[usize], weights: &[f64]) {
    assert_eq!(counts.len(), weights.len(), "a weight for each count");
    let drawn = counts.iter().sum::<usize>() as f64;
    let total: f64 = weights.iter().sum();
    let mut statistic = 0.0;
    let mut cells = 0;
    for (count, weight) in counts.iter().zip(weights) {
        if *weight == 0.0 {
            assert_eq!(*count, 0, "drawn in spite of the weight 0: {counts:?}");
            continue;
        }
        let expected = drawn * weight / total;
        assert!(expected >= 5.0, "too few draws for this test: {counts:?}");
        statistic += (*count as f64 - expected).powi(2) / expected;
        cells += 1;
    }
    let limit = limit(cells - 1);
    assert!(
        statistic <= limit,
        "chi-square {statistic:.1} is above {limit:.1}: {counts:?} for {weights:?}"
    );
}

/// The 0.9999 quantile of the chi-square distribution, by the approximation of Wilson and Hilferty.
/// It is a little too large for few degrees of freedom.
fn limit(degrees: usize) -> f64 {
    const NORMAL_QUANTILE: f64 = 3.719;
    if degrees == 0 {
        return 0.0;
    }
    let spread = 2.0 / (9.0 * degrees as f64);
    degrees as f64 * (1.0 - spread + NORMAL_QUANTILE * spread.sqrt()).powi(3)
}

#[test]
fn the_limit_is_close_to_the_published_quantiles() {
    for (degrees, expected) in [(1, 15.14), (2, 18.42), (10, 35.56), (100, 161.3)] {
        let limit = limit(degrees);
        let ratio = limit / expected;
        assert!((0.99..1.08).contains(&ratio), "{degrees}: {limit}");
    }
}

#[test]
fn fair_draws_fit_and_biased_ones_do_not() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut counts = [0; 4];
    for _ in 0..100_000 {
        counts[random.usize(..4)] += 1;
    }
    assert_distribution(&counts, &[1.0; 4]);
    let biased = std::panic::catch_unwind(|| assert_distribution(&counts, &[1.0, 1.0, 1.0, 1.05]));
    assert!(biased.is_err());
}
