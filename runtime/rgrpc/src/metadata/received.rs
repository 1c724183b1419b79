//! Received metadata, and its explicit forwarding.
//!
//! Called by users' handlers, which pass metadata on.

use super::rules::{check_value, is_reserved};
use super::{Entry, Metadata};

impl Metadata {
    /// Marks the received values of `key` for sending. Returns whether there are any.
    ///
    /// Values that cannot be sent are skipped: those of the protocol's own keys, and those that
    /// [`append`](Self::append) would refuse. The method has no effect on values of this program.
    ///
    /// ```
    /// use rgrpc::{Request, Status};
    ///
    /// /// The request to the upstream, with only the locale of the caller's metadata.
    /// fn to_upstream(mut request: Request<String>) -> Request<Vec<u8>> {
    ///     request.metadata_mut().forward("accept-language");
    ///     request.map(String::into_bytes)
    /// }
    ///
    /// /// The upstream's failure, with its trailer `x-quota`. Code, text and details are kept.
    /// fn to_client(mut status: Status) -> Status {
    ///     status.metadata_mut().forward("x-quota");
    ///     status
    /// }
    /// ```
    pub fn forward(&mut self, key: &str) -> bool {
        self.forward_where(|entry| entry.has_key(key))
    }

    /// Marks all received values for sending, as [`forward`](Self::forward) does for one key.
    ///
    /// It is meant for proxies, which pass on all of a call.
    pub fn forward_all(&mut self) {
        self.forward_where(|_| true);
    }

    fn forward_where(&mut self, is_selected: impl Fn(&Entry) -> bool) -> bool {
        let forwards = |entry: &Entry| {
            entry.received
                && is_selected(entry)
                && !is_reserved(&entry.key)
                && check_value(&entry.key, &entry.value).is_ok()
        };
        if !self.entries().iter().any(forwards) {
            return false;
        }
        for entry in self.entries_mut() {
            entry.received &= !forwards(entry);
        }
        true
    }

    /// Removes the received values.
    #[inline]
    pub(crate) fn without_received(self) -> Self {
        // Usually the metadata is empty.
        if self.entries.is_none() {
            return self;
        }
        self.remove_received()
    }

    fn remove_received(mut self) -> Self {
        if self.entries().iter().any(|entry| entry.received) {
            self.entries_mut().retain(|entry| !entry.received);
        }
        self
    }

    /// Converts the metadata into that of a peer.
    pub(crate) fn into_received(mut self) -> Self {
        if !self.is_empty() {
            for entry in self.entries_mut() {
                entry.received = true;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn received(pairs: &[(&'static str, &'static str)]) -> Metadata {
        let mut metadata = Metadata::new();
        for (key, value) in pairs {
            let (key, value) = (Bytes::from_static(key.as_bytes()), Bytes::from(*value));
            metadata.append_from_wire(key, value).expect("valid");
        }
        metadata
    }

    fn sent(metadata: &Metadata) -> Vec<String> {
        let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
        let pair = |(key, value)| format!("{}={}", text(key), text(value));
        let fields: Vec<_> = metadata.wire_fields().map(pair).collect();
        let rest: Vec<_> = metadata
            .clone()
            .without_received()
            .wire_fields()
            .map(pair)
            .collect();
        assert_eq!(fields, rest);
        fields
    }

    #[test]
    fn only_forwarded_received_values_are_sent() {
        let all = [
            ("x-a", "1"),
            ("x-b", "2"),
            ("x-a", "3"),
            ("te", "trailers"),
            ("x-c", "\u{e9}"),
        ];
        let metadata = received(&all);
        assert_eq!(sent(&metadata), [""; 0]);
        assert_eq!(metadata.len(), 5, "they are shown");

        let mut one = metadata.clone();
        assert!(one.forward("X-A"));
        assert!(!one.forward("x-a"), "they are forwarded already");
        assert!(!one.forward("te"), "a key of the protocol");
        assert!(!one.forward("x-c"), "a value that cannot be sent");
        assert!(!one.forward("x-d"));
        assert_eq!(sent(&one), ["x-a=1", "x-a=3"]);
        assert_eq!(sent(&metadata), [""; 0], "a clone of it changes nothing");

        let mut every = metadata;
        every.forward_all();
        assert_eq!(sent(&every), ["x-a=1", "x-b=2", "x-a=3"]);
    }

    #[test]
    fn values_of_this_program_are_sent_among_received_ones() {
        let mut metadata = received(&[("x-a", "1"), ("x-b", "2")]);
        metadata.append("x-a", "own").expect("valid");
        metadata.insert("x-b", "2").expect("valid");
        let mut merged = Metadata::from_pairs([("x-c", "own")]).expect("valid");
        merged.merge(metadata);
        assert_eq!(sent(&merged), ["x-c=own", "x-a=own", "x-b=2"]);
    }

    #[test]
    fn received_and_own_values_are_equal() {
        let own = Metadata::from_pairs([("x-a", "1")]).expect("valid");
        assert_eq!(received(&[("x-a", "1")]), own);
        assert_eq!(sent(&own.into_received()), [""; 0]);
    }
}
