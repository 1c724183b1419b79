//! The picker, which calls use on their own tasks without a lock.

use std::sync::Arc;

use crate::balancer::{PickInfo, PickResult, Picker};

/// A picker that uses one of several pickers, at random by their weights.
pub(super) struct WeightedPicker {
    pickers: Vec<Arc<dyn Picker>>,
    /// The sum of the weights up to each picker, including it.
    ends: Vec<u64>,
}

impl WeightedPicker {
    /// Creates a picker of at least one picker. If all weights are 0, they are equal.
    pub(super) fn new(pickers: Vec<(u32, Arc<dyn Picker>)>) -> Self {
        let is_weighted = pickers.iter().any(|(weight, _)| *weight > 0);
        let mut end = 0;
        let (ends, pickers) = pickers
            .into_iter()
            .map(|(weight, picker)| {
                end += if is_weighted { u64::from(weight) } else { 1 };
                (end, picker)
            })
            .unzip();
        Self { pickers, ends }
    }

    /// The index of the picker for a number less than the sum of the weights.
    fn at(&self, number: u64) -> usize {
        self.ends.partition_point(|end| *end <= number)
    }
}

impl Picker for WeightedPicker {
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        let total = self.ends.last().copied().unwrap_or_default();
        match self.pickers.get(self.at(fastrand::u64(..total.max(1)))) {
            Some(picker) => picker.pick(call),
            None => PickResult::Queue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::QueuingPicker;

    fn picker(weights: &[u32]) -> WeightedPicker {
        let pickers = weights.iter();
        let pickers = pickers.map(|weight| (*weight, Arc::new(QueuingPicker) as Arc<dyn Picker>));
        WeightedPicker::new(pickers.collect())
    }

    #[test]
    fn each_picker_has_as_many_numbers_as_its_weight() {
        for (weights, expected) in [
            (&[1][..], &[0][..]),
            (&[2, 1, 3], &[0, 0, 1, 2, 2, 2]),
            (&[0, 2, 0, 1, 0], &[1, 1, 3]),
            (&[0, 0], &[0, 1]),
        ] {
            let picker = picker(weights);
            let numbers = 0..*picker.ends.last().expect("a weight");
            let picked: Vec<_> = numbers.map(|number| picker.at(number)).collect();
            assert_eq!(picked, expected, "{weights:?}");
        }
    }

    #[test]
    fn the_largest_weights_do_not_overflow() {
        let picker = picker(&[u32::MAX; 3]);
        assert_eq!(picker.at(u64::from(u32::MAX)), 1);
        assert_eq!(picker.at(3 * u64::from(u32::MAX) - 1), 2);
    }
}
