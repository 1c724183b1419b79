//! The changes that a sharding reports to the policy above it.
//!
//! Computed after each call of a child, on the channel's task.

use crate::connectivity_state::ConnectivityState;

/// The kind of change in an [`EndpointSharding`](super::EndpointSharding). A greater one includes
/// the lesser ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointsChange {
    /// No child has published.
    None,
    /// Children outside of the sharding's own picker have published. The picker would stay the
    /// same.
    Others,
    /// The aggregate state has changed, or a child that has or had the aggregate state has
    /// published.
    Best,
}

impl EndpointsChange {
    /// The change that follows from a child's states before and after (`from`, `to`) and the
    /// aggregate states before and after.
    pub(super) fn of(
        published: bool,
        [from, to]: [ConnectivityState; 2],
        [before, after]: [ConnectivityState; 2],
    ) -> Self {
        if !published {
            Self::None
        } else if before != after || from == before || to == after {
            Self::Best
        } else {
            Self::Others
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
    use super::*;

    #[test]
    fn a_child_is_relevant_if_it_has_or_had_the_aggregate_state() {
        use EndpointsChange::{Best, None, Others};
        for (published, child, all, expected) in [
            (false, [Ready, Ready], [Ready, Ready], None),
            (true, [Ready, Ready], [Ready, Ready], Best),
            (true, [Connecting, Ready], [Ready, Ready], Best),
            (true, [Ready, Connecting], [Ready, Ready], Best),
            (true, [Connecting, Ready], [Connecting, Ready], Best),
            (true, [Ready, TransientFailure], [Ready, Connecting], Best),
            (true, [Idle, Connecting], [Ready, Ready], Others),
            (true, [Connecting, TransientFailure], [Ready, Ready], Others),
            (
                true,
                [TransientFailure, TransientFailure],
                [TransientFailure, TransientFailure],
                Best,
            ),
        ] {
            let change = EndpointsChange::of(published, child, all);
            assert_eq!(change, expected, "{child:?} {all:?}");
        }
    }

    #[test]
    fn the_greater_change_includes_the_lesser() {
        assert!(EndpointsChange::Best > EndpointsChange::Others);
        assert!(EndpointsChange::Others > EndpointsChange::None);
    }
}
