//! The choice of the child to use (gRFC A56, "Algorithm for Choosing a Priority").
//!
//! Called by the policy after each change of a child, on the channel's task.

use crate::connectivity_state::ConnectivityState;

/// The properties of a built child that the choice depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChildView {
    pub(super) state: ConnectivityState,
    /// The child's failover timer is running: it has time to become READY.
    pub(super) has_time: bool,
}

/// The next step of the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Build this child, and choose again.
    Build(usize),
    /// Use this child, and treat the children of lower priority like this.
    Use(usize, LowerPriorities),
}

/// The treatment of children of lower priority than the one in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LowerPriorities {
    /// Deactivate them: they are not needed.
    Deactivate,
    /// Keep their state: it is not known yet if they are needed.
    Keep,
    /// Keep them active: they are needed.
    Activate,
}

/// Chooses a child. `children` are in the order of their priorities, with `None` for a child that
/// is not built. Returns `None` without children.
pub(super) fn choose(children: impl Iterator<Item = Option<ChildView>> + Clone) -> Option<Choice> {
    let mut last = None;
    for (index, child) in children.clone().enumerate() {
        let Some(child) = child else {
            return Some(Choice::Build(index));
        };
        match child.state {
            ConnectivityState::Ready | ConnectivityState::Idle => {
                return Some(Choice::Use(index, LowerPriorities::Deactivate));
            }
            _ if child.has_time => return Some(Choice::Use(index, LowerPriorities::Keep)),
            _ => last = Some(index),
        }
    }
    let is_connecting =
        |child: Option<ChildView>| child.is_some_and(|c| c.state == ConnectivityState::Connecting);
    let connecting = children.clone().position(is_connecting);
    let index = connecting.or(last)?;
    Some(Choice::Use(index, LowerPriorities::Activate))
}

#[cfg(test)]
mod tests {
    use super::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
    use super::*;

    const fn child(state: ConnectivityState, has_time: bool) -> Option<ChildView> {
        Some(ChildView { state, has_time })
    }

    #[test]
    fn the_first_usable_child_is_chosen() {
        let ready = child(Ready, false);
        let idle = child(Idle, false);
        let failed = child(TransientFailure, false);
        let waiting = child(Connecting, true);
        let late = child(Connecting, false);
        for (children, expected) in [
            (&[][..], None),
            (&[None, ready], Some(Choice::Build(0))),
            (
                &[ready, None],
                Some(Choice::Use(0, LowerPriorities::Deactivate)),
            ),
            (
                &[idle, ready],
                Some(Choice::Use(0, LowerPriorities::Deactivate)),
            ),
            (
                &[waiting, ready],
                Some(Choice::Use(0, LowerPriorities::Keep)),
            ),
            (
                &[failed, ready],
                Some(Choice::Use(1, LowerPriorities::Deactivate)),
            ),
            (
                &[late, idle, ready],
                Some(Choice::Use(1, LowerPriorities::Deactivate)),
            ),
            (
                &[failed, waiting, ready],
                Some(Choice::Use(1, LowerPriorities::Keep)),
            ),
            (&[failed, None, ready], Some(Choice::Build(1))),
            (&[late, None], Some(Choice::Build(1))),
            (
                &[failed, late, late],
                Some(Choice::Use(1, LowerPriorities::Activate)),
            ),
            (
                &[late, failed],
                Some(Choice::Use(0, LowerPriorities::Activate)),
            ),
            (
                &[failed, failed],
                Some(Choice::Use(1, LowerPriorities::Activate)),
            ),
        ] {
            assert_eq!(choose(children.iter().copied()), expected, "{children:?}");
        }
    }
}
