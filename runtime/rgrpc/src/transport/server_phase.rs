//! The phases in which a server or a connection ends. Set by whoever stops it, observed by its tasks.

/// The phase of a server, or of one of its connections, from running to stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ServerPhase {
    /// New connections and new calls are accepted.
    Running,
    /// Open calls go on. New ones are refused.
    Draining,
    /// Everything ends at once.
    Stopped,
}
