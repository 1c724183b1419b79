//! The ratio of two figures that are close: measured in pairs, so that what the machine does in the
//! meantime hits both, and each pair counts by its own ratio.

use anyhow::Result;

use super::matrix::middle;

/// A figure of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Numerator,
    Denominator,
}

/// The median of the ratios of so many pairs. Each pair begins with the figure that the one before
/// ended with.
pub(super) fn close_ratio(pairs: usize, mut measure: impl FnMut(Of) -> Result<f64>) -> Result<f64> {
    let mut ratios = Vec::with_capacity(pairs);
    for pair in 0..pairs {
        let ratio = if pair % 2 == 0 {
            let below = measure(Of::Denominator)?;
            measure(Of::Numerator)? / below
        } else {
            measure(Of::Numerator)? / measure(Of::Denominator)?
        };
        ratios.push(ratio);
    }
    Ok(middle(ratios))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_measured_in_turns_and_the_median_of_their_ratios_counts() {
        let mut order = Vec::new();
        // The machine gets slower, by more than the two are apart.
        let ratio = close_ratio(3, |of| {
            order.push(of);
            let slowness = [1.0, 1.0, 5.0, 5.0, 9.0, 27.0][order.len() - 1];
            Ok(match of {
                Of::Numerator => 1.25 * slowness,
                Of::Denominator => slowness,
            })
        });
        assert_eq!(ratio.unwrap(), 1.25);
        use Of::{Denominator, Numerator};
        assert_eq!(
            order,
            [
                Denominator,
                Numerator,
                Numerator,
                Denominator,
                Denominator,
                Numerator
            ]
        );
    }

    #[test]
    fn a_failure_ends_it() {
        assert!(close_ratio(2, |_| anyhow::bail!("broken")).is_err());
    }
}
