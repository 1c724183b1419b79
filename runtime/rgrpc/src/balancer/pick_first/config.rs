//! The config of `pick_first`. Made when a service config is parsed, read on the channel's task.

/// The config of `pick_first`.
///
/// Source: gRFC A62, `PickFirstConfig`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PickFirstConfig {
    /// Tries the endpoints in a random order instead of the resolver's order
    /// (`shuffleAddressList`). Endpoints with a larger
    /// [`EndpointWeight`](crate::resolver::EndpointWeight) tend to come first. The addresses of an
    /// endpoint keep their order. Default: false.
    pub shuffle_address_list: bool,
}

impl PickFirstConfig {
    /// Enables the random order, or not.
    #[must_use]
    pub const fn with_shuffle_address_list(mut self, shuffle: bool) -> Self {
        self.shuffle_address_list = shuffle;
        self
    }
}
