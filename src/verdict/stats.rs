//! What several runs allow to be claimed (docs/FIGURES.md, "Several runs").

use serde::{Deserialize, Serialize};

/// A summary of repeated measurements. `None` is *never*: a run in which the measured thing did not come about is longer than
/// every run in which it did, and is not left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Runs, failures and right-censored ones included.
    pub n: usize,
    /// Of these, in which it never came about.
    pub never: usize,
    /// Least, in nanoseconds.
    pub min: Option<u64>,
    /// Middle; of an even number the middle of the two middle ones, and never if one of them is.
    pub median: Option<u64>,
    /// Largest.
    pub max: Option<u64>,
    /// 95th percentile as an order statistic; the outer `None`: fewer than 20 runs.
    pub p95: Option<Option<u64>>,
}

/// The spread of some values, `None` being never; `None` for no runs.
pub fn spread(values: &[Option<u64>]) -> Option<Spread> {
    let mut v = values.to_vec();
    // What never came about sorts behind everything.
    v.sort_unstable_by_key(|value| value.map_or((true, 0), |n| (false, n)));
    let (min, max) = (*v.first()?, *v.last()?);
    let n = v.len();
    let median = if n % 2 == 1 { v[n / 2] } else { v[n / 2 - 1].zip(v[n / 2]).map(|(a, b)| a.midpoint(b)) };
    // The smallest order statistic with at least 95 % of the values at or below it.
    let p95 = (n >= 20).then(|| v[(n * 95).div_ceil(100) - 1]);
    Some(Spread { n, never: v.iter().filter(|value| value.is_none()).count(), min, median, max, p95 })
}

/// The pass rate that `failures` in `n` runs leave possible at 95 % confidence: the lower end of the one-sided
/// Clopper-Pearson interval. For no failures it is 0.05^(1/n).
pub fn pass_rate_at_least(n: u64, failures: u64) -> f64 {
    if n == 0 || failures >= n {
        return 0.0;
    }
    if failures == 0 {
        return 0.05f64.powf(1.0 / n as f64);
    }
    // The p at which at most `failures` failures have probability 5 %, by bisection.
    let (mut low, mut high) = (0.0f64, 1.0f64);
    for _ in 0..100 {
        let p = low.midpoint(high);
        if at_most(n, failures, 1.0 - p) > 0.05 { high = p } else { low = p }
    }
    low
}

/// Probability of at most `k` events in `n` trials of probability `q`.
fn at_most(n: u64, k: u64, q: f64) -> f64 {
    let mut term = (1.0 - q).powf(n as f64);
    let mut sum = term;
    for i in 0..k {
        if q >= 1.0 {
            return 0.0;
        }
        term *= (n - i) as f64 / (i + 1) as f64 * q / (1.0 - q);
        sum += term;
    }
    sum
}

/// Runs without a miss (or with so few misses) that "at least this share passes" needs at 95 % confidence.
pub fn runs_needed(share: f64, misses: u64) -> u64 {
    let mut n = misses + 1;
    while n < 100_000 && pass_rate_at_least(n, misses) < share {
        n += 1;
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_the_measurement_page() {
        for (n, bound) in [(1, 0.05), (4, 0.47), (12, 0.78), (30, 0.905), (59, 0.95), (100, 0.970)] {
            assert!((pass_rate_at_least(n, 0) - bound).abs() < 0.005, "{n}");
        }
        assert_eq!([runs_needed(0.95, 0), runs_needed(0.95, 1), runs_needed(0.95, 2)], [59, 93, 124]);
        assert_eq!(pass_rate_at_least(0, 0), 0.0);
        assert_eq!(pass_rate_at_least(3, 3), 0.0);
    }

    fn some(values: impl IntoIterator<Item = u64>) -> Vec<Option<u64>> {
        values.into_iter().map(Some).collect()
    }

    #[test]
    fn a_percentile_needs_twenty_runs() {
        assert_eq!(spread(&some(1..=19)).unwrap().p95, None);
        let s = spread(&some(1..=20)).unwrap();
        assert_eq!((s.min, s.median, s.max, s.p95), (Some(1), Some(10), Some(20), Some(Some(19))));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn a_run_that_never_came_about_is_the_longest_and_is_not_left_out() {
        let s = spread(&[Some(5), None, Some(3)]).unwrap();
        assert_eq!((s.n, s.never, s.min, s.median, s.max), (3, 1, Some(3), Some(5), None));
        let s = spread(&[Some(5), None]).unwrap();
        assert_eq!((s.median, s.max), (None, None), "the middle between a time and never is never");
        let s = spread(&[None, None]).unwrap();
        assert_eq!((s.never, s.min, s.median), (2, None, None));
        // Two of twenty: 95 % of the runs are no longer at or below any time.
        let mut twenty = some(1..=18);
        twenty.extend([None, None]);
        assert_eq!(spread(&twenty).unwrap().p95, Some(None));
        twenty[18] = Some(19);
        assert_eq!(spread(&twenty).unwrap().p95, Some(Some(19)));
    }
}
