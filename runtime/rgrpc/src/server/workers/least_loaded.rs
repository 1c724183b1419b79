//! The choice of the worker for a connection, a pure function.
//!
//! Called by accept loops for each connection, under the lock that deals connections.

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
            // Equal loads: the turn decides.
            (&[0, 0, 0], 0, Some(0)),
            (&[0, 0, 0], 1, Some(1)),
            (&[0, 0, 0], 2, Some(2)),
            (&[0, 0, 0], 3, Some(0)),
            // The smallest load, whatever the turn.
            (&[2, 1, 3], 0, Some(1)),
            (&[2, 1, 3], 2, Some(1)),
            // Several smallest loads: the next of them, past the larger ones.
            (&[1, 2, 1, 2], 1, Some(2)),
            (&[1, 2, 1, 2], 3, Some(0)),
            (&[3, 0, 0, 3], 2, Some(2)),
        ] {
            let chosen = least_loaded(loads.iter().copied(), turn);
            assert_eq!(chosen, expected, "{loads:?}, turn {turn}");
        }
    }
}
