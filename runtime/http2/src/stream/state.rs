//! The states of a stream (RFC 9113 section 5.1).

/// The progress of the HTTP message in one direction of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessagePhase {
    /// Before the request head or the final response head.
    Head,
    /// After the head: content, then optional trailers.
    Body,
}

/// The state of a stream.
///
/// "Local" is our direction, "remote" is the peer's. The reserved states of the RFC do not occur,
/// because push is disabled. Idle streams are not stored.
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
    /// The stream waits for the peer's limit of concurrent streams and is not on the wire yet.
    Queued,
    /// Both directions are open.
    Open {
        /// The progress of our message.
        local: MessagePhase,
        /// The progress of the peer's message.
        remote: MessagePhase,
    },
    /// We have sent END_STREAM.
    HalfClosedLocal {
        /// The progress of the peer's message.
        remote: MessagePhase,
    },
    /// The peer has sent END_STREAM.
    HalfClosedRemote {
        /// The progress of our message.
        local: MessagePhase,
    },
    /// Both directions are closed.
    Closed,
}

impl State {
    /// Returns the progress of our message, or `None` if we may not send any more.
    #[inline]
    pub(crate) const fn local(self) -> Option<MessagePhase> {
        match self {
            Self::Open { local, .. } | Self::HalfClosedRemote { local } => Some(local),
            // The head is already queued, and content is queued behind it.
            Self::Queued => Some(MessagePhase::Body),
            Self::HalfClosedLocal { .. } | Self::Closed => None,
        }
    }

    /// Returns the progress of the peer's message, or `None` if the peer may not send any more.
    #[inline]
    pub(crate) const fn remote(self) -> Option<MessagePhase> {
        match self {
            Self::Open { remote, .. } | Self::HalfClosedLocal { remote } => Some(remote),
            Self::Queued | Self::HalfClosedRemote { .. } | Self::Closed => None,
        }
    }

    /// Records that we sent our head.
    #[inline]
    pub(crate) fn local_head(&mut self) {
        if let Self::Open { local, .. } | Self::HalfClosedRemote { local } = self {
            *local = MessagePhase::Body;
        }
    }

    /// Records that the peer sent its head.
    #[inline]
    pub(crate) fn remote_head(&mut self) {
        if let Self::Open { remote, .. } | Self::HalfClosedLocal { remote } = self {
            *remote = MessagePhase::Body;
        }
    }

    /// Records that we sent END_STREAM.
    #[inline]
    pub(crate) fn local_end(&mut self) {
        *self = match *self {
            Self::Open { remote, .. } => Self::HalfClosedLocal { remote },
            Self::HalfClosedRemote { .. } => Self::Closed,
            other => other,
        };
    }

    /// Records that the peer sent END_STREAM.
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
        local: MessagePhase::Head,
        remote: MessagePhase::Head,
    };

    #[test]
    fn a_stream_closes_when_both_ends_have_ended_it() {
        let mut state = OPEN;
        state.remote_end();
        assert_eq!(
            state,
            State::HalfClosedRemote {
                local: MessagePhase::Head
            }
        );
        state.local_end();
        assert_eq!(state, State::Closed);

        let mut state = OPEN;
        state.local_end();
        assert_eq!(
            state,
            State::HalfClosedLocal {
                remote: MessagePhase::Head
            }
        );
        state.remote_end();
        assert_eq!(state, State::Closed);
    }

    #[test]
    fn a_repeated_end_has_no_effect() {
        let mut state = OPEN;
        state.remote_end();
        state.remote_end();
        assert_eq!(
            state,
            State::HalfClosedRemote {
                local: MessagePhase::Head
            }
        );
    }

    #[test]
    fn a_direction_that_has_ended_has_no_phase() {
        let mut state = OPEN;
        state.remote_head();
        assert_eq!(
            (state.local(), state.remote()),
            (Some(MessagePhase::Head), Some(MessagePhase::Body))
        );
        state.remote_end();
        state.local_head();
        assert_eq!(
            (state.local(), state.remote()),
            (Some(MessagePhase::Body), None)
        );
        state.local_end();
        assert_eq!((state.local(), state.remote()), (None, None));
    }
}
