/// How far a server has gone in stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// New connections and new calls are welcome.
    Running,
    /// Calls that have begun go on; new ones are turned away.
    Draining,
    /// Everything ends at once.
    Stopped,
}
