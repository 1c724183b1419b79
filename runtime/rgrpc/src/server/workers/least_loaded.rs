/// Returns the index of the smallest load. Among equal loads it is the first from `turn` on,
/// cyclically. `None` if there are no loads.
pub(super) fn least_loaded(loads: impl Iterator<Item = usize>, turn: usize) -> Option<usize> {
    loads
        .enumerate()
        .min_by_key(|&(index, load)| (load, index < turn))
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_loaded_is_chosen_and_ties_go_round() {
        for (loads, turn, expected) in [
            (&[][..], 0, None),
            (&[7], 0, Some(0)),
            (&[7], 1, Some(0)),
            // All alike: whose turn it is.
            (&[0, 0, 0], 0, Some(0)),
            (&[0, 0, 0], 1, Some(1)),
            (&[0, 0, 0], 2, Some(2)),
            (&[0, 0, 0], 3, Some(0)),
            // The least, whoever's turn it is.
            (&[2, 1, 3], 0, Some(1)),
            (&[2, 1, 3], 2, Some(1)),
            // Some alike: the next of them, past those that have more.
            (&[1, 2, 1, 2], 1, Some(2)),
            (&[1, 2, 1, 2], 3, Some(0)),
            (&[3, 0, 0, 3], 2, Some(2)),
        ] {
            let chosen = least_loaded(loads.iter().copied(), turn);
            assert_eq!(chosen, expected, "{loads:?}, turn {turn}");
        }
    }
}
