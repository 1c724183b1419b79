//! The states of a stream (RFC 9113 section 5.1).

/// How far one direction of a message has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No final header list yet.
    Head,
    /// After the header list: content, then perhaps trailers.
    Body,
}

/// The state of a stream. "Local" is what we send, "remote" what the peer sends. The reserved
/// states of the RFC do not occur, since push is off; an idle stream is not kept.
///
/// ```text
///                 client: open()                  server: HEADERS of a request
///                       |                                     |
///          over the peer's limit?                             |
///            | yes            | no                            |
///            v                |                               |
///        +--------+           v                               |
///        | Queued | ----> +------+ <--------------------------+
///        +--------+       | Open |
///            |            +------+
///            |     local_end |  | remote_end
///            |               v  v
///            |  +-----------------+  +------------------+
///            |  | HalfClosedLocal |  | HalfClosedRemote |
///            |  +-----------------+  +------------------+
///            |       remote_end |      | local_end
///      reset |                  v      v
///            |               +--------+
///            +-------------> | Closed | <-- a reset in either direction, in any state
///                            +--------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Not on the wire yet: the peer allows no further stream at the moment.
    Queued,
    /// Both directions are open.
    Open {
        /// What we have sent.
        local: Phase,
        /// What the peer has sent.
        remote: Phase,
    },
    /// We have sent END_STREAM.
    HalfClosedLocal {
        /// What the peer has sent.
        remote: Phase,
    },
    /// The peer has sent END_STREAM.
    HalfClosedRemote {
        /// What we have sent.
        local: Phase,
    },
    /// Nothing more goes in either direction.
    Closed,
}

impl State {
    /// What we have sent, while we may send more.
    #[inline]
    pub(crate) const fn local(self) -> Option<Phase> {
        match self {
            Self::Open { local, .. } | Self::HalfClosedRemote { local } => Some(local),
            // The head is on its way; what follows is queued behind it.
            Self::Queued => Some(Phase::Body),
            Self::HalfClosedLocal { .. } | Self::Closed => None,
        }
    }

    /// What the peer has sent, while it may send more.
    #[inline]
    pub(crate) const fn remote(self) -> Option<Phase> {
        match self {
            Self::Open { remote, .. } | Self::HalfClosedLocal { remote } => Some(remote),
            Self::Queued | Self::HalfClosedRemote { .. } | Self::Closed => None,
        }
    }

    /// Our head is sent.
    #[inline]
    pub(crate) fn local_head(&mut self) {
        if let Self::Open { local, .. } | Self::HalfClosedRemote { local } = self {
            *local = Phase::Body;
        }
    }

    /// The peer's head is received.
    #[inline]
    pub(crate) fn remote_head(&mut self) {
        if let Self::Open { remote, .. } | Self::HalfClosedLocal { remote } = self {
            *remote = Phase::Body;
        }
    }

    /// Our END_STREAM is sent.
    #[inline]
    pub(crate) fn local_end(&mut self) {
        *self = match *self {
            Self::Open { remote, .. } => Self::HalfClosedLocal { remote },
            Self::HalfClosedRemote { .. } => Self::Closed,
            other => other,
        };
    }

    /// The peer's END_STREAM is received.
    #[inline]
    pub(crate) fn remote_end(&mut self) {
        *self = match *self {
            Self::Open { local, .. } => Self::HalfClosedRemote { local },
            Self::HalfClosedLocal { .. } => Self::Closed,
            other => other,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: State = State::Open {
        local: Phase::Head,
        remote: Phase::Head,
    };

    #[test]
    fn either_end_first_leads_to_closed() {
        let mut state = OPEN;
        state.remote_end();
        assert_eq!(state, State::HalfClosedRemote { local: Phase::Head });
        state.local_end();
        assert_eq!(state, State::Closed);

        let mut state = OPEN;
        state.local_end();
        assert_eq!(
            state,
            State::HalfClosedLocal {
                remote: Phase::Head
            }
        );
        state.remote_end();
        assert_eq!(state, State::Closed);
    }

    #[test]
    fn an_end_comes_once() {
        let mut state = OPEN;
        state.remote_end();
        state.remote_end();
        assert_eq!(state, State::HalfClosedRemote { local: Phase::Head });
    }

    #[test]
    fn a_direction_that_has_ended_has_no_phase() {
        let mut state = OPEN;
        state.remote_head();
        assert_eq!(
            (state.local(), state.remote()),
            (Some(Phase::Head), Some(Phase::Body))
        );
        state.remote_end();
        state.local_head();
        assert_eq!((state.local(), state.remote()), (Some(Phase::Body), None));
        state.local_end();
        assert_eq!((state.local(), state.remote()), (None, None));
    }
}
