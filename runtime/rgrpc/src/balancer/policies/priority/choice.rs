//! Which child is to be used. Source: gRFC A56, "Algorithm for Choosing a Priority".

use crate::connectivity_state::ConnectivityState;

/// What there is to know of a child that was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChildView {
    pub(super) state: ConnectivityState,
    /// It still has time to become ready.
    pub(super) has_time: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// This child has to be built, and then it is to be looked again.
    Build(usize),
    /// This child is to be used, and those after it are to be treated so.
    Use(usize, Lower),
}

/// What becomes of the children after the one that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lower {
    /// They are not needed any more.
    Retire,
    /// They stay as they are: whether they are needed is not known yet.
    Leave,
    /// They are needed.
    Need,
}

/// Decides, by the children in order of their priorities; `None` is one that is not built. `None`
/// without children.
pub(super) fn choose(children: impl Iterator<Item = Option<ChildView>> + Clone) -> Option<Choice> {
    let mut last = None;
    for (index, child) in children.clone().enumerate() {
        let Some(child) = child else {
            return Some(Choice::Build(index));
        };
        match child.state {
            ConnectivityState::Ready | ConnectivityState::Idle => {
                return Some(Choice::Use(index, Lower::Retire));
            }
            _ if child.has_time => return Some(Choice::Use(index, Lower::Leave)),
            _ => last = Some(index),
        }
    }
    let is_connecting =
        |child: Option<ChildView>| child.is_some_and(|c| c.state == ConnectivityState::Connecting);
    let connecting = children.clone().position(is_connecting);
    let index = connecting.or(last)?;
    Some(Choice::Use(index, Lower::Need))
}

#[cfg(test)]
mod tests {
    use super::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
    use super::*;

    const fn child(state: ConnectivityState, has_time: bool) -> Option<ChildView> {
        Some(ChildView { state, has_time })
    }

    #[test]
    fn the_first_child_that_can_be_used_is() {
        let ready = child(Ready, false);
        let idle = child(Idle, false);
        let failed = child(TransientFailure, false);
        let waiting = child(Connecting, true);
        let late = child(Connecting, false);
        for (children, expected) in [
            (&[][..], None),
            (&[None, ready], Some(Choice::Build(0))),
            (&[ready, None], Some(Choice::Use(0, Lower::Retire))),
            (&[idle, ready], Some(Choice::Use(0, Lower::Retire))),
            (&[waiting, ready], Some(Choice::Use(0, Lower::Leave))),
            (&[failed, ready], Some(Choice::Use(1, Lower::Retire))),
            (&[late, idle, ready], Some(Choice::Use(1, Lower::Retire))),
            (
                &[failed, waiting, ready],
                Some(Choice::Use(1, Lower::Leave)),
            ),
            (&[failed, None, ready], Some(Choice::Build(1))),
            (&[late, None], Some(Choice::Build(1))),
            (&[failed, late, late], Some(Choice::Use(1, Lower::Need))),
            (&[late, failed], Some(Choice::Use(0, Lower::Need))),
            (&[failed, failed], Some(Choice::Use(1, Lower::Need))),
        ] {
            assert_eq!(choose(children.iter().copied()), expected, "{children:?}");
        }
    }
}
